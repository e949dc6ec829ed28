"""The settings of what reaches people and remembers: state folder, store, clips, notifications, MQTT, metrics."""

from __future__ import annotations

import re
from typing import Annotated, Literal, Self
from urllib.parse import urlsplit

from pydantic import AfterValidator, BeforeValidator, Field, field_validator, model_validator

from monitor.config.setting_types import BLANK, BLANK_TEXT, Group, PathSetting, Text, setting_error
from monitor.core.errors import ConfigError
from monitor.core.object_address import WHOLE_ADDRESS, ObjectAddress

EventKind = Literal["anomaly", "warning", "off", "new mode", "drift", "gap", "lost", "no signal", "overloaded",
                    "invalid samples", "self-test"]  # fmt: skip
QUIET = re.compile(r"([01]\d|2[0-3]):[0-5]\d-([01]\d|2[0-3]):[0-5]\d")


def _one_or_many(value: object) -> object:
    """Puts a single text, which may be written without brackets, into a list."""
    return [value] if isinstance(value, str) else value


def _plain(name: str) -> str:
    """Refuses a name that does not fit on a line."""
    if not name.isprintable() or name != name.strip():
        raise ValueError("a name is one line of printable characters, without spaces at its ends")
    return name


Name = Annotated[Text, AfterValidator(_plain)]
Texts = Annotated[tuple[Text, ...], BeforeValidator(_one_or_many)]


class State(Group):
    """Where `monitor live` keeps what it remembers."""

    folder: Annotated[PathSetting | None, BLANK] = Field(
        None,
        description="folder for the store, clips and the status socket, one for each running monitor; null: the "
        "service's own, or acoustic-monitor in the user's folder for state",
    )
    host: Annotated[Text, AfterValidator(_plain), BLANK_TEXT] = Field(
        "", max_length=60, description="name of this computer in the store and in messages; null: its host name"
    )


class Store(Group):
    """The store: events, and minute values of each stream, for looking back."""

    enabled: bool = Field(True, description="whether `monitor live` keeps events and minute values")
    url: Annotated[Text, BLANK_TEXT] = Field(
        "",
        max_length=1000,
        description="database, such as postgresql://monitor@db/monitor; null: the variable MONITOR_STORE_URL, else a "
        "file (SQLite) in state.folder",
    )
    keep_minutes_days: float = Field(400.0, ge=0.01, le=100_000, description="days that minute values are kept")
    keep_events_days: float = Field(
        3650.0, ge=0.01, le=100_000, description="days that events are kept; those with a verdict or a lock stay"
    )
    keep_scores_days: float = Field(
        28.0, ge=0, le=100_000,
        description="days that the score of each decision is kept, in files beside the store, for `monitor backtest`; "
        "0: none is kept",
    )  # fmt: skip
    max_mb: float = Field(
        4000.0,
        ge=1,
        le=1e8,
        description="largest size of a store in a file, or of the spool before a server, in megabytes; the oldest rows "
        "go first",
    )


class Clips(Group):
    """The sound and the picture of each anomaly, kept beside the store."""

    enabled: bool = Field(True, description="whether the sound of anomalies is kept")
    folder: Annotated[PathSetting | None, BLANK] = Field(
        None, description="folder for clips and pictures; null: clips in state.folder"
    )
    url: Annotated[Text, BLANK_TEXT] = Field(
        "",
        max_length=1000,
        description="object store or folder, such as s3://bucket/clips, to which clips are moved for all computers to "
        "see, without passwords; null: they stay in clips.folder",
    )
    before_s: float = Field(10.0, ge=0, le=600, description="seconds of sound kept before an anomaly began")
    after_s: float = Field(30.0, ge=0, le=600, description="seconds of sound kept after it ended")
    longest_s: float = Field(
        300.0, ge=10, le=3600,
        description="longest clip, in seconds; what is longer loses its end. Until it is written it is in memory",
    )  # fmt: skip
    memory_s: float = Field(
        120.0, ge=5, le=3600,
        description="seconds of sound that wait in memory for an anomaly, 32 kB each at 16000 Hz",
    )  # fmt: skip
    pictures: bool = Field(True, description="whether a picture is drawn for each clip")
    speech: Literal["keep", "drop", "mute"] = Field(
        "keep",
        description="what happens to clips in which people speak; keep: nothing; drop: they are not written; "
        "mute: speech is replaced by silence (drop and mute need pip install 'acoustic-monitor[speech]')",
    )
    keep_days: float = Field(
        90.0, ge=0.01, le=100_000, description="days that clips are kept; those of events with a verdict or a lock stay"
    )
    max_gb: float = Field(5.0, ge=0.001, le=1e6, description="largest size of all clips, in gigabytes")
    min_free_gb: float = Field(
        1.0, ge=0, le=1e6,
        description="gigabytes of the disk that clips leave free: the oldest go first, then no new ones are written",
    )  # fmt: skip

    @field_validator("url")
    @classmethod
    def _address(cls, url: str) -> str:
        try:
            address = ObjectAddress.parse(url) if url else None
        except ConfigError as error:
            raise ValueError(str(error).removesuffix(".")) from None
        if address is not None and address.scheme in WHOLE_ADDRESS:
            raise ValueError(
                "clips cannot be moved to a web server: give a folder, or an address such as s3://bucket/clips"
            )
        return url

    @model_validator(mode="after")
    def _reaches_back(self) -> Self:
        if self.before_s >= min(self.memory_s, self.longest_s):
            raise setting_error(
                ("before_s",), "it has to be less than memory_s and longest_s, so that a clip reaches the anomaly"
            )
        return self


