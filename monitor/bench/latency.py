"""Section "latency": the delay of scores and of device callbacks while one stream is monitored, and its cost."""

from __future__ import annotations

import io
import resource
import threading
import time
from dataclasses import asdict, dataclass

import numpy as np
from rich.console import Console

from monitor.bench.timing import Section
from monitor.bundle.bundle import Bundle
from monitor.config.schema import Config, Features
from monitor.config.sources import Audio
from monitor.dashboard.app import show
from monitor.runtime.builder import StreamPlan, build_engine
from monitor.runtime.engine import Engine
from monitor.runtime.latency import Spread, algorithmic_delay_s
from monitor.runtime.session import low_latency
from monitor.sources.device.microphone import Microphone
from monitor.sources.device.microphones import recorded_device
from monitor.sources.device.portaudio import CallbackWriter
from monitor.sources.device.shared_device import MicrophoneSource
from monitor.sources.network.address import with_device
from monitor.sources.paced import PacedSource
from monitor.sources.source import Source

FPS = 10.0  # of the dashboard
SETTLE_S = 3.0  # before the measurement


def measure(config: Config, bundle: Bundle, *, microphone: bool, seconds: float) -> Section:
    """Measures the delay of scores and callbacks while one stream is monitored and its dashboard is drawn.

    The lateness of a callback is the time from the call by PortAudio to the start of the Python code, which waits for
    the interpreter's lock. Without a microphone a thread calls the same callback every block; then the lateness of
    this thread is included.

    Args:
        config: settings of the model and of the device.
        bundle: the model.
        microphone: whether to use the device of the settings instead of a simulated one.
        seconds: duration of the measurement.
    """
    features = bundle.config.features
    source: Source
    if microphone:
        device = recorded_device(
            with_device(config.audio), features.sample_rate, [features.channel], end_when_lost=True
        )
        source = MicrophoneSource(device, features.channel)
    else:
        source = _SimulatedDevice(features.sample_rate, config.audio)
    engine = build_engine([StreamPlan(bundle, config, source, "bench")], device="cpu", precision="float32")
    with low_latency():
        return _measured(engine, source, features, seconds)


def _measured(engine: Engine, source: Source, features: Features, seconds: float) -> Section:
    [stream] = engine.streams
    over = threading.Event()
    screen = io.StringIO()
    console = Console(file=screen, force_terminal=True, width=160, height=48, color_system="truecolor")
    drawing = threading.Thread(
        target=show, args=(lambda: engine.latest, _NoControls(), over.is_set), kwargs={"fps": FPS, "console": console}
    )
    with engine:
        drawing.start()
        try:
            time.sleep(SETTLE_S)
            before, cpu, clock = stream.processing.count, _cpu_s(), time.monotonic()
            writer = _writer(source)
            calls_before = writer.calls if writer else 0
            while time.monotonic() - clock < seconds and not engine.finished:
                time.sleep(0.1)
                screen.seek(0)
                screen.truncate()
            cpu, clock = _cpu_s() - cpu, time.monotonic() - clock
            processing = Spread.of(stream.processing.last(stream.processing.count - before))
            writer = _writer(source)
            lateness = Spread.of(writer.lateness(writer.calls - calls_before) if writer else np.zeros(0, np.float32))
        finally:
            over.set()
            drawing.join()
    if engine.error is not None:
        raise engine.error
    figures = {
        "source": source.name,
        "seconds": round(clock, 1),
        "algorithmic_s": algorithmic_delay_s(features),
        "processing_s": asdict(processing),
        "callback_lateness_s": asdict(lateness),
        "overflows": source.overflows,
        "lost_s": stream.latest.lost_s,
        "cpu_share_of_one_core": round(cpu / clock, 4),
        "memory_mib": round(resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024, 1),
    }
    lines = [
        f"algorithmic {1000 * algorithmic_delay_s(features):.0f} ms (window and transform)",
        f"processing  {_milliseconds(processing)}",
        f"callback    {_milliseconds(lateness)} late",
        f"{100 * cpu / clock:.1f} % of one core with the dashboard at {FPS:.0f} frames a second, over {clock:.0f} s of "
        f"{source.name}; {source.overflows} overflows, {stream.latest.lost_s:.1f} s not heard",
    ]
    return Section(figures, lines)


class _SimulatedDevice(PacedSource):
    """A source of noise whose thread calls the device callback for every block, as PortAudio does."""

    live = True

    def __init__(self, sample_rate: int, settings: Audio) -> None:
        super().__init__("a simulated device", sample_rate)
        self.writer = CallbackWriter(self.ring)
        self._block_s = settings.block_ms / 1000
        self._size = max(1, round(self._block_s * sample_rate))

    def run(self) -> None:
        """Calls the callback every block."""
        due, random = time.time(), np.random.default_rng(0)
        while not self.stopping.is_set():
            block = 0.03 * random.standard_normal((self._size, 1), np.float32)
            due = max(due + self._block_s, time.time() - 1.0)
            time.sleep(max(0.0, due - time.time()))
            self.writer(block, self._size, _CallbackTime(due), None)


@dataclass(frozen=True, slots=True)
class _CallbackTime:
    currentTime: float  # noqa: N815 - PortAudio's name


class _NoControls:
    def end(self) -> None:
        """Does nothing."""

    def scale_threshold(self, factor: float, name: str) -> None:
        """Does nothing."""


def _writer(source: Source) -> CallbackWriter | None:
    if isinstance(source, _SimulatedDevice):
        return source.writer
    device = source.microphone if isinstance(source, MicrophoneSource) else None
    stream = device.stream if isinstance(device, Microphone) else None
    return stream.writer if stream else None


def _cpu_s() -> float:
    used = resource.getrusage(resource.RUSAGE_SELF)
    return used.ru_utime + used.ru_stime


def _milliseconds(spread: Spread) -> str:
    return (
        f"median {1000 * spread.median:.2f} ms, 99 % {1000 * spread.p99:.2f} ms, longest {1000 * spread.worst:.2f} ms "
        f"({spread.count} times)"
    )
