"""How late scores and callbacks are while one stream is judged, and what that costs."""

from __future__ import annotations

import io
import resource
import threading
import time
from dataclasses import asdict, dataclass

import numpy as np
import torch
from rich.console import Console

from monitor.bench.timing import Section
from monitor.bundle.bundle import THRESHOLDS, Bundle, Threshold
from monitor.sources.device.portaudio import Capture, Writer
from monitor.config.schema import Audio, Config, Features
from monitor.dashboard.app import show
from monitor.runtime.engine import Engine
from monitor.runtime.latency import Spread, algorithmic_s
from monitor.runtime.session import prompt
from monitor.sources.device.microphone import Microphone
from monitor.model.autoencoder import Autoencoder
from monitor.scoring.scorer import PARTS, Normal
from monitor.core.snapshot import FloatArray
from monitor.sources.source import Source, Synthetic
from monitor.runtime.monitored_stream import Station

FPS = 10.0
SETTLE_S = 3.0  # warm-up that does not count


def measure(config: Config, bundle: Bundle, *, microphone: bool, seconds: float) -> Section:
    """How late scores and callbacks are while one stream is judged and its dashboard drawn ten times a second.

    The callback's lateness is measured from when PortAudio calls to when Python answers: what the interpreter's lock
    costs. Without a microphone a thread calls the same callback every 10 ms, and its own waking counts too.
    """
    features = bundle.config.features
    source: Source
    if microphone:
        source = Microphone(config.audio, features.sample_rate, features.channel, end_when_lost=True)
    else:
        source = _Called(features.sample_rate, config.audio)
    station = Station(bundle, source, config, model_name="bench")
    engine = Engine([station])
    with prompt():
        return _measured(engine, station, source, features, seconds)


def _measured(engine: Engine, station: Station, source: Source, features: Features, seconds: float) -> Section:
    over = threading.Event()
    drawn = io.StringIO()
    console = Console(file=drawn, force_terminal=True, width=160, height=48, color_system="truecolor")
    drawing = threading.Thread(
        target=show, args=(lambda: engine.latest, _NoControls(), over.is_set), kwargs={"fps": FPS, "console": console}
    )
    engine.start()
    drawing.start()
    time.sleep(SETTLE_S)
    before, cpu, clock = station.processing.count, _cpu_s(), time.monotonic()
    writer = _writer(source)
    calls_before = writer.calls if writer else 0
    while time.monotonic() - clock < seconds and not engine.finished:
        time.sleep(0.1)
        drawn.seek(0)
        drawn.truncate()
    cpu, clock = _cpu_s() - cpu, time.monotonic() - clock
    processing = Spread.of(station.processing.last(station.processing.count - before))
    writer = _writer(source)
    late = Spread.of(writer.late(writer.calls - calls_before)) if writer else Spread.of(np.zeros(0, np.float32))
    over.set()
    drawing.join()
    engine.stop()
    if engine.error is not None:
        raise engine.error
    figures = {
        "source": source.name,
        "seconds": round(clock, 1),
        "algorithmic_s": algorithmic_s(features),
        "processing_s": asdict(processing),
        "callback_lateness_s": asdict(late),
        "overflows": source.overflows,
        "dropped_samples": station.latest.dropped_samples,
        "cpu_share_of_one_core": round(cpu / clock, 4),
        "memory_mib": round(resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024, 1),
    }
    lines = [
        f"algorithmic {1000 * algorithmic_s(features):.0f} ms (window and transform)",
        f"processing  {_milliseconds(processing)}",
        f"callback    {_milliseconds(late)} late",
        f"{100 * cpu / clock:.1f} % of one core with the dashboard at {FPS:.0f} frames a second, over {clock:.0f} s of "
        f"{source.name}; {source.overflows} overflows, {station.latest.dropped_samples} samples lost",
    ]
    return Section(figures, lines)


def untrained_bundle(config: Config) -> Bundle:
    """A bundle of the settings' size that has learnt nothing: it computes as long as one that has."""
    torch.manual_seed(0)
    n_mels = config.features.n_mels
    threshold = Threshold(1e9, "normal", 1, 1.0, 1.0, note="none: a model for measuring")
    normals = {}
    for part in PARTS[config.score.kind]:
        size = n_mels * (2 if part == "spectrum" else 1)
        zeros, ones = torch.zeros(size, dtype=torch.float64), torch.ones(2, 2, dtype=torch.float64)
        normals[part] = Normal(zeros, torch.eye(size, dtype=torch.float64), ones)
    return Bundle(
        config, Autoencoder.from_config(config).eval(), torch.full((n_mels,), -40.0), torch.full((n_mels,), 10.0),
        torch.ones(n_mels), normals, dict.fromkeys(THRESHOLDS, threshold),
        torch.linspace(0, 10, 1000, dtype=torch.float64),
    )  # fmt: skip


class _Noise:
    def __init__(self) -> None:
        self._random = np.random.default_rng(0)

    def read(self, n: int) -> FloatArray:
        """The next n samples: (n,)."""
        return 0.03 * self._random.standard_normal(n, np.float32)


class _Called(Synthetic):
    """Noise that comes through the device callback, called by a thread every block as a device would."""

    live = True

    def __init__(self, sample_rate: int, settings: Audio) -> None:
        super().__init__(_Noise(), sample_rate, "an invented device", length_s=None, speed=1.0)
        self.writer = Writer(self.ring)
        self._block_s = settings.block_ms / 1000
        self._size = max(1, round(self._block_s * sample_rate))

    def _write(self) -> None:
        due = time.time()
        block = np.zeros((self._size, 1), np.float32)
        while not self._stopping.is_set():
            block[:, 0] = self._sound.read(self._size)
            due = max(due + self._block_s, time.time() - 1.0)
            time.sleep(max(0.0, due - time.time()))
            self.writer(block, self._size, _When(due), None)


@dataclass(frozen=True, slots=True)
class _When:
    currentTime: float  # noqa: N815 - PortAudio's name


class _NoControls:
    def quit(self) -> None:
        """Not here."""

    def scale_threshold(self, factor: float, number: int) -> None:
        """Not here."""


def _writer(source: Source) -> Writer | None:
    if isinstance(source, _Called):
        return source.writer
    capture: Capture | None = getattr(source, "capture", None)
    return capture.writer if capture else None


def _cpu_s() -> float:
    used = resource.getrusage(resource.RUSAGE_SELF)
    return used.ru_utime + used.ru_stime


def _milliseconds(spread: Spread) -> str:
    return (
        f"median {1000 * spread.median:.2f} ms, 99 % {1000 * spread.p99:.2f} ms, worst {1000 * spread.worst:.2f} ms "
        f"({spread.count} times)"
    )
