"""The settings of where sound comes from: the microphone, or a source in the network, and several streams."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Self

from pydantic import AfterValidator, BeforeValidator, Field, field_validator, model_validator

from monitor.config.network_address import MAX_LENGTH, Address, has_variable, is_address
from monitor.config.setting_types import (
    BLANK,
    BLANK_TEXT,
    SAMPLE_RATES,
    Channel,
    Group,
    PathSetting,
    Text,
    Tree,
    blank_is_none,
    setting_error,
)
from monitor.core.errors import ConfigError


def _readable(device: str) -> str:
    """Refuses an address that cannot be read. One with variables is read when it is used."""
    if is_address(device) and not has_variable(device):
        try:
            Address.parse(device)
        except ConfigError as error:
            raise ValueError(str(error).removesuffix(".")) from None
    return device


Device = Annotated[Text, BLANK_TEXT, AfterValidator(_readable)]


class Audio(Group):
    """The microphone."""

    device: Device = Field(
        "",
        max_length=MAX_LENGTH,
        repr=False,
        description="name of the microphone, part of it, or its number (`monitor devices`), or the address of a source "
        "in the network, such as rtsp://camera/1 (`monitor guide network`); null: the system's default microphone",
    )
    url_file: Annotated[PathSetting | None, BLANK] = Field(
        None, description="instead of device: file with the address of a source in the network, if that has a password"
    )
    device_rate: Annotated[int | None, BLANK] = Field(
        None, ge=SAMPLE_RATES[0], le=SAMPLE_RATES[1],
        description="sample rate to record at, in Hz; null: features.sample_rate, or the microphone's own rate if it "
        "cannot record at that",
    )  # fmt: skip
    latency_s: float = Field(
        0.25, ge=0.001, le=5,
        description="seconds of sound that the system may buffer; less has a shorter delay, more has fewer gaps on a "
        "busy computer",
    )  # fmt: skip
    block_ms: float = Field(10.0, ge=1, le=100, description="milliseconds of sound that the system delivers at a time")
    buffer_s: float = Field(
        30.0, ge=1, le=600, description="seconds of sound that may wait to be scored before some of it is lost"
    )

    @model_validator(mode="after")
    def _one_source(self) -> Self:
        if self.device and self.url_file is not None:
            raise setting_error(("url_file",), "it stands instead of device: remove one of the two")
        return self


def _one_or_many(value: object) -> object:
    """Puts a single file, which may be written without brackets, into a list."""
    return [value] if isinstance(value, str | Path) else value


class Stream(Group):
    """One of several streams: a microphone or recordings, and the model that scores them."""

    name: str = Field(
        min_length=1,
        max_length=60,
        description="name of the stream on the screen, in events and scores; a different one for each",
    )
    bundle: PathSetting = Field(description="path of the trained model, relative to the folder of this file")
    device: Device = Field(
        "",
        max_length=MAX_LENGTH,
        repr=False,
        description="for live: the microphone or the address, as in audio.device; streams may share one",
    )
    url_file: Annotated[PathSetting | None, BLANK] = Field(
        None,
        description="instead of device: file with an address as in audio.url_file, relative to the folder of this file",
    )
    channel: Annotated[Channel | None, BLANK] = Field(
        None, description="number of the channel, counted from 0, or mix; left out: as in training"
    )
    file: Annotated[tuple[PathSetting, ...], BeforeValidator(_one_or_many)] = Field(
        (), description="for replay, instead of device: a recording, a folder of them, or a list"
    )
    alarm: Annotated[Tree, BeforeValidator(lambda value: {} if blank_is_none(value) is None else value)] = Field(
        {}, description="settings of the group alarm that differ for this stream"
    )

    @field_validator("name")
    @classmethod
    def _plain(cls, name: str) -> str:
        if not name.isprintable() or name != name.strip() or set(name) & set("/\\"):
            raise ValueError("a name is one line of printable characters, without slashes or spaces at its ends")
        return name

    @model_validator(mode="after")
    def _consistent(self) -> Self:
        if self.file and self.device:
            raise ValueError("a stream has either a device or a file, not both")
        if self.url_file is not None and (self.file or self.device):
            raise setting_error(("url_file",), "it stands instead of device and file: remove one of them")
        return self
