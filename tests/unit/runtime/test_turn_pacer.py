"""The engine begins a turn when the samples of most streams are there, and no stream waits long for others."""

from __future__ import annotations

from collections.abc import Sequence
from types import SimpleNamespace
from typing import cast

import numpy as np
import pytest

from monitor.config.schema import Features
from monitor.runtime.monitored_stream import MonitoredStream
from monitor.runtime.stream_input import StreamInput
from monitor.runtime.turn_pacer import (
    EARLY_S,
    IDLE_TURN_S,
    LONGEST_TURN_S,
    LOOK_S,
    POLL_S,
    WAIT_S,
    WORKING_SHARE,
    wait_for_turn,
)
from support.clock import Clock
from support.listening import HandFedSource

RATE, HOP = 16000, 160
BLOCK_S = HOP / RATE
BLOCK = np.zeros((HOP, 1), np.float32)


class Rings:
    """Streams as far as their turns depend on them, and when their devices deliver a hop."""

    def __init__(self, clock: Clock, arrivals: Sequence[float], hops: int = 1) -> None:
        self.clock, self._arrivals = clock, sorted((at, stream) for stream, at in enumerate(arrivals))
        sources = [HandFedSource(rate=RATE) for _ in arrivals]
        self.rings = [source.ring for source in sources]
        inputs = [StreamInput(source, Features(), portion_s=hops * BLOCK_S, long_chunks=False) for source in sources]
        self.streams = [
            cast(MonitoredStream, SimpleNamespace(source=source, input=one))
            for source, one in zip(sources, inputs, strict=True)
        ]
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


@pytest.mark.parametrize("late_s", [-0.001, 0.0, 0.001])
def test_devices_that_deliver_together_are_scored_as_soon_as_they_have(clock: Clock, late_s: float) -> None:
    assert Rings(clock, at(clock, *[BLOCK_S + late_s] * 8)).waits() <= BLOCK_S + late_s + POLL_S + 1e-9


def test_samples_that_come_before_they_are_expected_wait_but_not_long(clock: Clock) -> None:
    assert Rings(clock, at(clock, *[0.001] * 8)).waits() <= BLOCK_S + POLL_S + 1e-9


def test_samples_wait_for_those_of_other_streams_but_not_long(clock: Clock) -> None:
    rings = Rings(clock, at(clock, BLOCK_S, 0.05, 0.06, 0.07))
    assert rings.waits() <= BLOCK_S + POLL_S + WAIT_S + LOOK_S + 1e-9
    rings = Rings(clock, at(clock, BLOCK_S, BLOCK_S + 0.003, 0.05, 0.06))
    assert rings.waits() == pytest.approx(BLOCK_S + 0.003, abs=POLL_S)


def test_samples_do_not_wait_for_streams_whose_portion_ends_later(clock: Clock) -> None:
    rings = Rings(clock, at(clock, BLOCK_S, 9.0, 9.0, 9.0, 9.0), hops=10)
    rings.rings[0].write(np.zeros((9 * HOP, 1), np.float32))
    assert rings.waits() <= BLOCK_S + POLL_S + 1e-9


def test_streams_that_get_no_samples_are_not_waited_for(clock: Clock) -> None:
    rings = Rings(clock, at(clock, BLOCK_S, 9.0, 9.0, 9.0, 9.0))
    for ring in rings.rings[1:]:
        ring.written_at -= 60.0
    assert rings.waits() <= BLOCK_S + POLL_S + 1e-9


def test_sound_that_cannot_be_taken_yet_does_not_keep_the_processor_busy(clock: Clock) -> None:
    """As after a stall, until all that was late has come."""
    rings = Rings(clock, at(clock, 0.0, 0.0))
    rings.deliver()
    assert rings.waits() > 0


def test_many_streams_that_deliver_at_any_time_make_turns_longer_so_that_they_take_a_share_of_the_time(
    clock: Clock,
) -> None:
    worked_s = LONGEST_TURN_S * WORKING_SHARE
    assert Rings(clock, at(clock, *np.linspace(0, 0.1, 40))).waits(worked_s) >= LONGEST_TURN_S - 1e-9


def test_a_busy_computer_takes_turns_as_fast_as_it_can(clock: Clock) -> None:
    worked_s = 10 * LONGEST_TURN_S
    assert Rings(clock, at(clock, *np.linspace(0, 0.1, 40))).waits(worked_s) <= worked_s + LOOK_S


def test_without_samples_there_is_a_turn_now_and_then_because_sources_are_watched(clock: Clock) -> None:
    assert Rings(clock, []).waits() <= IDLE_TURN_S + EARLY_S
    assert Rings(clock, at(clock, 9.0, 9.0)).waits() <= IDLE_TURN_S + EARLY_S