class Channel(Group):
    """A way to reach people: a webhook, a command, or a service that apprise knows."""

    name: Name = Field(min_length=1, max_length=60, description="name of the channel, a different one for each")
    webhook: Annotated[Text, BLANK_TEXT] = Field(
        "", max_length=2000, description="address that receives a JSON object by HTTP POST, beginning with https:// "
        "or http://"
    )  # fmt: skip
    secret_file: Annotated[PathSetting | None, BLANK] = Field(
        None, description="file with the secret that signs what the webhook receives (HMAC-SHA256); null: no signature"
    )
    command: Texts = Field(
        (), description="instead of a webhook: program with its arguments, which receives the object on standard input"
    )
    apprise: Annotated[Text, BLANK_TEXT] = Field(
        "", max_length=2000, description="instead: address of a service, as the apprise library writes it"
    )
    apprise_file: Annotated[PathSetting | None, BLANK] = Field(
        None, description="instead: file with such an address, because it contains a password"
    )
    timeout_s: float = Field(10.0, ge=0.1, le=600, description="longest time in seconds for one attempt")

    @field_validator("webhook")
    @classmethod
    def _address(cls, webhook: str) -> str:
        try:
            parts = urlsplit(webhook)
            usable = parts.scheme in ("http", "https") and bool(parts.hostname) and parts.port != 0
        except ValueError:  # a port that is no number, or brackets that are not closed
            usable = False
        if webhook and not (usable and webhook.isascii() and webhook.isprintable() and " " not in webhook):
            raise ValueError("this is no address of a webhook: it begins with https:// or http://, then the host")
        return webhook

    @model_validator(mode="after")
    def _one_way(self) -> Self:
        if self.secret_file and not self.webhook:
            raise setting_error(("secret_file",), "only a webhook is signed; remove it")
        if self.command and not self.command[0].strip():
            raise setting_error(("command",), "it begins with the name of a program, which is missing")
        if sum(map(bool, (self.webhook, self.command, self.apprise, self.apprise_file))) != 1:
            raise ValueError("a channel has exactly one of webhook, command, apprise and apprise_file")
        return self


class Rule(Group):
    """Which events are sent to which channels, and when."""

    to: Texts = Field(min_length=1, description="name of the channel that is told, or a list")
    streams: Texts = Field(
        ("*",), min_length=1, description="names of streams, or patterns: * stands for any characters, ? for one"
    )
    kinds: Annotated[tuple[EventKind, ...], BeforeValidator(_one_or_many)] = Field(
        ("anomaly", "lost", "no signal", "self-test"), min_length=1, description="kinds of events"
    )
    after_s: float = Field(0.0, ge=0, le=86_400, description="seconds that an event has to last before it is sent")
    cool_down_s: float = Field(
        300.0, ge=0, le=604_800, description="seconds after a message without another of the same stream and kind"
    )
    ended: bool = Field(True, description="whether the end of an event that was sent is sent, too")
    remind_s: float = Field(
        0.0, ge=0, le=604_800, description="seconds between reminders until somebody acknowledges; 0: no reminders"
    )
    escalate_after_s: float = Field(
        0.0, ge=0, le=604_800,
        description="seconds without acknowledgement after which escalate_to is told as well; 0: never",
    )  # fmt: skip
    escalate_to: Texts = Field((), description="name of the channel that is told then, or a list")
    quiet: Texts = Field((), description='times of day without messages, in local time: "22:00-06:00", or a list')

    @field_validator("quiet")
    @classmethod
    def _times(cls, quiet: tuple[str, ...]) -> tuple[str, ...]:
        for one in quiet:
            if not QUIET.fullmatch(one):
                raise ValueError(f'{one!r} is no time of day: write it in quotes, such as "22:00-06:00"')
            if one[:5] == one[6:]:
                raise ValueError(f"{one!r} begins and ends at the same time: it would be no time, or all day")
        return quiet

    @model_validator(mode="after")
    def _escalation(self) -> Self:
        if bool(self.escalate_to) != bool(self.escalate_after_s):
            given = "escalate_to" if self.escalate_to else "escalate_after_s"
            raise setting_error((given,), "escalate_after_s and escalate_to belong together: give both, or neither")
        return self


