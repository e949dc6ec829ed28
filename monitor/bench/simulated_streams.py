"""Streams of simulated devices, whose engine the benchmark runs turn by turn or lets run."""

from __future__ import annotations

import math
import time
from collections import deque
from collections.abc import Sequence

import numpy as np

from monitor.audio.ring_buffer import RingReader, SampleRing
from monitor.bundle.bundle import Bundle
from monitor.config.setting_types import Channel
from monitor.core.errors import MonitorError
from monitor.runtime.builder import StreamPlan, build_engine
from monitor.runtime.engine import Engine
from monitor.runtime.stream_input import LIVE_CHUNK_S
from monitor.sources.gap_detector import GapDetector
from monitor.sources.source import Mark

AMPLITUDE = 0.03  # of the noise that they deliver
SETTLE = 6  # turns before a measurement, because the first scores come after two seconds of sound


class RingSource:
    """A source whose ring is written by the benchmark. For the engine it is a live device."""

    speed, live, lost_since, overflows, name = 1.0, True, None, 0, "a simulated device"
    clock_ppm = math.nan
    error: MonitorError | None = None
    gap_detector = staticmethod(GapDetector)

    def __init__(self, ring: SampleRing, sample_rate: int, channel: Channel) -> None:
        self.reader, self.sample_rate = RingReader(ring, channel), sample_rate
        self.marks = deque[Mark]()

    def start(self) -> None:
        """Does nothing."""

    def stop(self) -> None:
        """Does nothing."""


class StreamsInTurns:
    """An engine with streams that have a device each. Samples are always there, so nothing waits.

    Args:
        bundle: the model of all streams.
        count: number of streams.
        precision: as `listening.precision`.
        processors: as for `build_engine`.
        device: as for `build_engine`.
    """

    def __init__(
        self, bundle: Bundle, count: int, precision: str, processors: int | None = None, device: str = "cpu"
    ) -> None:
        self._rate = bundle.config.features.sample_rate
        chunk = round(LIVE_CHUNK_S * self._rate)
        self._rings = [SampleRing(2 * chunk) for _ in range(count)]
        sources = [RingSource(ring, self._rate, "mix") for ring in self._rings]
        self.engine = engine_of(bundle, sources, precision, processors, device)
        self._sound = AMPLITUDE * np.random.default_rng(0).standard_normal((chunk, 1), np.float32)
        self._began = time.monotonic() - 86400  # pretends that samples arrive in real time, so that there are no gaps

    def turn(self) -> tuple[float, float]:
        """Writes LIVE_CHUNK_S of sound into every ring, and runs one turn of the engine.

        Returns:
            the seconds of the turn by the clock, and its processor time.
        """
        for ring in self._rings:
            ring.write(self._sound)
            ring.written_at = self._began + ring.written / self._rate
        before, cpu = time.perf_counter(), time.process_time()
        self.engine.take_turns()
        return time.perf_counter() - before, time.process_time() - cpu

    def settle(self) -> None:
        """Runs turns until each portion of sound has scores."""
        for _ in range(SETTLE):
            self.turn()

    def end(self) -> None:
        """Ends the engine.

        Raises:
            MonitorError: if it, or a stream, has failed.
        """
        end(self.engine)


def engine_of(
    bundle: Bundle, sources: Sequence[RingSource], precision: str, processors: int | None = None, device: str = "cpu"
) -> Engine:
    """An engine with a stream of each source; arguments as for `StreamsInTurns`."""
    plans = [
        StreamPlan(bundle, bundle.config, source, "bench", f"stream {number}") for number, source in enumerate(sources)
    ]
    return build_engine(plans, device=device, precision=precision, processors=processors)


def end(engine: Engine) -> None:
    """Ends an engine.

    Raises:
        MonitorError: if it, or a stream, has failed.
    """
    engine.stop()
    if engine.error is not None:
        raise engine.error
