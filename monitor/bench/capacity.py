"""Section "streams": how many streams this computer can monitor in real time, and the latency of 64 live streams."""

from __future__ import annotations

import math
import resource
import threading
import time
from collections import deque
from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass

import numpy as np

from monitor.audio.ring_buffer import RingReader, SampleRing
from monitor.bench.timing import Section, time_all
from monitor.bundle.bundle import Bundle
from monitor.config.setting_types import Channel
from monitor.core.errors import MonitorError
from monitor.core.thread_pool import available_processors
from monitor.core.types import FloatArray
from monitor.model.device import native_bfloat16
from monitor.model.network import Compute
from monitor.runtime.builder import StreamPlan, build_engine
from monitor.runtime.engine import Engine
from monitor.runtime.latency import Spread
from monitor.runtime.monitored_stream import LIVE_CHUNK_S
from monitor.runtime.session import low_latency
from monitor.sources.gap_detector import GapDetector
from monitor.sources.source import Mark
from monitor.streaming.portion import BatchResult
from monitor.streaming.score_batch import WINDOWS_AT_ONCE

COUNTS = (1, 8, 64, 256, 512, 1024, 2000)  # numbers of streams
SECONDS = 2.0  # measured for each number of streams
MIN_TURNS = 3  # turns of the engine that are measured at least
SETTLE = 6  # turns before the measurement, because the first scores come after two seconds of sound
PARTS_OF = 256  # streams for the measurement of costs
REPEATED = 20  # runs of the network in one timing
LIVE, LIVE_S, LIVE_SETTLE_S = 64, 10.0, 5.0  # live streams, seconds of measurement, seconds before it
CHANNELS = 8  # of each simulated live device
AMPLITUDE = 0.03


@dataclass(frozen=True, slots=True)
class Capacity:
    """The cost of a number of streams, from samples to alarm and history. The fields are keys of the JSON output."""

    count: int  # number of streams
    precision: str
    turns: int  # turns that were measured, each with LIVE_CHUNK_S of sound of every stream
    computing_s: float  # mean time to process one second of sound of every stream
    cpu_s: float  # processor time for the same, summed over processors: it does not depend on other load
    kept_up_with: float  # number of streams that can be processed in real time, from computing_s


@dataclass(frozen=True, slots=True)
class Costs:
    """The time that parts of the computation take on one processor."""

    network_us: float  # the network, for one window
    computing_us: float  # everything from samples to score, including the network, for one window
    python_us: float  # collecting samples, alarm and history, for LIVE_CHUNK_S of one stream


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


def measure(bundle: Bundle) -> Section:
    """Measures capacity and costs for each number of streams and precision, the latency of live streams, and memory."""
    precisions = ["float32", *(["bfloat16"] if native_bfloat16("cpu") else [])]
    memory = _peak_memory()
    results = {precision: capacity(bundle, COUNTS, SECONDS, precision) for precision in precisions}
    memory_per_stream = (_peak_memory() - memory) / max(COUNTS)
    threads, single = available_processors(), results["float32"][0].kept_up_with
    lines = [f"{threads} threads, from samples to alarm, {LIVE_CHUNK_S:g} s at a time; capacity in streams"]
    for i, count in enumerate(COUNTS):
        columns = "   ".join(f"{name} {results[name][i].kept_up_with:5.0f}" for name in results)
        lines.append(f"{count:5} streams at once: {columns}")
    best = {name: max(one.kept_up_with for one in every) for name, every in results.items()}
    for name, aim in zip(precisions, (450, 1500), strict=False):
        ratio = best[name] / (single * threads)
        lines.append(
            f"{name} at best {best[name]:,.0f} (aim: {aim:,}), {ratio:.1f} times the capacity of a single stream times "
            f"{threads} processors"
        )
    parts = {name: costs(bundle, PARTS_OF, name) for name in results}
    for name, cost in parts.items():
        lines.append(
            f"one processor, {name}: {cost.computing_us:.1f} µs per window, {cost.network_us:.1f} of them for the "
            f"network; {cost.python_us:.0f} µs of Python per stream and half second"
        )
    spread, cpu = live(bundle, LIVE, LIVE_S)
    lines.append(
        f"{LIVE} live, {-(-LIVE // CHANNELS)} devices: delay of scores {1000 * spread.median:.1f} ms, 99 % "
        f"{1000 * spread.p99:.1f} ms (aim: 20), longest {1000 * spread.worst:.1f} ms; {100 * cpu:.0f} % of one core"
    )
    lines.append(f"memory: {memory_per_stream / 2**20:.1f} MiB for each of {max(COUNTS)} streams (aim: 2)")
    figures = {
        **{name: [asdict(one) for one in every] for name, every in results.items()},
        "costs": {name: asdict(cost) for name, cost in parts.items()},
        "live": {"count": LIVE, "processing_s": asdict(spread), "cpu_share_of_one_core": cpu},
        "memory_bytes_a_stream": memory_per_stream,
    }
    return Section(figures, lines)


def capacity(bundle: Bundle, counts: Sequence[int], seconds: float, precision: str = "float32") -> list[Capacity]:
    """Measures each number of streams for `seconds`. Samples are always available, so nothing waits."""
    return [_measure(bundle, count, seconds, precision) for count in counts]


