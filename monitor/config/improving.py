"""The settings of what makes a monitor better while it runs: normal sound, commissioning, the self-test, the page."""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import AfterValidator, Field

from monitor.config.setting_types import BLANK_TEXT, Group, Text


def _time_of_day(value: str) -> str:
    """Refuses what is no time of day."""
    hour, _, minute = value.partition(":")
    if not (len(hour) == len(minute) == 2 and (hour + minute).isdecimal() and int(hour) < 24 and int(minute) < 60):
        raise ValueError(f'{value!r} is no time of day: write it in quotes, such as "03:00"')
    return value


class Normal(Group):
    """Normal sound of each stream, kept over days: to learn from, to compare with, and to test the monitor by."""

    enabled: bool = Field(True, description="whether `monitor live` keeps pieces of normal sound in state.folder")
    minutes: float = Field(
        60.0, ge=5, le=6000,
        description="largest amount for each stream, in minutes of 1.5 MB at 16000 Hz; of the commonest hours some go",
    )  # fmt: skip
    every_s: float = Field(
        300.0, ge=10, le=86_400, description="mean time between two pieces of ten seconds, at random moments"
    )
    wait_s: float = Field(
        600.0, ge=0, le=86_400,
        description="seconds that a piece waits before it is kept: an anomaly that began meanwhile discards it",
    )  # fmt: skip
    hold_h: float = Field(
        24.0, ge=0, le=8760,
        description="hours before and after an anomaly of which nothing is learnt until a verdict says that it was no "
        "fault; one hour if it was short and sudden",
    )  # fmt: skip
    speech: Literal["keep", "drop"] = Field(
        "drop",
        description="drop: pieces in which people speak are not kept (needs pip install 'acoustic-monitor[speech]'; "
        "without it nothing is kept)",
    )


class Commissioning(Group):
    """Learning goes on in the first days of a stream: reference and limits are learnt again each night."""

    days: float = Field(0.0, ge=0, le=365, description="days that a stream is commissioned; 0: not at all")
    at: Annotated[Text, AfterValidator(_time_of_day)] = Field(
        "03:00", description="time of day at which it learns, in local time"
    )


class Selftest(Group):
    """Known faults, mixed under stored normal sound: which of them would be reported, and how soon."""

    every_days: float = Field(
        0.0, ge=0, le=365, description="days between two self-tests of each stream while `monitor live` runs; 0: none"
    )
    lost_db: float = Field(
        6.0, ge=1, le=60,
        description="decibels by which a fault has to be louder than at first, to be reported, for a self-test event",
    )  # fmt: skip


class Web(Group):
    """The page in a browser: all streams, one stream, one event."""

    address: Text = Field("127.0.0.1", min_length=1, max_length=255, description="address to listen on")
    port: int = Field(8090, ge=1, le=65_535, description="TCP port to listen on")
    session_h: float = Field(12.0, ge=0.01, le=8760, description="hours without use that end a login")
    proxy: Annotated[Text, BLANK_TEXT] = Field(
        "", max_length=255,
        description="address of a proxy that logs users in; from it alone the headers below are believed; null: none",
    )  # fmt: skip
    proxy_user_header: Text = Field(
        "X-Forwarded-User", min_length=1, max_length=100, description="header in which the proxy names the user"
    )
    proxy_role: Literal["viewer", "operator", "admin"] = Field(
        "viewer", description="role of users that a proxy names and that are not in the store"
    )
