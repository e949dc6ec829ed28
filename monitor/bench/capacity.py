"""Section "streams": how many streams this computer can monitor in real time, and the latency of 64 live streams."""

from __future__ import annotations

import resource
import threading
import time
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from importlib.util import find_spec

import numpy as np

from monitor.audio.ring_buffer import SampleRing
from monitor.bench.peak_flops import measured_precisions, streams_at_most
from monitor.bench.simulated_streams import AMPLITUDE, RingSource, StreamsInTurns, end, engine_of
from monitor.bench.stream_costs import Costs, costs
from monitor.bench.targets import Target
from monitor.bench.timing import Section
from monitor.bundle.bundle import Bundle
from monitor.core.thread_pool import available_processors
from monitor.runtime.latency import Spread
from monitor.runtime.session import low_latency
from monitor.runtime.stream_input import LIVE_CHUNK_S

COUNTS = (1, 8, 64, 256, 1000, 5000)  # numbers of streams
MANY = 1000  # streams whose share of the products' peak is an aim
SHARES = {"float32": 0.8, "bfloat16": 0.6}  # the aims
SECONDS = 2.0  # measured for each number of streams
MIN_TURNS = 3  # turns of the engine that are measured at least
PARTS_OF = 1000  # streams for the measurement of costs
LIVE, LIVE_S, LIVE_SETTLE_S = 64, 10.0, 5.0  # live streams, seconds of measurement, seconds before it
CHANNELS = 8  # of each simulated live device


@dataclass(frozen=True, slots=True)
class Capacity:
    """The cost of a number of streams, from samples to alarm and history. The fields are keys of the JSON output."""

    count: int  # number of streams
    precision: str
    turns: int  # turns that were measured, each with LIVE_CHUNK_S of sound of every stream
    computing_s: float  # mean time to process one second of sound of every stream
    cpu_s: float  # processor time for the same, summed over processors: it does not depend on other load
    kept_up_with: float  # number of streams that can be processed in real time, from computing_s


def measure(bundle: Bundle) -> Section:
    """Measures capacity and costs for each number of streams and precision, the latency of live streams, and memory."""
    precisions = measured_precisions()
    measured = [*precisions, *(["int8"] if find_spec("onnxruntime") else [])]
    memory = _peak_memory()
    results = {precision: capacity(bundle, COUNTS, SECONDS, precision) for precision in measured}
    memory_per_stream = (_peak_memory() - memory) / max(COUNTS)
    peak = {precision: streams_at_most(bundle.config, precision) for precision in precisions}
    parts = {precision: costs(bundle, PARTS_OF, precision) for precision in measured}
    spread, cpu = live(bundle, LIVE, LIVE_S)
    lines = [
        f"{available_processors()} threads, from samples to alarm, {LIVE_CHUNK_S:g} s at a time; streams kept up with,",
        "and their share of those that the products alone would allow; of int8 the share of float32's products",
        *_capacity_lines(results, peak),
        *(f"one processor, {name}, µs a stream and half second: {_text(one)}" for name, one in parts.items()),
        f"{LIVE} live, {-(-LIVE // CHANNELS)} devices: delay of scores {1000 * spread.median:.1f} ms, 99 % "
        f"{1000 * spread.p99:.1f} ms, longest {1000 * spread.worst:.1f} ms; {100 * cpu:.0f} % of one core",
        f"memory: {memory_per_stream / 2**20:.1f} MiB for each of {max(COUNTS)} streams",
    ]
    figures = {
        **{name: [asdict(one) for one in every] for name, every in results.items()},
        "streams_at_most": peak,
        "costs": {name: asdict(one) for name, one in parts.items()},
        "live": {"count": LIVE, "processing_s": asdict(spread), "cpu_share_of_one_core": cpu},
        "memory_bytes_a_stream": memory_per_stream,
    }
    targets = [
        *_share_targets(results, peak),
        Target(
            "what a stream costs beside the scores", parts["float32"].streams_us, 15, "µs a half second", at_most=True
        ),
        Target(
            f"a stream of {max(COUNTS)}, in its cost among {_many(results)}", _growth(results), 1.1, "", at_most=True
        ),
        Target(f"{LIVE} live streams, processing, 99 %", 1000 * spread.p99, 10, "ms", at_most=True),
        Target("  of one core", 100 * cpu, 25, "%", at_most=True),
        Target("  memory of a stream", memory_per_stream / 2**20, 2, "MiB", at_most=True),
    ]
    return Section(figures, lines, targets)


