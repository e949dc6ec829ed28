"""How many streams of one model this machine keeps up with, from samples to alarm, and how late 64 live ones are."""

from __future__ import annotations

import resource
import threading
import time
from collections import deque
from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass

import numpy as np
import torch

from monitor.bench.timing import Section, race
from monitor.bundle.bundle import Bundle
from monitor.config.schema import Channel
from monitor.runtime.engine import Engine
from monitor.streaming.ensemble import Portion
from monitor.core.errors import MonitorError
from monitor.streaming.stream_batch import ON_CPU
from monitor.runtime.latency import Spread
from monitor.runtime.session import prompt
from monitor.model.autoencoder import Inference
from monitor.model.device import PRECISIONS, native_bfloat16
from monitor.audio.ring_buffer import RingReader, SampleRing
from monitor.sources.source import Mark
from monitor.runtime.monitored_stream import LIVE_CHUNK_S, Station

COUNTS = (1, 8, 64, 256, 512, 1024, 2000)
SECONDS = 2.0  # for each
LEAST = 3  # turns that are measured, however little time there is
SETTLE = 6  # turns that do not count: the first scores are two seconds late
PARTS_OF, REPEATED = 256, 20  # streams that costs are measured with; and products, which alone would be too short
LIVE, LIVE_S, LIVE_SETTLE_S = 64, 10.0, 5.0
CHANNELS = 8  # of each device that is heard live
AMPLITUDE = 0.03


@dataclass(frozen=True, slots=True)
class Capacity:
    """What so many streams cost, as the whole program judges them: frames, scores, alarm, history."""

    count: int
    precision: str
    turns: int  # that were measured, each of LIVE_CHUNK_S of every stream's sound
    computing_s: float  # that a second of every stream's sound takes: the mean
    cpu_s: float  # of all processors together, for the same: as much however busy the machine is
    kept_up_with: float  # streams, by computing_s


@dataclass(frozen=True, slots=True)
class Costs:
    """Where the time goes that one processor takes."""

    network_us: float  # the network, for a window
    computing_us: float  # all that is computed of a window, from sound to score, the network included
    python_us: float  # taking the sound, alarm and history, for LIVE_CHUNK_S of a stream


class Standing:
    """A source whose sound is there already: it is put into its ring by hand. It passes for a microphone."""

    speed, live, lost_since, overflows, name = 1.0, True, None, 0, "an invented device"
    error: MonitorError | None = None

    def __init__(self, ring: SampleRing, sample_rate: int, channel: Channel) -> None:
        self.ring, self.sample_rate, self.channel = RingReader(ring), sample_rate, channel
        self.marks = deque[Mark]()

    def start(self) -> None:
        """There is nothing to start."""

    def stop(self) -> None:
        """There is nothing to stop."""


def measure(bundle: Bundle) -> Section:
    """How many streams of a model are kept up with by how many there are, and the latency of 64 that are live."""
    precisions = ["float32", *(["bfloat16"] if native_bfloat16(torch.device("cpu")) else [])]
    memory = _memory()
    found = {precision: capacity(bundle, COUNTS, SECONDS, precision) for precision in precisions}
    a_stream = (_memory() - memory) / max(COUNTS)
    threads, alone = torch.get_num_threads(), found["float32"][0].kept_up_with
    lines = [f"{threads} threads, from samples to alarm, {LIVE_CHUNK_S:g} s at a time; streams kept up with"]
    for i, count in enumerate(COUNTS):
        lines.append(f"{count:5} at once: {'   '.join(f'{name} {found[name][i].kept_up_with:5.0f}' for name in found)}")
    best = {name: max(one.kept_up_with for one in every) for name, every in found.items()}
    for name, aim in zip(precisions, (450, 1500), strict=False):
        lines.append(
            f"{name} at best {best[name]:,.0f} (aim: {aim:,}), {best[name] / (alone * threads):.1f} times one stream "
            f"by itself, times {threads} processors"
        )
    parts = {name: costs(bundle, PARTS_OF, name) for name in found}
    for name, cost in parts.items():
        lines.append(
            f"one processor, {name}: {cost.computing_us:.1f} µs a window, {cost.network_us:.1f} of them the network; "
            f"and {cost.python_us:.0f} µs of Python a stream and half second"
        )
    spread, cpu = live(bundle, LIVE, LIVE_S)
    lines.append(
        f"{LIVE} live, {-(-LIVE // CHANNELS)} devices: score late by {1000 * spread.median:.1f} ms, 99 % "
        f"{1000 * spread.p99:.1f} ms (aim: 20), worst {1000 * spread.worst:.1f} ms; {100 * cpu:.0f} % of one core"
    )
    lines.append(f"memory: {a_stream / 2**20:.1f} MiB for each of {max(COUNTS)} streams (aim: 2)")
    figures = {
        **{name: [asdict(one) for one in every] for name, every in found.items()},
        "costs": {name: asdict(cost) for name, cost in parts.items()},
        "live": {"count": LIVE, "processing_s": asdict(spread), "cpu_share_of_one_core": cpu},
        "memory_bytes_a_stream": a_stream,
    }
    return Section(figures, lines)


