"""Addresses of sound from the network: read, checked, and shown without what is secret in them."""

from __future__ import annotations

import os
import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from urllib.parse import parse_qsl, quote, unquote, urlsplit

from monitor.config.setting_types import MAX_CHANNELS, SAMPLE_RATES
from monitor.core.errors import ConfigError
from monitor.core.text import printable

# What an address begins with, and the port that it has if it names none (0: it has to name one).
PORTS = {"rtsp": 554, "rtspu": 554, "rtsps": 322, "http": 80, "https": 443, "srt": 0, "udp": 0, "tcp": 0}
RAW = ("udp", "tcp")  # raw samples, whose form the address tells
PCM_FORMATS = ("s16le", "s16be", "s24le", "s24be", "s32le", "s32be", "f32le", "f32be", "u8", "alaw", "mulaw")
PCM_OPTIONS = ("rate", "format", "channels", "listen")
EXAMPLE = "udp://0.0.0.0:5004?rate=16000&format=s16le&channels=1"
MAX_LENGTH = 2000
# Options in addresses of cameras and servers that tell streams apart, or how they are sent. No other value is shown.
_SHOWN = {*PCM_OPTIONS, "channel", "stream", "subtype", "profile", "track", "mode", "latency", "transport"}
_PLAIN = re.compile(r"[A-Za-z0-9_.:-]{1,32}")
_LOOKS_LIKE_ONE = re.compile(r"[A-Za-z][A-Za-z0-9+.-]*://")
_ADDRESS = re.compile(f"({'|'.join(PORTS)})://", re.IGNORECASE)
_VARIABLE = re.compile(r"\$(?:(\$)|([A-Za-z_]\w*)|\{([A-Za-z_]\w*)\})", re.ASCII)
_URL = re.compile(r"[A-Za-z][A-Za-z0-9+.-]*://[^\s'\"<>]*")
_HOST = re.compile(r"[A-Za-z0-9._-]+|[0-9A-Fa-f:.]+(%[A-Za-z0-9_.-]+)?")
_BETWEEN = "/:@?&=.$"  # signs between the words of an address
_SHORT = 3  # characters: a shorter secret is not looked for in messages, where it may be part of any word


@dataclass(frozen=True, slots=True)
class Pcm:
    """The form of raw samples."""

    rate: int  # Hz
    format: str  # one of PCM_FORMATS
    channels: int


