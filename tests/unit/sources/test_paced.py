"""A paced source waits while its ring is full, stops at once, and keeps the error that ended it."""

from __future__ import annotations

import math
import threading

import numpy as np
import pytest

from monitor.core.errors import MonitorError
from monitor.sources.paced import PacedSource
from support.builders import RATE, noise
from support.clock import Clock
from support.listening import wait_until
from support.sources import all_of


class Recordings(PacedSource):
    """A source of several recordings whose samples have their index as value."""

    def __init__(
        self, count: int = 1, *, samples: int = 40_000, speed: float = math.inf, buffer_s: float = 30.0
    ) -> None:
        super().__init__("numbers", RATE, speed=speed, buffer_s=buffer_s)
        self._count, self._samples = count, samples

    def run(self) -> None:
        for number in range(self._count):
            self.begin(str(number))
            self.write(np.arange(self._samples, dtype=np.float32) + number * self._samples)


class Failing(PacedSource):
    """A source that writes some samples and then raises an error."""

    def __init__(self, error: Exception) -> None:
        super().__init__("a pump", RATE, speed=math.inf)
        self._error = error

    def run(self) -> None:
        self.begin("a")
        self.write(noise(100))
        raise self._error


def test_a_reader_that_stops_reading_stops_the_source_and_loses_nothing() -> None:
    source = Recordings(buffer_s=0.5)
    source.start()
    wait_until(lambda: source.reader.free < source.block)
    assert source.ring.written <= source.ring.capacity == 8000
    source.stop()
    assert np.array_equal(source.reader.take(8000).samples, np.arange(source.ring.written))


def test_a_mark_is_appended_before_the_sample_at_its_index(monkeypatch: pytest.MonkeyPatch) -> None:
    """Otherwise the engine would assign the first samples of a recording to the one before."""
    source = Recordings(4, samples=3000)
    seen: list[tuple[str, int]] = []
    write = source.ring.write

    def observed(block: np.ndarray) -> None:
        newest = source.marks[-1]
        assert newest.index <= source.ring.written
        seen.append((newest.name, source.ring.written // 3000))
        write(block)

    monkeypatch.setattr(source.ring, "write", observed)
    source.start()
    wait_until(lambda: source.marks and source.marks[-1].kind == "end")
    source.stop()
    assert source.error is None
    assert {(name, int(name)) for name, _ in seen} == set(seen)
    assert len({name for name, _ in seen}) == 4


@pytest.mark.parametrize("speed", [1.0, 1e-6])
def test_a_source_is_stopped_at_once_however_slow_it_is(speed: float) -> None:
    """It would otherwise run for minutes, or for years."""
    source = Recordings(samples=300 * RATE, speed=speed)
    source.start()
    source.stop()
    assert source.marks[-1].kind == "end"
    assert source.ring.written < 300 * RATE


def test_a_source_that_was_never_started_can_be_stopped() -> None:
    Recordings().stop()


class Waiting(threading.Event):
    """Advances the clock at once when a source waits."""

    def __init__(self, clock: Clock) -> None:
        super().__init__()
        self._clock = clock

    def wait(self, timeout: float | None = None) -> bool:
        self._clock.sleep(timeout or 0.0)
        return self.is_set()


@pytest.mark.parametrize("speed", [0.5, 1.0, 20.0, 1000.0])
def test_a_source_writes_its_sound_at_its_speed(speed: float, monkeypatch: pytest.MonkeyPatch) -> None:
    clock = Clock(monkeypatch, "monitor.sources.paced")
    source = Recordings(samples=2 * RATE, speed=speed)
    source.stopping = Waiting(clock)
    began = clock.now
    all_of(source)
    assert clock.now - began == pytest.approx(2 / speed)


def test_time_that_the_reader_made_a_source_wait_is_not_made_up_for_in_a_burst(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    clock = Clock(monkeypatch, "monitor.sources.paced")
    source = Recordings(samples=10 * RATE, speed=1.0)
    source.stopping = Waiting(clock)
    write, times = source.ring.write, []

    def observed(block: np.ndarray) -> None:
        times.append(clock.now)
        if len(times) == 100:
            clock.sleep(60.0)  # as if the ring were full
        write(block)

    monkeypatch.setattr(source.ring, "write", observed)
    all_of(source)
    assert times[-1] - times[100] == pytest.approx(9.0 - 0.01 - 0.5, abs=0.02), "half a second at most"


def test_an_error_that_ends_a_source_is_kept() -> None:
    source = Failing(MonitorError("no more"))
    samples, marks = all_of(source)
    assert str(source.error) == "no more"
    assert (len(samples), [mark.kind for mark in marks]) == (100, ["recording", "end"])


def test_an_unforeseen_error_in_a_source_of_ones_own_is_a_sentence_that_names_it() -> None:
    source = Failing(ZeroDivisionError("by nobody's fault"))
    all_of(source)
    assert str(source.error) == "a pump: an unforeseen error, ZeroDivisionError: by nobody's fault."
