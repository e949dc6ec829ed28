"""The device of the settings as it is used: with the address of a source in the network that a file contains."""

from __future__ import annotations

from monitor.config.network_address import Address, Pcm, is_address, public_name
from monitor.config.sources import Audio
from monitor.core.errors import ConfigError

__all__ = ["Address", "Pcm", "is_address", "public_name", "with_device"]

MAX_FILE = 10_000  # characters; a larger file does not contain an address


def with_device(audio: Audio) -> Audio:
    """The settings with the address that `url_file` contains, if there is one, else unchanged.

    Raises:
        ConfigError: if the file, or the address of the device, cannot be read. No message contains a password.
    """
    path, device = audio.url_file, audio.device
    where = public_name(device) if path is None else f"{path} (url_file)"
    if path is not None:
        try:
            with path.expanduser().open(encoding="utf-8-sig") as file:
                lines = [line.strip() for line in file.read(MAX_FILE).splitlines() if line.strip()]
        except OSError as error:
            raise ConfigError(f"{where}: cannot be read: {error.strerror}.") from None
        except UnicodeDecodeError:
            raise ConfigError(f"{where}: is not text.") from None
        if len(lines) != 1 or not is_address(lines[0]):
            raise ConfigError(f"{where}: has to contain one line, the address of a source in the network.")
        device = lines[0]
    if is_address(device):
        try:
            Address.parse(device)
        except ConfigError as error:
            raise ConfigError(f"{where}: {error}") from None
    return audio.model_copy(update={"device": device, "url_file": None})
