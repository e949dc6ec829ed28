"""Commissioning: in its first days a stream learns each night. What was done, and when it ends, outlives a restart."""

from __future__ import annotations

import contextlib
import hashlib
import logging
import math
from collections.abc import Sequence
from pathlib import Path
from typing import Literal

from pydantic import BaseModel, ConfigDict, Field, ValidationError

from monitor.core.atomic_io import write_atomically
from monitor.core.errors import MonitorError
from monitor.service.nightly import next_time

FILE = "commissioning.json"
DAY_S = 86_400.0
# The first time it learns after an hour, because a model of half an hour of sound gains most from the next one.
FIRST_S = 3600.0
APART_S = 6 * 3600.0  # least time between two times
# Least time after one that was broken off. If it brings the whole computer down, it must not do so again at once.
AGAIN_S = 3600.0
MOST_NIGHTS = 400  # that are remembered

log = logging.getLogger(__name__)


class Night(BaseModel):
    """One time that a stream was to learn."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    time: float  # Unix time
    promoted: bool = False  # whether another model is in force since then
    text: str = Field("", max_length=2000)  # what changed and how sure the budget is, or why nothing did


class Stream(BaseModel):
    """The commissioning of one stream."""

    model_config = ConfigDict(extra="forbid", allow_inf_nan=False)

    configured: str  # digest of the file of the configured model
    began: float  # Unix time
    days: float
    nights: list[Night] = []
    tried: float | None = None  # when it began to learn, if that has not come to an end
    ended: float | None = None
    why: str = ""  # why it ended
    sure: bool = False  # whether it ended because the budget is certain to be kept

    @property
    def until(self) -> float:
        """The time at which it is over."""
        return self.began + self.days * DAY_S

    def due(self, at: str) -> float:
        """The time at which it is to learn next, in the past if that was missed; `at` is the time of day."""
        if self.nights:
            due = next_time(self.nights[-1].time + APART_S, at)
        else:
            due = self.began + min(FIRST_S, self.days * DAY_S / 2)
        return due if self.tried is None else max(due, self.tried + AGAIN_S)

    def move(self, seconds: float) -> None:
        """Moves all its times, because the clock was set: what has passed of it stays the same."""
        self.began += seconds
        self.nights = [one.model_copy(update={"time": one.time + seconds}) for one in self.nights]
        if self.tried is not None:
            self.tried += seconds

    @property
    def newest(self) -> float:
        """The newest of its times; it is in the past, unless the clock was set back."""
        return max([self.began, *(one.time for one in self.nights), *([] if self.tried is None else [self.tried])])

    def text(self, now: float) -> str:
        """How far it is, in a few words."""
        total = math.ceil(self.days)
        day = min(total, 1 + int(max(0.0, now - self.began) / DAY_S))
        return f"commissioning: day {day} of {total}"


class _File(BaseModel):
    model_config = ConfigDict(extra="forbid")

    format: Literal[1] = 1
    streams: dict[str, Stream] = {}


class Commissioning:
    """The commissioning of all streams, in a file of the state folder.

    Args:
        folder: the state folder.
    """

    def __init__(self, folder: Path) -> None:
        self.path = folder / FILE
        self._file = self._read()

    def begin(self, name: str, configured: str, days: float, now: float) -> None:
        """Begins with a stream, or goes on.

        One that has ended does not begin again with the same model, unless it ended because its time was over, and
        there are more days now. With another model it begins anew. If the clock was set back, its times are moved.

        Args:
            name: of the stream.
            configured: `digest` of the file of its configured model; empty if that could not be read.
            days: how long it lasts.
            now: Unix time.
        """
        known = self._file.streams.get(name)
        if known is None or (known.configured and configured and known.configured != configured):
            self._file.streams[name] = Stream(configured=configured, began=now, days=days)
            self._write()
            return
        before = known.model_copy()
        known.configured = configured or known.configured
        if known.newest > now:
            known.move(now - known.newest)
        if known.days != days:
            known.days = days
            if known.ended is not None and not known.sure and known.until > now:
                known.ended, known.why = None, ""
        if known != before:
            self._write()

    def stream(self, name: str) -> Stream | None:
        """The commissioning of a stream; None if it never began."""
        return self._file.streams.get(name)

    def lasting(self, names: Sequence[str]) -> list[str]:
        """Those of these streams whose commissioning has begun and not ended."""
        known = self._file.streams
        return [name for name in names if name in known and known[name].ended is None]

    def move(self, seconds: float) -> None:
        """Moves all times, because the clock was set by so much."""
        for stream in self._file.streams.values():
            stream.move(seconds)
        self._write()

    def trying(self, name: str, since: float | None) -> None:
        """Notes that a stream begins to learn; None: that it does not any more, because all ends."""
        self._file.streams[name].tried = since
        self._write()

    def note(self, name: str, night: Night) -> None:
        """Notes what a night has brought."""
        stream = self._file.streams[name]
        stream.nights, stream.tried = [*stream.nights, night][-MOST_NIGHTS:], None
        self._write()

    def end(self, name: str, now: float, why: str, *, sure: bool = False) -> None:
        """Ends the commissioning of a stream."""
        stream = self._file.streams[name]
        stream.ended, stream.why, stream.sure = now, why, sure
        self._write()

    def _read(self) -> _File:
        try:
            return _File.model_validate_json(self.path.read_bytes())
        except FileNotFoundError:
            return _File()
        except OSError as error:
            log.warning("%s: cannot be read: %s: commissioning begins anew.", self.path, error.strerror)
        except ValidationError:
            log.warning("%s: is damaged: commissioning begins anew, and the file is kept as *.damaged.", self.path)
            with contextlib.suppress(OSError):
                self.path.replace(self.path.with_name(f"{self.path.name}.damaged"))
        return _File()

    def _write(self) -> None:
        try:
            write_atomically(self.path, self._file.model_dump_json(indent=1).encode())
        except (OSError, MonitorError) as error:  # then a restart repeats a night
            log.warning("%s: cannot be written: %s", self.path, error)


def digest(path: Path) -> str:
    """A digest of a file; empty if it cannot be read."""
    try:
        with path.open("rb") as file:
            return hashlib.file_digest(file, "sha256").hexdigest()
    except OSError:
        return ""