@dataclass(frozen=True, slots=True)
class Address:
    """The address of a source of sound in the network. Two are equal if they name the same source in the same way."""

    scheme: str  # one of PORTS
    host: str  # a name or an address, without brackets
    port: int
    public: str  # the address without user, password and secret options: what is shown, logged and stored
    secret: str = field(repr=False)  # the whole address, as ffmpeg takes it
    pcm: Pcm | None = None  # of udp and tcp
    listens: bool = False  # whether we wait for the sender's connection, instead of connecting to a server

    @classmethod
    def parse(cls, text: str, environment: Mapping[str, str] | None = None) -> Address:
        """Reads an address; `$NAME` and `${NAME}` in it stand for variables of the environment, `$$` for a dollar.

        The value of a variable that is only a part of the address may contain any characters. If the address is one
        variable, the value is taken as it is.

        Args:
            text: the address.
            environment: the variables; None: those of this process.

        Raises:
            ConfigError: if it is no address, or a variable is missing. No message repeats what may be secret.
        """
        whole = _with_variables(text.strip(), os.environ if environment is None else environment)
        match = _ADDRESS.match(whole)
        if match is None:
            known = ", ".join(f"{scheme}://" for scheme in PORTS)
            raise ConfigError(f"this is no address of a source in the network: it begins with one of {known}.")
        if len(whole) > MAX_LENGTH or not (whole.isascii() and whole.isprintable() and " " not in whole):
            raise ConfigError(
                f"{match[0]}…: an address has at most {MAX_LENGTH} characters, without spaces and line breaks: write "
                "other characters as %20 and the like."
            )
        scheme = match[1].lower()
        rest, _, fragment = whole[match.end() :].partition("#")
        if "@" in fragment:
            raise ConfigError(f"{scheme}://…: write the sign # in a password as %23.")
        whole = f"{scheme}://{rest}"
        host, port = _host_and_port(whole, scheme)
        if "@" in whole[match.end() :].partition("/")[2] or "@" in urlsplit(whole).query:
            raise ConfigError(f"{scheme}://…: write the sign @ behind the host, or in a password, as %40.")
        pcm, listens = None, False
        if scheme in RAW:
            pcm, listens = _pcm(whole, scheme)
        return cls(scheme, host, port, shown(whole), whole, pcm, listens)

    @property
    def has_times(self) -> bool:
        """Whether what is sent has timestamps of the sender, from which missing sound can be known."""
        return self.scheme in ("rtsp", "rtspu", "rtsps", "srt") or self.in_segments

    @property
    def in_segments(self) -> bool:
        """Whether sound comes in segments of some seconds (HLS)."""
        return urlsplit(self.secret).path.lower().endswith((".m3u8", ".m3u"))

    def scrubbed(self, text: str) -> str:
        """A text from outside, such as a message of ffmpeg, without what is secret in the address."""
        text = _URL.sub(lambda found: shown(found[0]), text)
        for secret in sorted(self._secrets(), key=len, reverse=True):
            text = text.replace(secret, "***")
        return text

    def _secrets(self) -> set[str]:
        """The parts of the address that `public` does not show, as they are written and as they are meant."""
        parts = urlsplit(self.secret)
        user, _, password = parts.netloc.rpartition("@")[0].partition(":")
        values = [
            value for key, value in parse_qsl(parts.query) if key.lower() not in _SHOWN or not _PLAIN.fullmatch(value)
        ]
        written = {user, password, *values}
        return {one for part in written for one in (part, unquote(part), quote(part, safe="")) if len(one) >= _SHORT}


def is_address(device: str) -> bool:
    """Whether a device is an address, or a variable that contains one, and not the name of a microphone.

    It may be the address of something that is no source of sound, which `Address.parse` refuses.
    """
    text = device.strip()
    variable = _VARIABLE.fullmatch(text)
    return bool(_LOOKS_LIKE_ONE.match(text) or (variable and not variable[1]))


def has_variable(address: str) -> bool:
    """Whether an address names variables of the environment."""
    return any(not match[1] for match in _VARIABLE.finditer(address))


def has_password(address: str) -> bool:
    """Whether the text of an address contains something secret, or a name of a user, itself and not in a variable."""
    rest = _VARIABLE.sub("", address).partition("://")[2]
    login, _, behind = rest.rpartition("@")
    options = behind.partition("?")[2].split("&")
    return bool(login.strip(":")) or any(one != _shown_option(one) and not one.endswith("=") for one in options if one)


def public_name(device: str) -> str:
    """The setting of a device as it may be shown: an address without what is secret in it, any other text unchanged."""
    if not is_address(device):
        return device
    try:
        return Address.parse(device).public
    except ConfigError:  # a variable is missing, or it is no address of a source
        return printable(shown(device.strip()))


def shown(url: str) -> str:
    """A URL without user, password, fragment, and the values of options that may be secret. Never fails."""
    beginning, separator, rest = url.partition("://")
    if not separator:
        return url
    # Everything before the last @, also behind the host: a password may contain / ? or # where it should not.
    place, _, query = rest.rpartition("@")[2].partition("#")[0].partition("?")
    options = [_shown_option(option) for option in query.split("&") if option]
    return f"{beginning}://{place}{'?' if options else ''}{'&'.join(options)}"


def _shown_option(option: str) -> str:
    key, equals, value = option.partition("=")
    if key.lower() in _SHOWN and (not equals or _PLAIN.fullmatch(value)):
        return option
    return f"{key}=***" if equals and _PLAIN.fullmatch(key) else "***"


