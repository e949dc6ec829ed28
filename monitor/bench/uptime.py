"""Section "uptime": whether an hour of monitoring, with outputs, costs as much after many hours as at first."""

from __future__ import annotations

import resource
import statistics
import tempfile
import time
from collections.abc import Iterator
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np

from monitor.audio.ring_buffer import SampleRing
from monitor.bench.simulated_streams import AMPLITUDE, RingSource
from monitor.bench.targets import Target
from monitor.bench.timing import Section
from monitor.bench.untrained import untrained_bundle
from monitor.bundle.bundle import Bundle
from monitor.clips.clip_sink import ClipSink
from monitor.clips.folder import ClipFolder
from monitor.config.schema import Config
from monitor.core.types import FloatArray
from monitor.normal_sound.normal_sink import NormalSound, NormalSoundSink
from monitor.outputs.score_history import ScoreHistory
from monitor.outputs.sink import Sink
from monitor.runtime.builder import StreamPlan, build_engine
from monitor.runtime.engine import Engine
from monitor.runtime.session import low_latency
from monitor.store.recorder import Recorder
from monitor.store.writer import StoreWriter

HOURS = 1.0  # of simulated sound: `monitor.bench.uptime.measure(config, hours=24)` is a whole day
STREAMS = 4
TURN_S = 0.5  # of sound in each turn of the engine
PARTS = 40  # of the time, each measured by itself
FAULT_EVERY_S, FAULT_AT_S, FAULT_S, FAULT_GAIN = 1800.0, 300.0, 20.0, 10.0  # louder sound: an anomaly with a clip
LIMIT = 600.0  # of the score of the untrained model: white noise has 310, ten times as loud 1475
AIM_RATIO, AIM_MIB = 1.1, 1.0  # cost of the last quarter to that of the first one; growth of memory in an hour


@dataclass(frozen=True, slots=True)
class Uptime:
    """What hours of monitoring cost. The fields are keys of the JSON output."""

    streams: int
    hours: float
    cpu_s_an_hour: list[float]  # processor time of an hour of all streams, in each of PARTS parts of the time
    peak_memory_mib: list[float]  # at the end of each part
    anomalies: int

    @property
    def ratio(self) -> float:
        """The median cost in the last quarter of the time as a multiple of that in the first one."""
        quarter = PARTS // 4
        return statistics.median(self.cpu_s_an_hour[-quarter:]) / statistics.median(self.cpu_s_an_hour[:quarter])

    @property
    def growth_mib_an_hour(self) -> float:
        """Growth of the peak memory in an hour, after the first quarter of the time, in which memories are filled."""
        quarter = PARTS // 4
        return (self.peak_memory_mib[-1] - self.peak_memory_mib[quarter - 1]) / (0.75 * self.hours)


def measure(config: Config, hours: float | None = None) -> Section:
    """Monitors hours of simulated sound as fast as possible, with a small network and all outputs on this computer.

    Args:
        config: settings; the network is a small one, because its cost is known.
        hours: of sound; None: HOURS.
    """
    hours = HOURS if hours is None else hours
    found = uptime(_small_bundle(config), hours, STREAMS)
    cpu_s = statistics.mean(found.cpu_s_an_hour)
    lines = [
        f"{found.streams} streams, {hours:g} h, {found.anomalies} anomalies: {cpu_s:.1f} s of processor time an hour "
        "with a small network",
        f"the last quarter costs {found.ratio:.2f} times the first one; "
        f"then memory grows by {found.growth_mib_an_hour:.2f} MiB an hour",
    ]
    figures = {
        "streams": found.streams, "hours": hours, "anomalies": found.anomalies, "cpu_s_an_hour": found.cpu_s_an_hour,
        "peak_memory_mib": found.peak_memory_mib, "ratio": found.ratio, "growth_mib_an_hour": found.growth_mib_an_hour,
    }  # fmt: skip
    targets = [
        Target("cost of the last quarter of the time", found.ratio, AIM_RATIO, "times the first", at_most=True),
        Target("growth of memory in an hour", found.growth_mib_an_hour, AIM_MIB, "MiB", at_most=True),
    ]
    return Section(figures, lines, targets)


