"""Streams for tests: a source that the test writes to, a sink that records all calls, and engines run to their end."""

from __future__ import annotations

import math
import time
from collections import deque
from collections.abc import Callable, Sequence
from dataclasses import replace
from pathlib import Path

import numpy as np

from monitor.audio.ring_buffer import RingReader, SampleRing
from monitor.bundle.bundle import Bundle
from monitor.config.schema import Config
from monitor.core.errors import MonitorError
from monitor.core.events import Event, ScoreRows
from monitor.core.types import FloatArray
from monitor.outputs.sink import Sink
from monitor.runtime.builder import StreamPlan, build_engine
from monitor.runtime.engine import Engine
from monitor.sources.file_replay import FileReplay
from monitor.sources.gap_detector import GapDetector
from monitor.sources.source import Mark, Source
from monitor.streaming.stream_batch import StreamBatch
from support.builders import RATE, noise, small_bundle

DEADLINE_S = 600.0  # for conditions that are certain to become true: a test fails only if one never does


def wait_until(condition: Callable[[], object], what: str = "it") -> None:
    """Waits until a condition is true, and fails if it never becomes true."""
    deadline = time.monotonic() + DEADLINE_S
    while not condition():
        assert time.monotonic() < deadline, f"{what} did not happen in {DEADLINE_S:.0f} s"
        time.sleep(0.005)


class RememberingSink(Sink):
    """Records all calls."""

    def __init__(self) -> None:
        self.power: list[tuple[int, FloatArray]] = []
        self.events: list[Event] = []
        self.rows: list[ScoreRows] = []
        self.closed = 0

    def frames(self, first: int, power: FloatArray) -> None:
        self.power.append((first, power))

    def event(self, event: Event) -> None:
        self.events.append(event)

    def scores(self, rows: ScoreRows) -> None:
        self.rows.append(rows)

    def close(self) -> None:
        self.closed += 1

    @property
    def score(self) -> np.ndarray:
        """All scores, one after another."""
        return np.concatenate([np.zeros(0), *(rows.score for rows in self.rows)])


class HandFedSource:
    """A source whose ring the test writes to, as a device's callback would.

    Args:
        live: whether a device sets the pace, as with a microphone. Then gaps are detected by the clock, also between
            pieces that a test writes. Otherwise the engine reads samples regardless of when they were written.
        capacity: capacity of the ring in samples.
    """

    speed = 1.0
    clock_ppm = math.nan
    error: MonitorError | None = None
    gap_detector = staticmethod(GapDetector)

    def __init__(
        self, *, rate: int = RATE, live: bool = True, capacity: int | None = None, name: str = "by hand"
    ) -> None:
        self.live, self.sample_rate, self.name = live, rate, name
        self.ring = SampleRing(capacity or 40 * rate)
        self.reader = RingReader(self.ring)
        self.marks: deque[Mark] = deque()
        self.lost_since: float | None = None
        self.overflows = 0

    def start(self) -> None:
        """Nothing to start."""

    def stop(self) -> None:
        """Nothing to stop."""

    def write(self, samples: FloatArray) -> None:
        """Writes the next samples (n,) at once."""
        self.ring.write(samples[:, None])

    def end(self) -> None:
        """Marks the end of the sound."""
        self.marks.append(Mark(self.ring.written, "end"))


def with_thresholds(bundle: Bundle, times: float) -> Bundle:
    """Returns the model with its thresholds multiplied by `times`."""
    return replace(
        bundle,
        thresholds={
            name: one.model_copy(update={"value": times * one.value}) for name, one in bundle.thresholds.items()
        },
    )


def never_alarmed(bundle: Bundle) -> Bundle:
    """Returns the model with thresholds that no score reaches."""
    return with_thresholds(bundle, 1e9)


def alarmed_by_loud_noise(config: Config) -> Bundle:
    """A model for which noise of amplitude 0.1 is normal, and noise of four times that amplitude is an anomaly."""
    made, rate = small_bundle(config), config.features.sample_rate
    [portion] = StreamBatch(made).push(noise(20 * rate, seed=4, streams=1), [0]).portions()
    normal = np.sort(portion.score[np.isfinite(portion.score)])
    score = made.thresholds["score"].model_copy(update={"value": 1.5 * float(normal[-1])})
    return replace(made, thresholds=made.thresholds | {"score": score}, normal_scores=1.05 * normal)


def plan(
    bundle: Bundle,
    source: Source,
    *,
    config: Config | None = None,
    name: str = "",
    sinks: Sequence[Sink] = (),
) -> StreamPlan:
    """Returns the plan of a stream, by default with the model's own settings."""
    return StreamPlan(bundle, config or bundle.config, source, "a model", name, sinks)


def replay_plan(
    bundle: Bundle, files: Sequence[Path], *, name: str = "", speed: float = math.inf, gapless: bool = False
) -> tuple[StreamPlan, RememberingSink]:
    """Returns the plan of a stream that replays recordings, and its sink."""
    features, sink = bundle.config.features, RememberingSink()
    source = FileReplay(files, features.sample_rate, features.channel, speed=speed, gapless=gapless)
    return plan(bundle, source, name=name, sinks=[sink]), sink


def run_to_end(*plans: StreamPlan) -> Engine:
    """Runs these streams to their end, on the processor, and returns the engine."""
    engine = build_engine(plans, device="cpu", precision="float32")
    engine.start()
    try:
        wait_until(lambda: engine.finished, "the end of the sound")
    finally:
        engine.stop()
    return engine
