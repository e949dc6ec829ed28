"""Section "latency": what one live stream costs, headless and with the dashboard, and the delay of its scores."""

from __future__ import annotations

import contextlib
import itertools
import os
import resource
import threading
import time
from collections.abc import Callable, Iterator
from dataclasses import asdict, dataclass
from pathlib import Path

import numpy as np
from rich.console import Console

from monitor.bench.targets import Target
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

WIDTH, HEIGHT, FPS = 120, 36, 8.0  # of the dashboard
SETTLE_S = 3.0  # before a measurement
LOOK_S = 1 / FPS  # from look to look at the snapshots
SINGLY_MS = 10.0  # the shortest usual portion: a hop
BLOCKS = 1000  # of different noise


@dataclass(frozen=True, slots=True)
class _Way:
    """A way to listen to one stream."""

    name: str
    portion_ms: float  # of sound that is scored at a time
    watched: bool  # whether somebody looks at the snapshots: if not, sound is scored when the alarm decides
    dashboard: bool = False  # whether it is the dashboard that does


@dataclass(frozen=True, slots=True)
class _Measured:
    """What one way to listen costs."""

    seconds: float
    cpu_share: float  # of one core, without the simulated device
    processing: Spread
    lateness: Spread
    overflows: int
    lost_s: float
    source: str
    precision: str


def measure(config: Config, bundle: Bundle, *, microphone: bool, seconds: float) -> Section:
    """Measures what one live stream costs and how long its scores take: watched or not, hop by hop, with the dashboard.

    While somebody looks at the snapshots, each portion of sound is scored when it is there, otherwise when the alarm
    decides. The precision is that of the settings. The processing time of a score is from the arrival of the last
    sample that it needs to the end of alarm and outputs. The lateness of a callback is the time from the call by
    PortAudio to the start of the Python code, which waits for the interpreter's lock. Without a microphone a thread
    calls the same callback every block; then the lateness of this thread is included, and its processor time is not,
    except that of the callback.

    Args:
        config: settings of the model and of the device.
        bundle: the model.
        microphone: whether to use the device of the settings instead of a simulated one.
        seconds: duration of the measurement.
    """
    portion_ms = config.listening.portion_ms
    ways = [
        _Way("headless", portion_ms, watched=False), _Way("watched", portion_ms, watched=True),
        _Way("singly", SINGLY_MS, watched=True), _Way("dashboard", portion_ms, watched=True, dashboard=True),
    ]  # fmt: skip
    found = {
        way.name: _measured(config, bundle, way, microphone=microphone, seconds=seconds / len(ways)) for way in ways
    }
    algorithmic_s = algorithmic_delay_s(bundle.config.features)
    targets: list[Target] = []
    for name, what, aim in (
        ("headless", "one stream, headless: share of a core", 2.0),
        ("watched", f"one stream, watched, portions of {portion_ms:.0f} ms: share of a core", 5.0),
        ("singly", f"one stream, watched, portions of {SINGLY_MS:.0f} ms: share of a core", 6.0),
    ):
        targets.append(Target(what, 100 * found[name].cpu_share, aim, "%", at_most=True))
        targets.append(Target("  processing, 99 %", 1000 * found[name].processing.p99, 3.0, "ms", at_most=True))
    drawn = 100 * (found["dashboard"].cpu_share - found["watched"].cpu_share)
    dashboard = f"dashboard of {WIDTH} x {HEIGHT}, {FPS:.0f} pictures a second: share of a core"
    targets.append(Target(dashboard, drawn, 3.0, "%", at_most=True))
    with_dashboard = found["dashboard"]
    figures = {
        "source": with_dashboard.source,
        "precision": with_dashboard.precision,
        "algorithmic_s": algorithmic_s,
        "portion_s": portion_ms / 1000,
        "ways": {name: asdict(one) for name, one in found.items()},
        "memory_mib": round(resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024, 1),
    }
    lines = [
        f"algorithmic {1000 * algorithmic_s:.0f} ms (window and transform), and up to {portion_ms:.0f} ms until a "
        "portion is complete",
        *(
            f"{name:11} {100 * one.cpu_share:4.1f} % of one core; processing {_milliseconds(one.processing)}"
            for name, one in found.items()
        ),
        f"callback    {_milliseconds(with_dashboard.lateness)} late, with the dashboard",
        f"{with_dashboard.source}, {with_dashboard.precision}, {sum(one.seconds for one in found.values()):.0f} s: "
        f"{sum(one.overflows for one in found.values())} overflows, "
        f"{sum(one.lost_s for one in found.values()):.1f} s not heard",
    ]
    return Section(figures, lines, targets)