def uptime(bundle: Bundle, hours: float, streams: int) -> Uptime:
    """Measures what hours of monitoring cost."""
    cpu_s: list[float] = []
    memory: list[float] = []
    hours_a_part = hours / PARTS
    with tempfile.TemporaryDirectory(prefix="monitor-bench-") as folder, low_latency():
        writer = StoreWriter(f"sqlite:///{Path(folder, 'store.sqlite')}", "bench")
        engine, turns = _prepare(bundle, streams, writer, Path(folder), hours)
        for _ in range(PARTS):
            before = time.process_time()
            for _ in range(round(hours_a_part * 3600 / TURN_S)):
                next(turns)
            cpu_s.append((time.process_time() - before) / hours_a_part)
            memory.append(resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024)
        anomalies = engine.anomalies
        engine.stop()
        _close(engine, writer)
    return Uptime(streams, hours, cpu_s, memory, anomalies)


def _prepare(
    bundle: Bundle, count: int, writer: StoreWriter, folder: Path, hours: float
) -> tuple[Engine, Iterator[None]]:
    """An engine, and its turns: each with the next TURN_S of the sound of all streams, and a snapshot of each."""
    config, rate = bundle.config, bundle.config.features.sample_rate
    clips = ClipFolder(folder / "clips", config.clips.model_copy(update={"speech": "keep"}), files=writer.files)
    pieces = NormalSound(folder / "normal", config.normal.model_copy(update={"speech": "keep"}))
    shared: list[Sink] = [
        Recorder(writer, wait=True), ScoreHistory(folder / "scores", keep_days=config.store.keep_scores_days, wait=True)
    ]  # fmt: skip
    rings = [SampleRing(4 * rate) for _ in range(count)]
    plans = [
        StreamPlan(
            bundle, config, RingSource(ring, rate, "mix"), "bench", name,
            [*shared, ClipSink(clips, bundle, wait=True), NormalSoundSink(pieces, name, bundle, wait=True)],
        )
        for name, ring in ((f"stream {number}", ring) for number, ring in enumerate(rings))
    ]  # fmt: skip
    engine = build_engine(plans, device="cpu", precision="float32", processors=1)
    return engine, _turns(engine, rings, rate, hours)


def _turns(engine: Engine, rings: list[SampleRing], rate: int, hours: float) -> Iterator[None]:
    # Pretends that samples arrive in real time, so that there are no gaps.
    began = time.monotonic() - 3600 * (hours + 1)
    sounds = [_sound(round(TURN_S * rate), seed) for seed in range(16)]
    turn = 0
    while True:
        fault = FAULT_AT_S <= turn * TURN_S % FAULT_EVERY_S < FAULT_AT_S + FAULT_S
        gain = np.float32(FAULT_GAIN if fault else 1.0)
        for ring in rings:
            ring.write(gain * sounds[turn % len(sounds)])
            ring.written_at = began + ring.written / rate
        engine.take_turns()
        for stream in engine.streams:
            stream.publish(0.0)
        turn += 1
        yield


def _sound(count: int, seed: int) -> FloatArray:
    sound: FloatArray = AMPLITUDE * np.random.default_rng(seed).standard_normal((count, 1), np.float32)
    return sound


def _close(engine: Engine, writer: StoreWriter) -> None:
    """Closes outputs and store.

    Raises:
        MonitorError: if something was wrong with them.
    """
    for sink in {id(sink): sink for stream in engine.streams for sink in stream.sinks}.values():
        sink.close()
    writer.close()
    if error := engine.error or writer.error:
        raise error


def _small_bundle(config: Config) -> Bundle:
    """An untrained model with a small network, whose limits louder sound exceeds."""
    small = config.model_copy(update={"model": config.model.model_copy(update={"hidden": (24, 16), "bottleneck": 8})})
    bundle = untrained_bundle(small)
    limit = bundle.thresholds["score"].model_copy(update={"value": LIMIT})
    return replace(bundle, thresholds={**bundle.thresholds, "score": limit})
