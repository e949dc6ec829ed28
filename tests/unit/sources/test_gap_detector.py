"""Samples that were never delivered, or late in a burst, are detected by the clock, without false detections."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from monitor.audio.ring_buffer import RingReader, SampleRing
from monitor.sources.gap_detector import GapDetector, Interruption
from monitor.sources.preprocess import Preprocessor
from monitor.sources.stream_health import StreamHealth

RATE = 1000
LOOK_S = 0.01

Arrivals = list[tuple[float, int]]  # time, and number of samples that arrive then


def found(arrivals: Arrivals) -> list[Interruption]:
    """Returns the gaps that are detected if samples arrive like this."""
    ring = SampleRing(60 * RATE)
    detector = GapDetector(RingReader(ring), RATE)
    gaps, now = [], 100.0
    for at, samples in arrivals:
        while now < 100.0 + at:
            gaps.append(detector.check(now))
            now += LOOK_S
        ring.write(np.zeros((samples, 1), np.float32))
        ring.written_at = now
        gaps.append(detector.check(now))
    return [gap for gap in gaps if gap is not None]


def steady(start: float, seconds: float, portion_s: float = 0.1, rate: float = RATE) -> Arrivals:
    """Arrivals of portions in real time."""
    count = round(seconds / portion_s)
    return [(start + (i + 1) * portion_s, round(portion_s * rate)) for i in range(count)]


@pytest.mark.parametrize("portion_s", [0.01, 0.05, 0.1, 0.25])
def test_sound_that_arrives_in_portions_has_no_gap(portion_s: float) -> None:
    assert found(steady(0, 20, portion_s)) == []


@given(late=st.lists(st.floats(0, 0.09), min_size=100, max_size=100))
def test_portions_that_arrive_a_little_late_are_no_gap(late: list[float]) -> None:
    """Each up to a tenth of a second, as on a busy system."""
    arrivals = [(at + delay, samples) for (at, samples), delay in zip(steady(0, 10), late, strict=True)]
    assert found(arrivals) == []


@pytest.mark.parametrize("error", [1.0003, 0.9997])
def test_a_sound_card_whose_clock_is_a_little_wrong_has_no_gap(error: float) -> None:
    assert found([(0.1 * error * (i + 1), 100) for i in range(3000)]) == []


def test_a_stall_whose_sound_arrives_late_in_a_burst_is_one_gap_of_its_length() -> None:
    (gap,) = found([*steady(0, 5), (8.0, 3000), *steady(8.0, 5)])
    assert gap.kind == "gap"
    assert gap.ended is not None
    assert 2.9 < gap.ended - gap.began < 4.0


def test_a_stall_whose_sound_never_arrives_is_one_gap_of_its_length() -> None:
    (gap,) = found([*steady(0, 5), *steady(8.0, 5)])
    assert gap.ended is not None
    assert 2.9 < gap.ended - gap.began < 4.0


def test_missing_time_without_a_stall_is_a_gap() -> None:
    (gap,) = found([*steady(0, 5), *steady(5.3, 6)])
    assert gap.ended is not None
    assert 0.25 < gap.ended - gap.began < 0.35


@given(stalls=st.lists(st.tuples(st.floats(0.7, 5.0), st.booleans()), min_size=1, max_size=4))
def test_every_stall_is_one_gap_that_is_never_shorter_than_it(stalls: list[tuple[float, bool]]) -> None:
    """Whether its sound arrives late in a burst, or never."""
    arrivals, now = steady(0, 4), 4.0
    for seconds, late in stalls:
        if late:
            arrivals.append((now + seconds, round(seconds * RATE)))
        arrivals += steady(now + seconds, 4)
        now += seconds + 4
    gaps = found(arrivals)
    assert len(gaps) == len(stalls)
    for gap, (seconds, _) in zip(gaps, stalls, strict=True):
        assert gap.ended is not None
        assert seconds - 0.05 < gap.ended - gap.began < seconds + 1.0


@dataclass
class Watched:
    """A minimal source for StreamHealth."""

    lost_since: float | None = None
    overflows: int = 0


def test_a_stall_of_a_minute_is_one_gap_however_much_of_its_sound_arrives_late() -> None:
    """More than the engine would score late, and more than the ring holds."""
    ring = SampleRing(30 * RATE)
    preprocessor = Preprocessor(RingReader(ring), RATE, RATE, hold_silence=False)
    health = StreamHealth(Watched(), preprocessor)
    reported, now = [], 100.0
    for at, samples in [*steady(0, 5), *((65.0 + 0.01 * i, 10_000) for i in range(6)), *steady(65.1, 3)]:
        while now < 100.0 + at:
            reported += health.check(now)
            now += LOOK_S
        ring.write(np.zeros((samples, 1), np.float32))
        ring.written_at = now
        reported += health.check(now)  # twice, as the engine may, before it discards samples
        reported += health.check(now)
        preprocessor.discard() if health.unusable else preprocessor.take(ring.capacity)
    begun, ended = reported
    assert (begun.kind, begun.ended) == (ended.kind, None) == ("gap", None)
    assert ended.ended is not None
    assert 60.0 < ended.ended - ended.began < 61.5


def test_an_overflow_that_the_device_reports_is_a_gap_as_long_as_the_clock_says() -> None:
    ring = SampleRing(60 * RATE)
    detector = GapDetector(RingReader(ring), RATE)
    for at, samples in [*steady(0, 5), (5.25, 50)]:  # 0.2 s are missing
        ring.write(np.zeros((samples, 1), np.float32))
        ring.written_at = 100.0 + at
        assert detector.check(100.0 + at) is None
    gap = detector.overflowed(105.25)
    assert (gap.kind, gap.ended) == ("gap", 105.25)
    assert gap.began == pytest.approx(105.05, abs=0.01)
