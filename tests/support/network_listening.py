"""A stream of a source in the network, heard and scored in this process."""

from __future__ import annotations

import contextlib
from collections.abc import Iterable, Iterator
from pathlib import Path

import numpy as np
import soundfile

from monitor.config.sources import Audio
from monitor.core.events import Event, State
from monitor.core.types import FloatArray
from monitor.runtime.builder import build_engine
from monitor.runtime.monitored_stream import MonitoredStream
from monitor.sources.device.microphones import Listener, Microphones
from support.builders import RATE, noise, small_bundle
from support.listening import RememberingSink, never_alarmed, plan, wait_until

SINE_HZ = 440.0


class Recorder(RememberingSink):
    """Keeps all samples that are scored, too, in pieces that no gap is within."""

    def __init__(self) -> None:
        super().__init__()
        self.pieces: list[list[FloatArray]] = [[]]

    def samples(self, samples: FloatArray) -> None:
        self.pieces[-1].append(samples)

    def segment(self, first: int) -> None:
        self.pieces.append([])

    @property
    def newest(self) -> FloatArray:
        """The samples (n,) since the last gap."""
        return np.concatenate([np.zeros(0, np.float32), *self.pieces[-1]])


class Hearing:
    """A stream that is being heard."""

    def __init__(self, stream: MonitoredStream, sink: Recorder) -> None:
        self.stream, self.sink = stream, sink

    @property
    def state(self) -> State:
        """The state that is shown."""
        return self.stream.latest.state

    def events(self, kind: str) -> list[Event]:
        """The events of a kind so far: one when it begins, one when it ends."""
        return [event for event in list(self.sink.events) if event.kind == kind]

    def wait_for_sound(self, seconds: float = 1.0) -> FloatArray:
        """Waits until so much sound without a gap was heard, and a score, and the source is not lost; returns it."""
        rows = len(self.sink.rows)

        def heard() -> bool:
            enough = len(self.sink.newest) >= seconds * RATE and len(self.sink.rows) > rows
            return enough and self.state is not State.LOST  # the end of the sound may be scored after the loss

        wait_until(heard, f"sound of {self.name}")
        return self.sink.newest

    def wait_for_loss(self) -> None:
        """Waits until the source is lost."""
        wait_until(lambda: self.state is State.LOST, f"the loss of {self.name}")

    @property
    def name(self) -> str:
        """Name of the source, as it is shown."""
        return self.stream.source.name


@contextlib.contextmanager
def hearing_all(urls: Iterable[str]) -> Iterator[list[Hearing]]:
    """Listens to several addresses at once."""
    listeners = [Listener(Audio(device=url), 0, RATE) for url in urls]
    sinks, bundle = [Recorder() for _ in listeners], never_alarmed(small_bundle())
    plans = [
        plan(bundle, source, name=f"stream {number}", sinks=[sink])
        for number, (source, sink) in enumerate(zip(Microphones().sources(listeners), sinks, strict=True))
    ]
    engine = build_engine(plans, device="cpu", precision="float32")
    engine.start()
    try:
        yield [Hearing(stream, sink) for stream, sink in zip(engine.streams, sinks, strict=True)]
    finally:
        engine.stop()


@contextlib.contextmanager
def hearing(url: str) -> Iterator[Hearing]:
    """Listens to an address."""
    with hearing_all([url]) as [one]:
        yield one


def noise_file(folder: Path, rate: int = RATE, seconds: float = 5.0) -> Path:
    """A recording whose every moment can be recognised."""
    path = folder / f"noise-{rate}.wav"
    soundfile.write(path, noise(round(seconds * rate), seed=3), rate, "PCM_16")
    return path


def sine_file(folder: Path, rate: int = RATE, seconds: float = 5.0) -> Path:
    """A recording of a tone, which goes on without a break when it is repeated."""
    path = folder / f"sine-{rate}.wav"
    soundfile.write(path, 0.3 * np.sin(2 * np.pi * SINE_HZ * np.arange(round(seconds * rate)) / rate), rate, "PCM_16")
    return path


def is_unbroken(heard: FloatArray, recording: Path) -> bool:
    """Whether samples (n,) are those of a recording that is repeated, without one missing or added."""
    samples, _ = soundfile.read(recording, dtype="float32")
    [starts] = np.nonzero(np.isclose(samples, heard[0], rtol=0, atol=1e-7))
    wanted = (np.take(samples, np.arange(start, start + len(heard)), mode="wrap") for start in starts)
    return any(np.array_equal(one, heard) for one in wanted)


def share_of_tone(heard: FloatArray) -> float:
    """Share of the power of samples (n,) that is one tone of `SINE_HZ` whose phase never jumps."""
    at = 2 * np.pi * SINE_HZ * np.arange(len(heard)) / RATE
    basis = np.stack([np.sin(at), np.cos(at)], axis=1)
    fitted = basis @ np.linalg.lstsq(basis, heard, rcond=None)[0]
    return float(np.sum(fitted**2) / np.sum(heard.astype(float) ** 2))