def capacity(bundle: Bundle, counts: Sequence[int], seconds: float, precision: str = "float32") -> list[Capacity]:
    """Measures each of these numbers of streams for `seconds`, all of whose sound is there."""
    return [_measure(bundle, count, seconds, precision) for count in counts]


def _measure(bundle: Bundle, count: int, seconds: float, precision: str) -> Capacity:
    engine, turn = _ready(bundle, count, precision)
    took: list[tuple[float, float]] = []
    with prompt():
        for _ in range(SETTLE):
            turn()
        end = time.perf_counter() + seconds
        while len(took) < LEAST or time.perf_counter() < end:
            took.append(turn())
    _end(engine)
    computing_s, cpu_s = (float(mean) / LIVE_CHUNK_S for mean in np.mean(took, axis=0))
    return Capacity(count, precision, len(took), computing_s, cpu_s, count / computing_s)


def _ready(bundle: Bundle, count: int, precision: str) -> tuple[Engine, Callable[[], tuple[float, float]]]:
    """An engine, and a turn of it: half a second of sound for every stream; seconds by the clock, and of processors."""
    rate = bundle.config.features.sample_rate
    chunk = round(LIVE_CHUNK_S * rate)
    rings = [SampleRing(4 * chunk) for _ in range(count)]
    engine = Engine(_stations(bundle, [Standing(ring, rate, "mix") for ring in rings]), precision=precision)
    sound = AMPLITUDE * np.random.default_rng(0).standard_normal((chunk, 1), np.float32)
    began = time.monotonic() - 86400  # sound that came at its pace, however fast it is judged

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
    """What so many streams at once cost one processor, by part."""
    features = bundle.config.features
    windows = torch.randn(ON_CPU.windows, features.window_size).to(PRECISIONS[precision])
    network = Inference(bundle.model, PRECISIONS[precision])
    took: list[tuple[float, float]] = []
    with prompt(), torch.inference_mode():
        network_s = race({"network": lambda: [network(windows) for _ in range(REPEATED)]}).seconds("network") / REPEATED
        engine, turn = _ready(bundle, count, precision)
        ensemble, computing_s = engine.stations[0].lane.ensemble, 0.0
        push = ensemble.push

        def timed(samples: torch.Tensor, which: Sequence[int]) -> list[Portion]:
            nonlocal computing_s
            began = time.perf_counter()
            portions = push(samples, which)
            computing_s += time.perf_counter() - began
            return portions

        ensemble.push = timed  # type: ignore[method-assign]
        for _ in range(SETTLE + LEAST):
            computing_s = 0.0
            whole_s, _ = turn()
            took.append((computing_s, whole_s - computing_s))
    _end(engine)
    computing, rest = (1e6 * float(median) / count for median in np.median(took[SETTLE:], axis=0))
    return Costs(1e6 * network_s / len(windows), computing / round(LIVE_CHUNK_S / features.hop_s), rest)


def live(bundle: Bundle, count: int, seconds: float) -> tuple[Spread, float]:
    """How late the scores of streams are whose devices give ten milliseconds at a time, and the share of one core."""
    rate = bundle.config.features.sample_rate
    rings = [SampleRing(30 * rate, CHANNELS) for _ in range(-(-count // CHANNELS))]
    sources = [Standing(rings[i // CHANNELS], rate, i % CHANNELS) for i in range(count)]
    stations = _stations(bundle, sources)
    engine, over = Engine(stations, precision=bundle.config.listening.precision), threading.Event()

    def hear() -> None:
        block = AMPLITUDE * np.random.default_rng(0).standard_normal((rate // 100, CHANNELS), np.float32)
        due = time.monotonic()
        while not over.is_set():
            for ring in rings:
                ring.write(block)
            due += 0.01
            time.sleep(max(0.0, due - time.monotonic()))

    hearing = threading.Thread(target=hear)
    with prompt():
        hearing.start()
        engine.start()
        time.sleep(min(LIVE_SETTLE_S, seconds))
        before = [station.processing.count for station in stations]
        clock, cpu = time.monotonic(), time.process_time()
        time.sleep(seconds)
        share = (time.process_time() - cpu) / (time.monotonic() - clock)
        late = [
            station.processing.last(station.processing.count - count)
            for station, count in zip(stations, before, strict=True)
        ]
        over.set()
        hearing.join()
        _end(engine)
    return Spread.of(np.concatenate(late)), share


def _stations(bundle: Bundle, sources: Sequence[Standing]) -> list[Station]:
    return [
        Station(bundle, source, bundle.config, model_name="bench", name=f"stream {number}")
        for number, source in enumerate(sources)
    ]


def _memory() -> int:
    """Bytes that this process has had in memory at most."""
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024
