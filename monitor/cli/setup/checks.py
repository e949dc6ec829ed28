"""What the answers of `monitor setup` have to be."""

from __future__ import annotations

import re
from functools import partial

from monitor.core.errors import ConfigError

LEAST_MINUTES = 3.0  # a model of less is not to be relied on: train.calibration.thresholds.TOO_LITTLE_S


def _number(value: object, *, least: float, zero: bool = False) -> float:
    """An answer as a number of at least `least`, or 0 if that is allowed.

    Raises:
        ConfigError: if it is not.
    """
    try:
        number = float(str(value))
    except ValueError:
        number = -1.0
    if not (least <= number < 1e5 or (zero and number == 0)):
        raise ConfigError(f"{value!r}: give a number, {least:g} or more{', or 0' if zero else ''}.")
    return number


minutes_to_record = partial(_number, least=LEAST_MINUTES)
minutes_to_calibrate = partial(_number, least=10.0, zero=True)
days_to_learn = partial(_number, least=1.0, zero=True)
seconds_to_listen = partial(_number, least=5.0, zero=True)


def machine_name(answer: object) -> str:
    """An answer as the name of a machine, which becomes that of its stream.

    Raises:
        ConfigError: if it cannot be one.
    """
    name = str(answer).strip()
    if not name or len(name) > 60 or not name.isprintable() or set(name) & set("/\\"):
        raise ConfigError(f"{name!r}: a name is one line of at most 60 printable characters, without slashes.")
    return name


def device(answer: object) -> str:
    """An answer as a microphone or an address.

    Raises:
        ConfigError: if it is an address with a password, which would be kept in files of the machine.
    """
    from monitor.config.network_address import has_password

    if has_password(str(answer)):
        raise ConfigError(
            "The address contains a password, which would be kept in files of the machine: put the address into a "
            "file, and give --set audio.url_file=FILE instead of --device."
        )
    return str(answer)


def channel(answer: object) -> int | str:
    """An answer as a channel.

    Raises:
        ConfigError: if it is none.
    """
    if str(answer) == "mix":
        return "mix"
    if not str(answer).isdecimal():
        raise ConfigError(f"{answer!r}: give the number of a channel, or mix.")
    return int(str(answer))


def webhook(answer: object) -> str:
    """An answer as the address of a webhook, or no text.

    Raises:
        ConfigError: if it is neither.
    """
    text = str(answer).strip()
    if text and not re.fullmatch(r"https?://\S+", text):
        raise ConfigError(f"{text!r}: give an address that begins with http:// or https://, or nothing.")
    return text