def _measure(bundle: Bundle, count: int, seconds: float, precision: str) -> Capacity:
    engine, turn = _prepare(bundle, count, precision)
    times: list[tuple[float, float]] = []
    with low_latency():
        for _ in range(SETTLE):
            turn()
        end = time.perf_counter() + seconds
        while len(times) < MIN_TURNS or time.perf_counter() < end:
            times.append(turn())
    _end(engine)
    computing_s, cpu_s = (float(mean) / LIVE_CHUNK_S for mean in np.mean(times, axis=0))
    return Capacity(count, precision, len(times), computing_s, cpu_s, count / computing_s)


def _prepare(
    bundle: Bundle, count: int, precision: str, processors: int | None = None
) -> tuple[Engine, Callable[[], tuple[float, float]]]:
    """Builds an engine with `count` streams.

    Returns:
        the engine, and a function that writes LIVE_CHUNK_S of sound into every ring, and runs one turn of the engine;
        it returns the seconds of the turn by the clock, and its processor time.
    """
    rate = bundle.config.features.sample_rate
    chunk = round(LIVE_CHUNK_S * rate)
    rings = [SampleRing(4 * chunk) for _ in range(count)]
    engine = _engine(bundle, [RingSource(ring, rate, "mix") for ring in rings], precision, processors)
    sound = AMPLITUDE * np.random.default_rng(0).standard_normal((chunk, 1), np.float32)
    began = time.monotonic() - 86400  # pretends that samples arrive in real time, so that there are no gaps

    def turn() -> tuple[float, float]:
        for ring in rings:
            ring.write(sound)
            ring.written_at = began + ring.written / rate
        before, cpu = time.perf_counter(), time.process_time()
        engine.take_turns()
        return time.perf_counter() - before, time.process_time() - cpu

    return engine, turn


def _end(engine: Engine) -> None:
    engine.stop()
    if engine.error is not None:
        raise engine.error


def costs(bundle: Bundle, count: int, precision: str) -> Costs:
    """Measures the costs of `count` streams on one processor, by part."""
    features = bundle.config.features
    windows = np.random.default_rng(0).standard_normal((WINDOWS_AT_ONCE, features.window_size), np.float32)
    network = Compute.on("cpu", precision).network(bundle.weights)
    times: list[tuple[float, float]] = []
    with low_latency():
        network_s = (
            time_all({"network": lambda: [network(windows) for _ in range(REPEATED)]}).seconds("network") / REPEATED
        )
        engine, turn = _prepare(bundle, count, precision, processors=1)
        batch, computing_s = engine.streams[0].batch, 0.0
        push = batch.push

        def timed(samples: FloatArray, streams: Sequence[int]) -> BatchResult:
            nonlocal computing_s
            began = time.perf_counter()
            result = push(samples, streams)
            computing_s += time.perf_counter() - began
            return result

        batch.push = timed  # type: ignore[method-assign, assignment]
        for _ in range(SETTLE + MIN_TURNS):
            computing_s = 0.0
            turn_s, _ = turn()
            times.append((computing_s, turn_s - computing_s))
    _end(engine)
    computing_us, python_us = (1e6 * float(median) / count for median in np.median(times[SETTLE:], axis=0))
    return Costs(1e6 * network_s / len(windows), computing_us / round(LIVE_CHUNK_S / features.hop_s), python_us)


def live(bundle: Bundle, count: int, seconds: float) -> tuple[Spread, float]:
    """Measures the delay of scores of live streams, whose simulated devices deliver blocks of 10 ms.

    Returns:
        the delays of all streams, and the processor time as a share of one core.
    """
    rate = bundle.config.features.sample_rate
    rings = [SampleRing(30 * rate, CHANNELS) for _ in range(-(-count // CHANNELS))]
    sources = [RingSource(rings[i // CHANNELS], rate, i % CHANNELS) for i in range(count)]
    engine, over = _engine(bundle, sources, bundle.config.listening.precision), threading.Event()

    def write_blocks() -> None:
        block = AMPLITUDE * np.random.default_rng(0).standard_normal((rate // 100, CHANNELS), np.float32)
        due = time.monotonic()
        while not over.is_set():
            for ring in rings:
                ring.write(block)
            due += 0.01
            time.sleep(max(0.0, due - time.monotonic()))

    writing = threading.Thread(target=write_blocks)
    with low_latency(), engine:
        writing.start()
        try:
            time.sleep(min(LIVE_SETTLE_S, seconds))
            before = [stream.processing.count for stream in engine.streams]
            clock, cpu = time.monotonic(), time.process_time()
            time.sleep(seconds)
            share = (time.process_time() - cpu) / (time.monotonic() - clock)
            delays = [
                stream.processing.last(stream.processing.count - count)
                for stream, count in zip(engine.streams, before, strict=True)
            ]
        finally:
            over.set()
            writing.join()
    _end(engine)
    return Spread.of(np.concatenate(delays)), share


def _engine(bundle: Bundle, sources: Sequence[RingSource], precision: str, processors: int | None = None) -> Engine:
    plans = [
        StreamPlan(bundle, bundle.config, source, "bench", f"stream {number}") for number, source in enumerate(sources)
    ]
    return build_engine(plans, device="cpu", precision=precision, processors=processors)


def _peak_memory() -> int:
    """The peak resident memory of this process in bytes."""
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024
