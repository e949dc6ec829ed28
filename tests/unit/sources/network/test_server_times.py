"""Missing sound is found in the times that a server gives to its sound, and nothing else is."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from monitor.sources.network.server_times import ServerTimes

PORTION_S = 0.02


class Listening:
    """Portions of a server's sound, one after another."""

    def __init__(self, first_time_s: float = 0.0, drift: float = 0.0) -> None:
        self.times, self.found = ServerTimes(), list[float]()
        self._now, self._time_s, self._samples_s, self._drift = 1000.0, first_time_s, 0.0, drift

    def hear(self, seconds: float, *, at_once: bool = False) -> None:
        """Sound that arrives in real time, or at once."""
        for _ in range(round(seconds / PORTION_S)):
            self._now += 0.0 if at_once else PORTION_S
            if missing := self.times.portion(self._now, self._time_s, self._samples_s, PORTION_S):
                self.found.append(missing)
            self._samples_s += PORTION_S
            self._time_s += PORTION_S * (1 + self._drift)

    def jump(self, seconds: float, passed_s: float | None = None) -> None:
        """The server's times jump, while so much time passes; None: as much."""
        self._time_s += seconds
        self._now += seconds if passed_s is None else passed_s


@given(seconds=st.floats(0.15, 3000.0), first=st.floats(0, 1e6))
def test_sound_that_the_server_left_out_is_missing(seconds: float, first: float) -> None:
    server = Listening(first)
    server.hear(3)
    server.jump(seconds)
    server.hear(3)
    assert server.found == [pytest.approx(seconds, abs=0.01)]
    assert server.times.missing_s == pytest.approx(seconds, abs=0.01)


def test_sound_that_was_left_out_of_a_segment_that_arrives_at_once_is_missing() -> None:
    server = Listening()
    server.hear(18, at_once=True)
    for _ in range(4):
        server.jump(0, 6.0)
        server.hear(6, at_once=True)
    server.jump(0, 6.0)
    server.hear(2, at_once=True)
    server.jump(1.5, 0.0)
    server.hear(2.5, at_once=True)
    assert server.found == [pytest.approx(1.5)]


@given(seconds=st.floats(5, 1e5), heard_s=st.floats(0.1, 3))
def test_the_present_of_a_stream_that_has_run_for_long_is_no_gap_after_its_beginning(
    seconds: float, heard_s: float
) -> None:
    """Icecast sends the beginning of an Ogg stream to whom connects, and goes on with the present."""
    server = Listening()
    server.hear(heard_s, at_once=True)
    server.jump(seconds, 0.0)
    server.hear(30)
    assert server.found == []


def test_times_that_jump_back_are_no_gap_and_later_gaps_are_found() -> None:
    server = Listening(1000.0)
    server.hear(3)
    server.jump(-990, 0.0)
    server.hear(3)
    server.jump(0.5)
    server.hear(3)
    assert server.found == [pytest.approx(0.5)]


@pytest.mark.parametrize("drift", [1e-3, -1e-3])
def test_times_of_another_clock_than_the_samples_are_no_gap_for_hours(drift: float) -> None:
    server = Listening(drift=drift)
    server.hear(3600)
    assert server.found == []
