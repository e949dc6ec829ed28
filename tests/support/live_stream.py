"""A live stream that runs hop by hop on the test's thread and clock."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from monitor.audio.ring_buffer import RingReader, SampleRing
from monitor.bundle.bundle import Bundle
from monitor.core.events import Event, State
from monitor.outputs.sink import Sink
from monitor.runtime.builder import build_engine
from support.builders import RATE
from support.clock import Clock
from support.listening import HandFedSource, RememberingSink, plan

HOP_S = 0.01
MODULES = (
    "monitor.runtime.monitored_stream",
    "monitor.runtime.stream_input",
    "monitor.runtime.stream_position",
    "monitor.runtime.stream_segments",
    "monitor.runtime.engine",
    "monitor.detection.stream_events",
)  # with the clock


class LiveStream:
    """A live stream and its engine, which run hop by hop on the test's thread and clock."""

    def __init__(self, clock: Clock, bundle: Bundle, rate: int = RATE, sinks: Sequence[Sink] = ()) -> None:
        self.clock, self.sink, self.rate = clock, RememberingSink(), rate
        self.source = HandFedSource(rate=rate)
        self.engine = build_engine(
            [plan(bundle, self.source, sinks=[self.sink, *sinks])], device="cpu", precision="float32"
        )
        [self.stream] = self.engine.streams

    def hear(self, sound: np.ndarray) -> None:
        """Writes samples (n,) in blocks of 10 ms in real time, as a device does."""
        size = round(HOP_S * self.rate)
        for start in range(0, len(sound), size):
            self.source.write(sound[start : start + size])
            self.turn()

    def wait(self, seconds: float) -> None:
        """Lets time pass without samples."""
        for _ in range(round(seconds / HOP_S)):
            self.turn()

    def turn(self) -> None:
        """Advances the clock by 10 ms and runs one turn of the engine."""
        self.clock.sleep(HOP_S)
        self.engine.take_turns()

    def lose(self, seconds: float, rate: int | None = None) -> None:
        """The device is lost for some seconds and then reopened, perhaps with another sample rate."""
        self.source.lost_since = self.clock.now
        self.wait(seconds)
        self.reopen(rate or self.rate)
        self.source.lost_since = None
        self.turn()

    def reopen(self, rate: int) -> None:
        """The device has a new ring, still without samples, with a sample rate in Hz."""
        self.rate = self.source.sample_rate = rate
        self.source.ring = SampleRing(40 * rate)
        self.source.reader = RingReader(self.source.ring)

    def end(self) -> None:
        self.source.end()
        for _ in range(3):  # before it, what has come since the last portion is scored: whole hops, then the rest
            self.turn()
        assert self.stream.latest.finished
        assert self.stream.error is None

    @property
    def state(self) -> State:
        self.stream.publish(0.0)
        return self.stream.latest.state

    @property
    def errors(self) -> np.ndarray:
        """The reconstruction error of every window so far."""
        return np.concatenate([np.zeros(0), *(rows.error for rows in self.sink.rows)])

    def events(self, *kinds: str) -> list[Event]:
        return [event for event in self.sink.events if event.kind in kinds]
