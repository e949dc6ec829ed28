"""The engine begins a turn when the samples of most streams are there, and no stream waits long for others."""

from __future__ import annotations

from collections.abc import Sequence
from types import SimpleNamespace
from typing import cast

import numpy as np
import pytest

from monitor.audio.ring_buffer import RingReader, SampleRing
from monitor.runtime.monitored_stream import MonitoredStream
from monitor.runtime.turn_pacer import IDLE_TURN_S, LONGEST_TURN_S, LOOK_S, POLL_S, WAIT_S, WORKING_SHARE, wait_for_turn
from support.clock import Clock

HOP = 160
BLOCK = np.zeros((HOP, 1), np.float32)


class Rings:
    """Streams as far as their turns depend on them, and when their devices deliver a hop."""

    def __init__(self, clock: Clock, arrivals: Sequence[float]) -> None:
        self.clock, self._arrivals = clock, sorted((at, stream) for stream, at in enumerate(arrivals))
        self.rings = [SampleRing(100 * HOP) for _ in arrivals]
        live = SimpleNamespace(live=True)
        inputs = [SimpleNamespace(reader=RingReader(ring), portion=HOP) for ring in self.rings]
        self.streams = [cast(MonitoredStream, SimpleNamespace(source=live, input=one)) for one in inputs]
        for ring in self.rings:
            ring.written_at = clock.now  # all are heard
        clock.while_sleeping = lambda _: self.deliver()

    def deliver(self) -> None:
        while self._arrivals and self._arrivals[0][0] <= self.clock.now:
            self.rings[self._arrivals.pop(0)[1]].write(BLOCK)

    def waits(self, worked_s: float = 0.0) -> float:
        """How long it is from the beginning of a turn that takes `worked_s` to the beginning of the next one."""
        began = self.clock.now
        self.clock.sleep(worked_s)
        wait_for_turn(self.streams, began, worked=worked_s > 0)
        return self.clock.now - began


@pytest.fixture
def clock(monkeypatch: pytest.MonkeyPatch) -> Clock:
    return Clock(monkeypatch, "monitor.runtime.turn_pacer")


def at(clock: Clock, *seconds: float) -> list[float]:
    return [clock.now + one for one in seconds]


def test_devices_that_deliver_together_are_scored_as_soon_as_they_have(clock: Clock) -> None:
    delivered_s = 0.007
    assert Rings(clock, at(clock, *[delivered_s] * 8)).waits() <= delivered_s + POLL_S + 1e-9


def test_samples_wait_for_those_of_other_streams_but_not_long(clock: Clock) -> None:
    first_s = 0.003
    assert Rings(clock, at(clock, first_s, 0.05, 0.06, 0.07)).waits() <= first_s + POLL_S + WAIT_S + LOOK_S + 1e-9
    half_s = 0.006
    assert Rings(clock, at(clock, first_s, half_s, 0.05, 0.06)).waits() == pytest.approx(half_s, abs=POLL_S)


def test_streams_that_get_no_samples_are_not_waited_for(clock: Clock) -> None:
    rings = Rings(clock, at(clock, 0.003, 9.0, 9.0, 9.0, 9.0))
    for ring in rings.rings[1:]:
        ring.written_at -= 60.0
    assert rings.waits() <= 0.003 + POLL_S + 1e-9


def test_sound_that_cannot_be_taken_yet_does_not_keep_the_processor_busy(clock: Clock) -> None:
    """As after a stall, until all that was late has come."""
    rings = Rings(clock, at(clock, 0.0, 0.0))
    rings.deliver()
    assert rings.waits() > 0


def test_many_streams_that_deliver_at_any_time_make_turns_longer_so_that_they_take_a_share_of_the_time(
    clock: Clock,
) -> None:
    worked_s = 0.012
    assert Rings(clock, at(clock, *np.linspace(0, 0.1, 40))).waits(worked_s) >= worked_s / WORKING_SHARE - 1e-9


def test_a_busy_computer_takes_turns_as_fast_as_it_can(clock: Clock) -> None:
    worked_s = 2 * LONGEST_TURN_S
    assert Rings(clock, at(clock, *np.linspace(0, 0.1, 40))).waits(worked_s) <= worked_s + LOOK_S


def test_without_samples_there_is_a_turn_now_and_then_because_sources_are_watched(clock: Clock) -> None:
    assert Rings(clock, []).waits() <= IDLE_TURN_S + POLL_S
    assert Rings(clock, at(clock, 9.0, 9.0)).waits() <= IDLE_TURN_S + POLL_S
