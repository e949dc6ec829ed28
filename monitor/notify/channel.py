"""Channels: how a message leaves the program, and how it says that it could not."""

from __future__ import annotations

import importlib.util
from pathlib import Path
from typing import Protocol

from monitor.config.plant import Channel as ChannelSettings
from monitor.core.errors import ConfigError
from monitor.notify.message import Message

TRANSIENT = (408, 425, 429)  # status codes of HTTP among the 4xx that mean: try it again later
MAX_SECRET = 10_000  # bytes; a larger file is none that contains a secret or an address


class NotSent(Exception):
    """A channel has not taken a message.

    Args:
        why: the reason, without an address or a secret, and without a full stop.
        refused: whether it will hardly be taken later, either, because the receiver does not want it.
        wait_s: seconds that the receiver asks to wait; 0: it does not say.
    """

    def __init__(self, why: str, *, refused: bool = False, wait_s: float = 0.0) -> None:
        super().__init__(why)
        self.why, self.refused, self.wait_s = why, refused, wait_s


class Channel(Protocol):
    """A way to reach people. It is used by one thread at a time."""

    def send(self, message: Message) -> None:
        """Delivers a message, within the channel's time limit.

        Raises:
            NotSent: if it is not certain that it was delivered.
        """


def make_channel(settings: ChannelSettings) -> Channel:
    """The channel that the settings describe.

    Raises:
        ConfigError: if a file that it needs cannot be read, or apprise is not installed.
    """
    if settings.webhook:
        from monitor.notify.webhook import Webhook

        secret = secret_text(settings.name, "secret_file", settings.secret_file) if settings.secret_file else ""
        return Webhook(settings.webhook, secret, settings.timeout_s)
    from monitor.notify.command import AppriseService, Command

    if settings.command:
        return Command(settings.command, settings.timeout_s)
    if importlib.util.find_spec("apprise") is None:
        raise ConfigError(f"The channel {settings.name} needs apprise: pip install 'acoustic-monitor[apprise]'.")
    address = settings.apprise
    if settings.apprise_file:
        address = secret_text(settings.name, "apprise_file", settings.apprise_file)
    return AppriseService(address, settings.timeout_s)


def secret_text(channel: str, key: str, path: Path) -> str:
    """The text of a file with a secret, without the line break at its end.

    Raises:
        ConfigError: if it cannot be read, or is empty or no text.
    """
    where = f"{path}: {key} of the channel {channel}"
    try:
        with path.expanduser().open("rb") as file:
            content = file.read(MAX_SECRET + 1)
    except OSError as error:
        raise ConfigError(f"{where} cannot be read: {error.strerror or error}.") from None
    try:
        text = content.decode().strip()
    except UnicodeDecodeError:
        text = ""
    if not text or len(content) > MAX_SECRET:
        raise ConfigError(f"{where} is empty, too long or no text.")
    return text