class Notify(Group):
    """Messages to people when something happens. They need the store (store.enabled)."""

    channels: tuple[Channel, ...] = Field((), description="ways to reach people, a list")
    rules: tuple[Rule, ...] = Field((), description="which events are sent to which channels, a list")
    digest_from: int = Field(
        5, ge=2, le=10_000, description="so many events that are due at once for a channel make one message"
    )
    give_up_h: float = Field(72.0, ge=0.01, le=8760, description="hours that a message is tried again")

    @model_validator(mode="after")
    def _known_channels(self) -> Self:
        names: list[str] = []
        for number, channel in enumerate(self.channels):
            if channel.name in names:
                message = f"channels[{names.index(channel.name)}] has the name {channel.name!r} already"
                raise setting_error(("channels", number, "name"), f"{message}; give each channel its own")
            names.append(channel.name)
        for number, rule in enumerate(self.rules):
            for key in ("to", "escalate_to"):
                for name in getattr(rule, key):
                    if name not in names:
                        known = ", ".join(names) or "none"
                        message = f"there is no channel {name!r}; those in notify.channels are: {known}"
                        raise setting_error(("rules", number, key), message)
        return self


def _topic(value: str) -> str:
    """Refuses what cannot be the beginning of an MQTT topic."""
    if not value.isprintable() or set(value) & set("+#") or value.startswith("$") or "" in value.split("/"):
        raise ValueError("it is no beginning of an MQTT topic: write words, with single slashes between them")
    return value


def _host(value: str) -> str:
    """Refuses what cannot be a host name, nor an address of version 4 or 6."""
    if not value.isprintable() or set(value) & set(" /@") or value.count(":") == 1:
        raise ValueError("it is no host name: write it without mqtt:// and without the port, which is mqtt.port")
    return value


TopicPrefix = Annotated[Text, AfterValidator(_topic)]


class Mqtt(Group):
    """Live values and events by MQTT, with discovery for Home Assistant."""

    broker: Annotated[Text, AfterValidator(_host), BLANK_TEXT] = Field(
        "", max_length=255, description="host name or address of the broker; null: no MQTT"
    )
    port: int = Field(1883, ge=1, le=65_535, description="port of the broker; with TLS usually 8883")
    tls: bool = Field(False, description="whether the connection is encrypted")
    ca_file: Annotated[PathSetting | None, BLANK] = Field(
        None, description="file of certificates that the broker's is checked with; null: those of the system"
    )
    user: Annotated[Text, BLANK_TEXT] = Field("", max_length=255, description="user name; null: none")
    password_file: Annotated[PathSetting | None, BLANK] = Field(
        None, description="file with the password; null: the variable MONITOR_MQTT_PASSWORD"
    )
    prefix: TopicPrefix = Field("acoustic-monitor", min_length=1, max_length=200, description="beginning of all topics")
    every_s: float = Field(5.0, ge=0.1, le=3600, description="seconds between two values of a stream")
    commands: bool = Field(
        False,
        description="whether verdicts on events are taken by MQTT; anybody who may publish at the broker can then give "
        "them",
    )
    discovery: bool = Field(True, description="whether Home Assistant is told about the streams")
    discovery_prefix: TopicPrefix = Field(
        "homeassistant", min_length=1, max_length=200, description="beginning of the topics of discovery"
    )

    @model_validator(mode="after")
    def _complete(self) -> Self:
        if self.password_file is not None and not self.user:
            raise setting_error(("password_file",), "a password needs a user: give mqtt.user, too")
        if self.ca_file is not None and not self.tls:
            raise setting_error(("ca_file",), "certificates are for encrypted connections: set mqtt.tls to true, too")
        return self


class Metrics(Group):
    """Live values for Prometheus, at http://ADDRESS:PORT/metrics."""

    port: Annotated[int | None, BLANK] = Field(None, ge=1, le=65_535, description="port; null: no metrics")
    address: Text = Field("127.0.0.1", min_length=1, max_length=255, description="address to listen on")
