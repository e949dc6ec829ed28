"""Recording over days survives lost microphones, full disks, sleeping computers and clocks that are set."""

from __future__ import annotations

import datetime
from collections.abc import Callable, Generator
from pathlib import Path

import numpy as np
import pytest
import soundfile

from monitor.core.errors import DataError, MonitorError, SourceLost
from monitor.core.types import FloatArray
from monitor.sources import spread_recording
from monitor.sources.recording_plan import RecordingPlan
from monitor.sources.spread_recording import SpreadRecorder
from support.builders import noise
from support.logs import logged

RATE = 1000
PIECE_S = 10.0
T = datetime.datetime(2026, 10, 24, 20, 0, tzinfo=datetime.UTC).timestamp()  # summer time ends in the night


class Days:
    """A recording over days on a clock of its own, with a microphone that a test can lose."""

    def __init__(self, folder: Path, *, pieces: int = 24, hours: float = 24.0) -> None:
        self.folder, self.now = folder, T
        self.plan = RecordingPlan.load(folder) or RecordingPlan.new(pieces, hours * 3600, PIECE_S, T)
        self.failing: Callable[[float], MonitorError | None] = lambda now: None
        self.on_sleep: Callable[[], None] = lambda: None
        self.quiet = False

    def time(self) -> float:
        return self.now

    def sleep(self, seconds: float) -> None:
        self.now += max(seconds, 20.0)  # so that days are over soon
        self.on_sleep()

    def record(self, most: int | None = None) -> list[float]:
        """Records all, or so many pieces; returns the hours at which they began."""
        recorder = SpreadRecorder(self.plan, self.folder, self._capture, sample_rate=RATE, clock=self, seed=1)
        began = []
        for path in recorder.record():
            stamp = datetime.datetime.strptime(path.stem, "normal_%Y%m%dT%H%M%SZ").replace(tzinfo=datetime.UTC)
            began.append((stamp.timestamp() - T) / 3600)
            if len(began) == most:
                break
        return began

    def _capture(self, pieces: int) -> Generator[FloatArray]:
        for _ in range(pieces):
            if (error := self.failing(self.now)) is not None:
                raise error
            self.now += PIECE_S
            yield noise(round(PIECE_S * RATE), amplitude=0.0 if self.quiet else 0.1)


def lost(now: float, since_h: float, until_h: float) -> MonitorError | None:
    return SourceLost("USB Audio: is lost.") if since_h <= (now - T) / 3600 < until_h else None


def test_pieces_are_spread_over_the_period_and_named_by_their_time_in_utc(tmp_path: Path) -> None:
    hours = Days(tmp_path).record()
    assert len(hours) == 24
    assert hours == sorted(hours)
    assert hours[0] == 0.0  # at once, so that one sees that it works
    assert np.diff(hours).max() < 2 * 24 / 23  # also through the hour that summer time ends
    assert 22 < hours[-1] < 24
    files = sorted(tmp_path.glob("*.flac"))
    assert len(files) == 24
    assert soundfile.info(files[0]).frames == PIECE_S * RATE


def test_the_same_command_goes_on_after_a_restart(tmp_path: Path) -> None:
    first = Days(tmp_path)
    first.record(10)
    again = Days(tmp_path)
    again.now = first.now + 3 * 3600
    hours = again.record()
    assert len(hours) == 14
    assert max(hours) < 24
    assert len(list(tmp_path.glob("*.flac"))) == 24
    assert Days(tmp_path).record() == []


def test_a_lost_microphone_is_told_once_and_waited_for(tmp_path: Path) -> None:
    days = Days(tmp_path)
    days.failing = lambda now: lost(now, 5, 12)
    with logged(spread_recording.__name__) as messages:
        hours = days.record()
    assert len(hours) == 24
    assert not [hour for hour in hours if 5 < hour < 12]
    assert sum(12 <= hour < 24 for hour in hours) >= 18
    assert messages == [
        "USB Audio: is lost. What is missed meanwhile is made up for later.", "Pieces are recorded again.",
    ]  # fmt: skip


def test_a_microphone_that_is_muted_for_a_time_gives_no_pieces(tmp_path: Path) -> None:
    days = Days(tmp_path)
    days.record(3)
    days.quiet = True

    def unmute() -> None:
        days.quiet = days.now < T + 9 * 3600

    days.on_sleep = unmute
    hours = days.record()
    assert len(hours) == 21
    assert min(hours) > 8.9


def test_an_error_before_the_first_piece_ends_the_command_and_leaves_no_plan(tmp_path: Path) -> None:
    days = Days(tmp_path)
    days.failing = lambda now: lost(now, 0, 1)
    with pytest.raises(SourceLost):
        days.record()
    days.failing, days.quiet = lambda now: None, True
    with pytest.raises(DataError, match="There is no sound to learn from"):
        days.record()
    assert not list(tmp_path.iterdir())


def test_a_computer_that_slept_makes_up_for_what_it_missed_within_the_period(tmp_path: Path) -> None:
    days = Days(tmp_path)
    days.record(4)

    def sleep() -> None:
        days.now += 8 * 3600
        days.on_sleep = lambda: None

    days.on_sleep = sleep
    with logged(spread_recording.__name__) as messages:
        hours = days.record()
    assert len(hours) == 20
    assert max(hours) < 24
    assert any("was missed; it is made up for later." in one for one in messages)


@pytest.mark.parametrize("hours", [1.0, 24 * 365 * 20.0])
def test_a_clock_that_is_set_back_is_told_and_does_no_harm(tmp_path: Path, hours: float) -> None:
    days = Days(tmp_path)
    days.record(4)

    def set_back() -> None:
        days.now -= hours * 3600
        days.on_sleep = lambda: None

    days.on_sleep = set_back
    began = days.now
    with logged(spread_recording.__name__) as messages:
        assert len(days.record()) == 20
    assert any("The clock was set back" in one for one in messages)
    assert days.now < began + 25 * 3600


def test_the_samples_are_what_the_microphone_gave(tmp_path: Path) -> None:
    Days(tmp_path, pieces=1).record()
    [file] = tmp_path.glob("*.flac")
    samples, rate = soundfile.read(file, dtype="float32")
    assert rate == RATE
    assert np.abs(samples - noise(round(PIECE_S * RATE))).max() < 1e-4