def _with_variables(text: str, environment: Mapping[str, str]) -> str:
    """The text with the values of variables.

    Raises:
        ConfigError: if one is missing.
    """
    alone = _VARIABLE.fullmatch(text)

    def value(match: re.Match[str]) -> str:
        if match[1]:
            return "$"
        name = match[2] or match[3]
        found = environment.get(name)
        if not found:
            # Behind a part of a word, it may be a part of a password, in which somebody has written $ for itself.
            apart = all(sign in _BETWEEN for sign in (text[: match.start()][-1:], text[match.end() :][:1]))
            raise ConfigError(
                f"{f'the variable {name}' if apart else 'a variable'} of the environment, which the address names, is "
                "not set: set it where monitor is started, or put the address into a file and name that with url_file; "
                "the sign $ itself is written $$."
            )
        return found.strip() if alone else quote(found, safe="" if "@" in text[match.end() :] else "/:.-_[]")

    return _VARIABLE.sub(value, text)


def _host_and_port(whole: str, scheme: str) -> tuple[str, int]:
    """The host and the port of an address.

    Raises:
        ConfigError: if one is missing, or is none.
    """
    try:
        parts = urlsplit(whole)
        host, port = parts.hostname or "", parts.port
    except ValueError:  # a port that is no number, or brackets that are not closed
        host, port = "", None
    if not host or not _HOST.fullmatch(host) or port == 0:
        raise ConfigError(
            f"{scheme}://…: the host or the port of the address cannot be read: it is {scheme}://HOST:PORT/PATH, with "
            "user:password@ before the host where one is needed; write @ : / ? # in a password as %40 %3A %2F %3F %23."
        )
    if port is None and not PORTS[scheme]:
        raise ConfigError(f"{scheme}://{host}: the address needs a port, as in {scheme}://{host}:5004.")
    return host, port or PORTS[scheme]


def _pcm(whole: str, scheme: str) -> tuple[Pcm, bool]:
    """The form of raw samples that an address tells, and whether the sender connects to us.

    Raises:
        ConfigError: if it is incomplete or wrong.
    """
    parts = urlsplit(whole)
    where = f"{scheme}://{parts.netloc.rpartition('@')[2]}"
    if "@" in parts.netloc or parts.path.strip("/"):
        raise ConfigError(f"{where}: raw samples have neither a user nor a path; an example is {EXAMPLE}.")
    options = dict(parse_qsl(parts.query, keep_blank_values=True))
    if unknown := [key for key in options if key not in PCM_OPTIONS]:
        name = unknown[0] if _PLAIN.fullmatch(unknown[0]) else "that option"
        raise ConfigError(f"{where}: has no option {name}; its options are {', '.join(PCM_OPTIONS)}.")
    if missing := [key for key in ("rate", "format") if not options.get(key)]:
        raise ConfigError(f"{where}: the address has to tell {' and '.join(missing)} of the samples, as in {EXAMPLE}.")
    rate, channels = _whole_number(options["rate"]), _whole_number(options.get("channels", "1"))
    if not SAMPLE_RATES[0] <= rate <= SAMPLE_RATES[1]:
        raise ConfigError(f"{where}: rate has to be {SAMPLE_RATES[0]} to {SAMPLE_RATES[1]}, in Hz.")
    if not 1 <= channels <= MAX_CHANNELS:
        raise ConfigError(f"{where}: channels has to be 1 to {MAX_CHANNELS}.")
    if options["format"] not in PCM_FORMATS:
        raise ConfigError(f"{where}: format has to be one of {', '.join(PCM_FORMATS)}.")
    listen = options.get("listen", "0")
    if (scheme != "tcp" and "listen" in options) or listen not in ("", "0", "1"):
        raise ConfigError(f"{where}: listen is for tcp, without a value: the sender then connects to this computer.")
    return Pcm(rate, options["format"], channels), listen != "0"


def _whole_number(text: str) -> int:
    """A number without sign, or -1."""
    return int(text) if text.isascii() and text.isdecimal() and len(text) < 10 else -1
