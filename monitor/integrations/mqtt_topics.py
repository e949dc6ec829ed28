"""The MQTT topics of a monitor, and names of streams as levels of topics."""

from __future__ import annotations

from urllib.parse import unquote

RESERVED = frozenset("/+#%")  # dividers and wildcards of topics, and the sign that replaces them


class Topics:
    """The topics of one monitor: `PREFIX/HOST/availability`, verdicts, and `PREFIX/HOST/STREAM/…` for each stream.

    Args:
        prefix: beginning of all topics; it may have several levels.
        host: name of the computer.
    """

    def __init__(self, prefix: str, host: str) -> None:
        self._root = f"{prefix}/{as_level(host)}"
        self.availability = f"{self._root}/availability"  # of the monitor
        self.all_stream_availabilities = f"{self._root}/+/availability"
        self.verdict = f"{self._root}/verdict"  # what somebody says an event was
        self.verdict_result = f"{self.verdict}/result"  # what came of it

    def state(self, stream: str) -> str:
        """The topic of a stream's values."""
        return f"{self._root}/{as_level(stream)}/state"

    def event(self, stream: str) -> str:
        """The topic of a stream's events."""
        return f"{self._root}/{as_level(stream)}/event"

    def stream_availability(self, stream: str) -> str:
        """The topic that says whether sound of a stream comes in."""
        return f"{self._root}/{as_level(stream)}/availability"

    def stream_of(self, topic: str) -> str | None:
        """The name of the stream that this topic says the availability of; None if it is another topic."""
        level = topic.removeprefix(f"{self._root}/").removesuffix("/availability")
        stream = unquote(level, errors="surrogatepass")
        return stream if self.stream_availability(stream) == topic else None


def as_level(name: str) -> str:
    """A name as one level of a topic. Different names give different levels.

    Blanks and letters of any language stay. What MQTT reserves or forbids (`/`, `+`, `#`, control characters) is
    percent-encoded as in web addresses: `pump 1/2` becomes `pump 1%2F2`.
    """
    return "".join(
        character
        if character.isprintable() and character not in RESERVED
        else "".join(f"%{byte:02X}" for byte in character.encode("utf-8", "surrogatepass"))
        for character in name
    )
