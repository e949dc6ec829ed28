"""The clock of a sender in the network is absorbed: no false gap, every sample scored, and the right time of each."""

from __future__ import annotations

import random

import numpy as np
import pytest

from monitor.audio.ring_buffer import RingReader
from monitor.core.events import ScoreRows
from monitor.outputs.sink import Sink
from monitor.runtime.builder import build_engine
from monitor.sources.gap_detector import Gaps
from monitor.sources.network.clock_drift import ClockDrift
from monitor.sources.network.gap_detector import NetworkGapDetector
from monitor.sources.network.time_jumps import TimeJumps
from support.builders import RATE, noise, small_bundle
from support.clock import Clock
from support.listening import HandFedSource, never_alarmed, plan
from support.live_stream import MODULES

PORTION_S = 0.5


class NetworkSource(HandFedSource):
    """A source in the network, which the test writes to."""

    gap_detector = staticmethod(lambda reader, rate: _gaps(reader, rate))


def _gaps(reader: RingReader, rate: int) -> Gaps:
    return NetworkGapDetector(reader, rate, TimeJumps())


class Lateness(Sink):
    """By how much the time of each score differs from the time at which its sound was sent."""

    def __init__(self, ppm: float, began: float) -> None:
        self.least_s, self.most_s = np.inf, -np.inf
        self._ppm, self._began = ppm, began

    def scores(self, rows: ScoreRows) -> None:
        sent = self._began + rows.first * rows.hop_s / (1 + self._ppm * 1e-6)
        self.least_s = min(self.least_s, rows.wall_time - sent)
        self.most_s = max(self.most_s, rows.wall_time - sent)


@pytest.mark.parametrize(
    ("hours", "ppm"),
    [
        (1 / 30, 5000.0),
        pytest.param(12.0, 200.0, marks=pytest.mark.soak),
        pytest.param(12.0, -200.0, marks=pytest.mark.soak),
    ],
)
def test_sound_of_a_sender_whose_clock_is_wrong_is_scored_whole_and_at_its_time(
    hours: float, ppm: float, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Over a network with delays, and stalls of up to 1.4 s. 200 ppm are 8.6 s in twelve hours."""
    clock, chance, measured = Clock(monkeypatch, *MODULES), random.Random(1), ClockDrift()
    source, lateness = NetworkSource(), Lateness(ppm, clock.time())
    engine = build_engine([plan(never_alarmed(small_bundle()), source, sinks=[lateness])], device="cpu")
    [stream] = engine.streams
    began, held_until, sound = clock.now, 0.0, noise(RATE, seed=2)
    portion = sound[: round(PORTION_S * RATE)]
    count = round(3600 * hours / PORTION_S)
    for number in range(1, count + 1):
        sent = began + number * PORTION_S / (1 + ppm * 1e-6)
        if chance.random() < PORTION_S / 120 and number < count - 20:
            held_until = sent + chance.choice((0.2, 0.4, 0.8, 1.4))
        clock.now = max(clock.now, sent + 0.005 + chance.expovariate(1 / 0.02), held_until)
        source.write(portion)
        measured.observe(clock.now, number * PORTION_S)
        clock.now += 0.001  # the delivery is complete
        engine.take_turns()
    source.end()
    while not stream.latest.finished:  # a turn takes half a second of sound
        clock.sleep(0.01)
        engine.take_turns()
    assert stream.latest.lost_s == 0.0
    assert stream.scored == stream.captured == source.ring.written
    assert -0.1 < lateness.least_s < lateness.most_s < 1.7
    if hours > 1:
        assert measured.error is not None
        assert measured.error.ppm == pytest.approx(ppm, abs=5)
