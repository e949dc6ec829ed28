"""From times of arrival alone: sound that is late is no gap, and missing sound is a gap of its length."""

from __future__ import annotations

import random
from collections.abc import Iterator
from dataclasses import dataclass

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from monitor.sources.network.late_sound import LateSound

HOURS_12 = 12 * 3600.0
ERROR_S = 0.05  # of the length of a gap
DRIFT_ERROR = 2e-3  # of it as a share, while the sender's clock is not known


@dataclass
class Network:
    """A sender, and a network between it and us.

    Args:
        ppm: by how much the sender's clock is fast.
        jitter_s: mean delay of a portion.
        stalls_s: the network holds everything up for one of these times, once in five minutes on average.
        portion_s: sound that is sent at a time.
        seed: of the random delays.
    """

    ppm: float = 0.0
    jitter_s: float = 0.02
    stalls_s: tuple[float, ...] = (0.2, 0.4, 0.8, 1.6)  # as the waits of TCP before it sends again
    portion_s: float = 0.25
    seed: int = 1

    def __post_init__(self) -> None:
        self._random = random.Random(self.seed)
        self._held_until = self._at = 0.0

    def arrivals(self, seconds: float, lost: tuple[tuple[float, float], ...] = ()) -> Iterator[tuple[float, float]]:
        """Times of arrival, and seconds of sound that have arrived by then.

        Args:
            seconds: length of the sound.
            lost: beginning and length of each time of which all sound is lost.
        """
        position = 0.0
        for number in range(1, int(seconds / self.portion_s) + 1):
            sent = number * self.portion_s / (1 + self.ppm * 1e-6)
            if any(began < sent <= began + length + 1e-9 for began, length in lost):
                continue
            position += self.portion_s
            if self.stalls_s and self._random.random() < self.portion_s / 300:
                self._held_until = sent + self._random.choice(self.stalls_s)
            delay = 0.005 + self._random.expovariate(1 / self.jitter_s) if self.jitter_s else 0.005
            self._at = max(sent + delay, self._held_until, self._at)
            yield self._at, position


def missing(arrivals: Iterator[tuple[float, float]], **how: bool) -> list[tuple[float, float]]:
    """When something was found to be missing, and how much."""
    late = LateSound(**how)
    found = ((at, late.arrive(at, position)) for at, position in arrivals)
    return [(at, seconds) for at, seconds in found if seconds]


@pytest.mark.parametrize("ppm", [200, -200, 1000, -1000])
def test_twelve_hours_of_a_sender_whose_clock_is_wrong_have_no_gap_over_a_network_with_stalls(ppm: float) -> None:
    assert missing(Network(ppm).arrivals(HOURS_12)) == []


@settings(max_examples=30, deadline=None)
@given(
    ppm=st.floats(-1000, 1000),
    jitter_s=st.floats(0, 0.05),
    portion_s=st.sampled_from([0.02, 0.1, 0.5]),
    seed=st.integers(0, 1 << 16),
)
def test_no_clock_jitter_or_portion_makes_a_gap(ppm: float, jitter_s: float, portion_s: float, seed: int) -> None:
    assert missing(Network(ppm, jitter_s, portion_s=portion_s, seed=seed).arrivals(600)) == []


@settings(max_examples=60, deadline=None)
@given(
    ppm=st.floats(-1000, 1000),
    jitter_s=st.floats(0, 0.02),
    lengths=st.lists(st.one_of(st.floats(0.2, 2.0), st.floats(2.0, 180.0)), min_size=1, max_size=4),
    seed=st.integers(0, 1 << 16),
)
def test_sound_that_was_lost_is_found_and_how_much(
    ppm: float, jitter_s: float, lengths: list[float], seed: int
) -> None:
    portion_s, lost, at = 0.02, [], 30.0
    for length in lengths:
        lost.append((at, round(length / portion_s) * portion_s))
        at += length + 30.0
    network = Network(ppm, jitter_s, stalls_s=(), portion_s=portion_s, seed=seed)
    found = missing(network.arrivals(at, tuple(lost)))
    assert len(found) == len(lost)
    for (began, length), (known_at, seconds) in zip(lost, found, strict=True):
        assert seconds == pytest.approx(length, abs=ERROR_S + DRIFT_ERROR * length)
        assert began + length < known_at < began + length + 15


@pytest.mark.parametrize("kept_s", [0.5, 8.0, 60.0])
def test_what_a_server_had_kept_and_sends_at_once_when_we_connect_makes_no_gap(kept_s: float) -> None:
    """Icecast sends some seconds of the past, over a connection that begins slowly."""
    burst = [(0.1 + 0.5 * share, share * kept_s) for share in (0.1, 0.3, 0.6, 1.0)]
    live = [(0.6 + at, kept_s + position) for at, position in Network().arrivals(300)]
    assert missing(iter(burst + live)) == []


def test_sound_that_comes_back_slowly_over_a_thin_line_is_late_and_not_missing() -> None:
    """Three seconds pile up, and come at one and a half times real time."""
    steady = Network(stalls_s=(), portion_s=0.05).arrivals(120)
    delayed = ((at if position < 60 else max(at, 63.0 + (position - 60.0) / 1.5), position) for at, position in steady)
    assert missing(delayed) == []


def test_segments_that_come_at_once_every_six_seconds_make_no_gap_and_neither_do_looks_that_miss_one() -> None:
    chance, arrivals = random.Random(3), []
    for segment in range(1, 2000):
        ready = 6.0 * segment / (1 + 200e-6)
        at = ready + chance.choice((0.1, 0.4, 3.1))
        arrivals += [(at + 0.01 * part, 6.0 * (segment - 1) + part) for part in range(1, 7)]
    assert missing(iter(arrivals), stamped=True) == []


def test_a_sender_that_delivers_half_of_its_sound_is_found_whether_or_not_it_has_timestamps() -> None:
    slow = [(2 * at, position) for at, position in Network(stalls_s=()).arrivals(60)]
    for stamped in (False, True):
        found = missing(iter(slow), stamped=stamped)
        assert sum(seconds for _, seconds in found) == pytest.approx(60, abs=15)


def test_sound_in_doubt_is_decided_before_there_is_too_much_of_it() -> None:
    late = LateSound(longest_doubt_s=4.0)
    doubt_began = None
    for at, position in ((2 * at, position) for at, position in Network(stalls_s=()).arrivals(60)):
        late.arrive(at, position)
        doubt_began = (doubt_began or at) if late.in_doubt else None
        assert doubt_began is None or at - doubt_began < 4.0 + 2.0
