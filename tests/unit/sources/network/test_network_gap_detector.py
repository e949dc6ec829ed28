"""Gaps in the sound of a network: where the server's timestamps say so, else where sound stays late."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from monitor.audio.ring_buffer import RingReader, SampleRing
from monitor.sources.gap_detector import Interruption
from monitor.sources.network.gap_detector import NetworkGapDetector
from monitor.sources.network.time_jumps import TimeJumps

RATE = 1000
PORTION_S = 0.05


class Hearing:
    """A ring that is written as the sound arrives, and read as the engine does: as soon as that is allowed."""

    def __init__(self, *, stamped: bool = False, capacity_s: float = 60.0) -> None:
        self.ring, self.jumps = SampleRing(int(capacity_s * RATE)), TimeJumps(trusted=stamped)
        self.reader = RingReader(self.ring)
        self.detector = NetworkGapDetector(self.reader, RATE, self.jumps)
        self.now = 100.0
        self.gaps: list[tuple[int, Interruption]] = []  # with the samples that were read before

    def hear(self, seconds: float, *, at_once: bool = False) -> None:
        """Sound arrives, in real time or in a burst."""
        for _ in range(round(seconds / PORTION_S)):
            self.now += 0.001 if at_once else PORTION_S
            self.ring.write(np.zeros((round(PORTION_S * RATE), 1), np.float32))
            self.ring.written_at = self.now
            self.look()

    def wait(self, seconds: float) -> None:
        """Time passes without sound."""
        for _ in range(round(seconds / PORTION_S)):
            self.now += PORTION_S
            self.look()

    def look(self) -> None:
        """One turn of the engine."""
        before = self.reader.read
        if gap := self.detector.check(self.now):
            self.gaps.append((before, gap))
        held = self.detector.held_from
        self.reader.take(self.ring.capacity if held is None else held - self.reader.read)

    @property
    def lengths(self) -> list[float]:
        """Length of each gap in seconds."""
        return [gap.ended - gap.began for _, gap in self.gaps if gap.ended is not None]


def test_a_jump_of_the_servers_timestamps_is_a_gap_of_its_length_at_its_place_and_delays_nothing() -> None:
    sound = Hearing(stamped=True)
    sound.hear(5)
    sound.jumps.add(sound.ring.written, 0.7)
    sound.wait(0.7)
    sound.hear(5)
    assert sound.lengths == [pytest.approx(0.7)]
    assert sound.gaps[0][0] == 5 * RATE
    assert sound.reader.read == 10 * RATE


def test_a_jump_within_a_segment_that_arrives_at_once_is_a_gap_at_its_place() -> None:
    sound = Hearing(stamped=True)
    sound.hear(6, at_once=True)
    sound.wait(6)
    sound.hear(2, at_once=True)
    sound.jumps.add(sound.ring.written, 1.0)
    sound.hear(3, at_once=True)
    assert sound.lengths == [pytest.approx(1.0)]
    assert sound.gaps[0][0] == 8 * RATE
    assert sound.reader.read == 11 * RATE


def test_every_stream_of_a_device_is_told_each_jump_once_and_one_that_joins_later_only_the_later_ones() -> None:
    sound = Hearing(stamped=True)
    sound.hear(5)
    sound.jumps.add(sound.ring.written, 0.5)
    sound.hear(1)
    joined = RingReader(sound.ring)
    joined.read = joined.written
    late = NetworkGapDetector(joined, RATE, sound.jumps)
    sound.hear(0.5)
    assert late.held_from is None
    sound.jumps.add(sound.ring.written, 0.25)
    sound.hear(1)
    assert sound.lengths == [pytest.approx(0.5), pytest.approx(0.25)]
    assert late.held_from == 6.5 * RATE
    joined.take(late.held_from - joined.read)
    gap = late.check(sound.now)
    assert gap is not None
    assert gap.ended is not None
    assert gap.ended - gap.began == pytest.approx(0.25)


@given(lost_s=st.floats(0.2, 1.4))
@settings(max_examples=20, deadline=None)
def test_sound_without_timestamps_that_never_arrives_is_one_gap_of_its_length(lost_s: float) -> None:
    sound = Hearing()
    sound.hear(5)
    sound.now += lost_s
    sound.hear(10)
    assert sound.lengths == [pytest.approx(lost_s, abs=0.06)]
    assert sound.gaps[0][0] == 5 * RATE, "the gap is where the sound is missing"
    assert sound.reader.read == 15 * RATE, "and all that arrived is scored"


def test_sound_that_arrives_late_is_no_gap_and_is_read_at_once_when_all_of_it_is_there() -> None:
    sound = Hearing()
    sound.hear(5)
    sound.wait(1.2)
    sound.hear(1.2, at_once=True)
    sound.hear(0.1)
    assert sound.gaps == []
    assert sound.reader.read == round(6.3 * RATE)


def test_lost_packets_add_up_to_gaps_even_if_each_is_short() -> None:
    sound = Hearing()
    for _ in range(60):
        sound.hear(0.95)
        sound.now += PORTION_S  # of each second a portion is lost
    sound.hear(10)
    assert sum(sound.lengths) == pytest.approx(3.0, abs=0.3)


def test_sound_in_doubt_never_fills_the_ring() -> None:
    sound = Hearing(capacity_s=8.0)
    sound.hear(5)
    for _ in range(2000):  # half of what is sent arrives
        sound.now += PORTION_S
        sound.hear(PORTION_S)
        assert sound.reader.available < 0.8 * sound.ring.capacity
    assert sum(sound.lengths) == pytest.approx(100.0, abs=8.0)


def test_a_gap_of_which_the_engine_hears_late_is_where_it_was() -> None:
    """The engine was busy for some seconds."""
    sound = Hearing()
    sound.hear(5)
    read = sound.reader.read
    for silent_s in (0.0, 1.0):
        sound.now += silent_s
        for _ in range(60):
            sound.now += PORTION_S
            sound.ring.write(np.zeros((round(PORTION_S * RATE), 1), np.float32))
            sound.ring.written_at = sound.now
    assert sound.reader.read == read
    sound.hear(8)
    assert sound.lengths == [pytest.approx(1.0, abs=0.06)]
    assert sound.reader.read == sound.ring.written


@settings(max_examples=40, deadline=None)
@given(
    steps=st.lists(
        st.tuples(st.sampled_from(["sound", "late", "lost", "jump", "restart"]), st.floats(0.1, 1.4)), max_size=12
    ),
    stamped=st.booleans(),
)
def test_whatever_happens_all_samples_are_read_in_the_end_and_gaps_are_in_order(
    steps: list[tuple[str, float]], stamped: bool
) -> None:
    sound = Hearing(stamped=stamped)
    for kind, seconds in steps:
        sound.hear(seconds)
        if kind == "late":
            sound.wait(seconds)
            sound.hear(seconds, at_once=True)
        elif kind == "lost":
            sound.wait(seconds)
        elif kind == "jump":
            sound.jumps.add(sound.ring.written, seconds)
        elif kind == "restart":
            sound.reader.skip()
            sound.detector.restart()
    sound.hear(20)
    assert sound.reader.read == sound.ring.written
    assert all(length > 0 for length in sound.lengths)
    places = [read for read, _ in sound.gaps]
    assert places == sorted(places)
