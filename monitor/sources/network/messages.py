"""What ffmpeg writes about a source: why it failed in a sentence, the codec, and whether the sound has another form."""

from __future__ import annotations

import re
from collections import deque

from monitor.core.text import printable, shortened
from monitor.sources.network.address import Address

MAX_LINE = 2000  # characters
_LEVEL = re.compile(r"\[(error|fatal|warning|panic)\] ")
_PREFIX = re.compile(r"^(\[[^\]]*\] )*")
_SOUND = re.compile(r"Stream #0:\d+\S*: Audio: ([\w-]+)")
_FORM = re.compile(r"^\[graph_0_in_\S+ @ \S+\] .*samplerate:(\d+) chlayout:(\S+)")

# What is wrong, by a part of ffmpeg's message; {place} is the host with the port.
REASONS = (
    (("401 Unauthorized", "authorization failed"), "the server refuses the user or the password (401)"),
    (("403 Forbidden", "access denied"), "the server does not allow this (403)"),
    (("404 Not Found", "Stream Not Found"), "the server has nothing under this path (404)"),
    (("Server returned 4",), "the server refuses this address"),
    (("Server returned 5",), "the server has an error of its own, or nothing to send (5xx)"),
    (("Connection refused",), "nothing answers at {place} (connection refused)"),
    (("No route to host", "Network is unreachable"), "{place} cannot be reached from this computer"),
    (("Failed to resolve hostname", "Name or service not known"), "there is no host {host}"),
    (("Connection timed out", "Operation timed out"), "{place} does not answer"),
    (("Address already in use",), "port {port} is in use on this computer"),
    (("Cannot assign requested address", "bind failed"), "{host} is no address of this computer: use 0.0.0.0"),
    (("verif", "certificate"), "the certificate of the server is not valid"),
    (("not on whitelist", "whitelist"), "it names addresses or a format that are not allowed"),
    (("channel layout",), "its sound has more channels than ffmpeg can convert"),
    (("matches no streams",), "there is no sound in it"),
    (("Connection reset", "Broken pipe", "Input/output error"), "the connection was broken"),
    (("Invalid data found", "could not find codec parameters"), "what comes from there is no sound that ffmpeg knows"),
    (("End of file",), "the server has ended the sound"),
    (("Impossible to open",), "its answer is not usable, such as a redirection to another kind of address"),
)  # fmt: skip
PROTOCOL_MISSING = "Protocol not found"
SEGMENT = "HLS request for url"


class MessageLog:
    """The messages of one ffmpeg process.

    Args:
        address: what it receives; nothing secret of it leaves this class.
    """

    def __init__(self, address: Address) -> None:
        self.codec = ""  # name of the codec, once it is known
        self.changed = ""  # the new form, once the sound has changed
        self.segments = 0  # of HLS, that were asked for
        self._address = address
        self._form: tuple[str, str] | None = None
        self._errors: deque[str] = deque(maxlen=20)
        self._rest = ""
        self._plain = ""  # newest line that is not ffmpeg's own, but of what could not start it

    def add(self, data: bytes) -> None:
        """Takes more of ffmpeg's standard error."""
        if not data:
            return
        *lines, rest = (self._rest + data.decode("utf-8", "replace")).split("\n")
        self._rest = rest[-MAX_LINE:]
        for line in lines:
            self._line(line[:MAX_LINE])

    def reason(self, exit_code: int | None = 0) -> str:
        """Why it ended, in a clause: of the known reasons the first that applies, else ffmpeg's last error.

        Args:
            exit_code: that of ffmpeg, negative if a signal ended it; None if it is not known.
        """
        address = self._address
        said = "\n".join(self._errors)
        for parts, reason in REASONS:
            if any(part in said for part in parts):
                place = f"{address.host}:{address.port}"
                return reason.format(place=place, host=address.host, port=address.port)
        errors = [line for line in self._errors if "[warning]" not in line]
        if errors:
            return self._clause(_PREFIX.sub("", errors[-1]))
        if exit_code:
            how = f"with code {exit_code}" if exit_code > 0 else f"by signal {-exit_code}"
            return f"ffmpeg on this computer was ended {how}{self._plain and ': '}{self._clause(self._plain)}"
        return "the server has ended the sound"

    @property
    def refused(self) -> bool:
        """Whether the server does not accept the user or the password."""
        return any(part in line for line in self._errors for part in ("401 Unauthorized", "403 Forbidden"))

    @property
    def protocol_missing(self) -> bool:
        """Whether this ffmpeg was built without the protocol of the address."""
        return any(PROTOCOL_MISSING in line for line in self._errors)

    def _clause(self, text: str) -> str:
        return shortened(printable(self._address.scrubbed(text)), 160).rstrip(".")

    def _line(self, line: str) -> None:
        if _LEVEL.search(line):
            self._errors.append(line)
        elif not self.codec and (found := _SOUND.search(line)):
            self.codec = found[1]
        elif found := _FORM.match(line):
            form = (found[1], found[2])
            if self._form not in (None, form):
                self.changed = f"{form[0]} samples a second, {form[1]}"
            self._form = form
        elif SEGMENT in line:
            self.segments += 1
        elif line.strip() and not line.startswith("["):
            self._plain = line.strip()