def _measured(config: Config, bundle: Bundle, way: _Way, *, microphone: bool, seconds: float) -> _Measured:
    """Listens for some seconds."""
    listening = config.listening.model_copy(update={"portion_ms": way.portion_ms})
    source = _source(config.audio, bundle.config.features, microphone=microphone)
    plan = StreamPlan(bundle, config.model_copy(update={"listening": listening}), source, "bench")
    engine = build_engine([plan], device="cpu", precision=listening.precision)
    [stream] = engine.streams
    with low_latency(), engine, _dashboard(engine) if way.dashboard else contextlib.nullcontext():
        look = (lambda: engine.latest) if way.watched else (lambda: None)
        _pass(SETTLE_S, engine, look)
        processed, began = stream.processing.count, time.monotonic()
        cpu_s, called = _processor_s(source), _calls(source)
        _pass(seconds, engine, look)
        cpu_s, seconds = _processor_s(source) - cpu_s, time.monotonic() - began
        processing = Spread.of(stream.processing.last(stream.processing.count - processed))
        writer = _writer(source)
        lateness = Spread.of(writer.lateness(writer.calls - called) if writer else np.zeros(0, np.float32))
    if engine.error is not None:
        raise engine.error
    shown = stream.latest
    return _Measured(
        seconds, cpu_s / seconds, processing, lateness, source.overflows, shown.lost_s, source.name, shown.precision
    )  # fmt: skip


def _pass(seconds: float, engine: Engine, look: Callable[[], object]) -> None:
    """Lets some seconds pass, in which `look` is called now and then."""
    due = time.monotonic() + seconds
    while time.monotonic() < due and not engine.finished:
        look()
        time.sleep(LOOK_S)


def _processor_s(source: Source) -> float:
    """Processor time of this process so far in seconds, without that of a simulated device."""
    return time.process_time() - (source.own_s if isinstance(source, _SimulatedDevice) else 0.0)


@contextlib.contextmanager
def _dashboard(engine: Engine) -> Iterator[None]:
    """The dashboard is drawn within the block, for nobody to see."""
    over = threading.Event()
    with Path(os.devnull).open("w", encoding="utf-8") as screen:
        console = Console(file=screen, force_terminal=True, width=WIDTH, height=HEIGHT, color_system="truecolor")
        drawing = threading.Thread(
            target=show,
            args=(lambda: engine.latest, _NoControls(), over.is_set),
            kwargs={"fps": FPS, "console": console},
        )
        drawing.start()
        try:
            yield
        finally:
            over.set()
            drawing.join()


def _source(audio: Audio, features: Features, *, microphone: bool) -> Source:
    if not microphone:
        return _SimulatedDevice(features.sample_rate, audio)
    device = recorded_device(with_device(audio), features.sample_rate, [features.channel], end_when_lost=True)
    return MicrophoneSource(device, features.channel)


class _SimulatedDevice(PacedSource):
    """A source of noise whose thread calls the device callback for every block, as PortAudio does."""

    live = True

    def __init__(self, sample_rate: int, settings: Audio) -> None:
        super().__init__("a simulated device", sample_rate)
        self.writer = CallbackWriter(self.ring)
        self.own_s = 0.0  # processor time of its thread, without that of the callback
        self._block_s = settings.block_ms / 1000
        self._size = max(1, round(self._block_s * sample_rate))

    def run(self) -> None:
        """Calls the callback every block."""
        due, in_callback_s = time.time(), 0.0
        blocks = 0.03 * np.random.default_rng(0).standard_normal((BLOCKS, self._size, 1), np.float32)
        for block in itertools.cycle(blocks):
            if self.stopping.is_set():
                return
            due = max(due + self._block_s, time.time() - 1.0)
            time.sleep(max(0.0, due - time.time()))
            called = time.thread_time()
            self.writer(block, self._size, _CallbackTime(due), None)
            in_callback_s += time.thread_time() - called
            self.own_s = time.thread_time() - in_callback_s


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


def _calls(source: Source) -> int:
    writer = _writer(source)
    return writer.calls if writer else 0


def _milliseconds(spread: Spread) -> str:
    return (
        f"median {1000 * spread.median:.2f} ms, 99 % {1000 * spread.p99:.2f} ms, longest {1000 * spread.worst:.2f} ms "
        f"({spread.count} times)"
    )