def capacity(
    bundle: Bundle, counts: Sequence[int], seconds: float, precision: str = "float32", device: str = "cpu"
) -> list[Capacity]:
    """Measures each number of streams for `seconds`. Samples are always available, so nothing waits."""
    return [_measure(bundle, count, seconds, precision, device) for count in counts]


def _measure(bundle: Bundle, count: int, seconds: float, precision: str, device: str) -> Capacity:
    streams = StreamsInTurns(bundle, count, precision, device=device)
    times: list[tuple[float, float]] = []
    with low_latency():
        streams.settle()
        due = time.perf_counter() + seconds
        while len(times) < MIN_TURNS or time.perf_counter() < due:
            times.append(streams.turn())
    streams.end()
    computing_s, cpu_s = (float(mean) / LIVE_CHUNK_S for mean in np.mean(times, axis=0))
    return Capacity(count, precision, len(times), computing_s, cpu_s, count / computing_s)


def _capacity_lines(results: Mapping[str, Sequence[Capacity]], peak: Mapping[str, float]) -> list[str]:
    lines = []
    for i, one in enumerate(results["float32"]):
        kept_up = {name: every[i].kept_up_with for name, every in results.items()}
        columns = "   ".join(
            f"{name} {kept:5,.0f} ({100 * kept / peak.get(name, peak['float32']):3.0f} %)"
            for name, kept in kept_up.items()
        )
        lines.append(f"{one.count:5,} streams at once: {columns}")
    return lines


def _text(one: Costs) -> str:
    return (
        f"network {one.network_us:.0f}, other steps to scores {one.beside_network_us:.0f}, detection "
        f"{one.detection_us:.1f}, collecting {one.collecting_us:.1f}"
    )


def _many(results: Mapping[str, Sequence[Capacity]]) -> int:
    """The measured number of streams that is nearest to MANY."""
    return min((one.count for one in results["float32"]), key=lambda count: abs(count - MANY))


def _share_targets(results: Mapping[str, Sequence[Capacity]], peak: Mapping[str, float]) -> list[Target]:
    many = _many(results)
    return [
        Target(f"{many} streams, {name}: share of what the products allow", one.kept_up_with / peak[name], SHARES[name])
        for name, every in results.items()
        if name in peak
        for one in every
        if one.count == many
    ]


def _growth(results: Mapping[str, Sequence[Capacity]]) -> float:
    """The processor time of a stream among the most streams, as a multiple of that among MANY."""
    by_count = {one.count: one.cpu_s / one.count for one in results["float32"]}
    return by_count[max(by_count)] / by_count[_many(results)]


def live(bundle: Bundle, count: int, seconds: float) -> tuple[Spread, float]:
    """Measures the delay of scores of live streams, whose simulated devices deliver blocks of 10 ms.

    Returns:
        the delays of all streams, and the processor time as a share of one core.
    """
    rate = bundle.config.features.sample_rate
    rings = [SampleRing(30 * rate, CHANNELS) for _ in range(-(-count // CHANNELS))]
    sources = [RingSource(rings[i // CHANNELS], rate, i % CHANNELS) for i in range(count)]
    engine, over = engine_of(bundle, sources, bundle.config.listening.precision), threading.Event()

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
    end(engine)
    return Spread.of(np.concatenate(delays)), share


def _peak_memory() -> int:
    """The peak resident memory of this process in bytes."""
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024
