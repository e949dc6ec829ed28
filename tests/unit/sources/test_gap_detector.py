"""Samples that were never delivered are detected by the clock; samples that arrive late are no gap."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from monitor.audio.ring_buffer import RingReader, SampleRing
from monitor.sources.gap_detector import GapDetector, Interruption

RATE = 1000
LOOK_S = 0.01

Arrivals = list[tuple[float, int]]  # time, and number of samples that arrive then


def found(arrivals: Arrivals) -> list[Interruption]:
    """Returns the gaps that are detected if samples arrive like this."""
    ring = SampleRing(60 * RATE)
    reader = RingReader(ring)
    detector, now = GapDetector(reader, RATE), 100.0
    gaps: list[Interruption] = []

    def check() -> None:
        if gap := detector.check(now):
            gaps.append(gap)
        held = detector.held_from
        reader.take(ring.capacity if held is None else held - reader.read)

    for at, samples in arrivals:
        while now < 100.0 + at:
            check()
            now += LOOK_S
        ring.write(np.zeros((samples, 1), np.float32))
        ring.written_at = now
        check()
    return gaps


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


def test_a_stall_whose_sound_arrives_late_in_a_burst_is_no_gap() -> None:
    assert found([*steady(0, 5), (8.0, 3000), *steady(8.0, 5)]) == []


def test_a_stall_whose_sound_never_arrives_is_one_gap_of_its_length() -> None:
    (gap,) = found([*steady(0, 5), *steady(8.0, 5)])
    assert gap.ended is not None
    assert gap.ended - gap.began == pytest.approx(3.0, abs=0.15)


def test_a_stall_of_which_a_part_arrives_late_is_a_gap_of_the_rest() -> None:
    (gap,) = found([*steady(0, 5), (8.0, 1000), *steady(8.0, 5)])
    assert gap.ended is not None
    assert gap.ended - gap.began == pytest.approx(2.0, abs=0.15)


def test_what_came_before_a_stall_can_be_read_at_once_and_what_came_after_it_when_the_gap_is_known() -> None:
    ring = SampleRing(60 * RATE)
    reader = RingReader(ring)
    detector, now, gap = GapDetector(reader, RATE), 100.0, None
    for at, samples in [*steady(0, 5), *steady(7.0, 2)]:
        now = 100.0 + at
        ring.write(np.zeros((samples, 1), np.float32))
        ring.written_at = now
        found_gap = detector.check(now)
        if found_gap is not None:
            gap, read_before = found_gap, reader.read
        held = detector.held_from
        reader.take(ring.capacity if held is None else held - reader.read)
    assert gap is not None
    assert read_before == 5 * RATE, "the gap is where the stall began"
    assert reader.read == 7 * RATE, "nothing that arrived is discarded"


def test_missing_time_without_a_stall_is_a_gap() -> None:
    (gap,) = found([*steady(0, 5), *steady(5.3, 6)])
    assert gap.ended is not None
    assert 0.25 < gap.ended - gap.began < 0.35


def test_samples_that_arrived_and_were_read_just_after_the_last_check_are_not_held() -> None:
    ring = SampleRing(60 * RATE)
    reader = RingReader(ring)
    detector = GapDetector(reader, RATE)
    for at, samples in steady(0, 5):
        ring.write(np.zeros((samples, 1), np.float32))
        ring.written_at = 100.0 + at
        assert detector.check(100.0 + at) is None
    ring.write(np.zeros((50, 1), np.float32))
    reader.take(ring.capacity)
    ring.write(np.zeros((50, 1), np.float32))
    ring.written_at = 107.0
    assert detector.check(107.0) is None
    assert detector.held_from == reader.read == 5050


@given(stalls=st.lists(st.tuples(st.floats(0.7, 20.0), st.booleans()), min_size=1, max_size=4))
def test_every_stall_whose_sound_never_arrives_is_a_gap_of_its_length_and_no_other(
    stalls: list[tuple[float, bool]],
) -> None:
    arrivals, now = steady(0, 4), 4.0
    for seconds, late in stalls:
        if late:
            arrivals.append((now + seconds, round(seconds * RATE)))
        arrivals += steady(now + seconds, 4)
        now += seconds + 4
    gaps = found(arrivals)
    lengths = [seconds for seconds, late in stalls if not late]
    assert [gap.ended - gap.began for gap in gaps if gap.ended] == pytest.approx(lengths, abs=0.2)


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
