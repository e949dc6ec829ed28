"""A sink that names the stream in what it passes on, for outputs that need a name even where there is one stream."""

from __future__ import annotations

from dataclasses import replace

from monitor.bundle.bundle import Bundle
from monitor.core.errors import MonitorError
from monitor.core.events import Event, ScoreRows
from monitor.core.snapshot import Snapshot
from monitor.core.types import FloatArray
from monitor.outputs.sink import Sink


class NamedSink(Sink):
    """Passes everything on to another sink; events, scores and snapshots without a stream's name get `name`.

    Args:
        sink: the other sink.
        name: name of the stream.
    """

    def __init__(self, sink: Sink, name: str) -> None:
        self._sink, self._name = sink, name

    @property
    def error(self) -> MonitorError | None:
        """The error of the other sink."""
        return self._sink.error

    @error.setter
    def error(self, error: MonitorError | None) -> None:
        self._sink.error = error

    @property
    def dropped(self) -> int:
        """The number of items that the other sink lost."""
        return self._sink.dropped

    @property
    def wants_samples(self) -> bool:
        """Whether the other sink wants samples."""
        return self._sink.wants_samples

    @property
    def wants_frames(self) -> bool:
        """Whether the other sink wants frames."""
        return self._sink.wants_frames

    @property
    def wants_scores(self) -> bool:
        """Whether the other sink wants scores."""
        return self._sink.wants_scores

    @property
    def trouble(self) -> str:
        """What is wrong with the other sink at present."""
        return self._sink.trouble

    def segment(self, first: int) -> None:
        """Passes the beginning of a segment on."""
        self._sink.segment(first)

    def use_model(self, bundle: Bundle) -> None:
        """Passes another model on."""
        self._sink.use_model(bundle)

    def samples(self, samples: FloatArray) -> None:
        """Passes samples on."""
        self._sink.samples(samples)

    def frames(self, first: int, power: FloatArray) -> None:
        """Passes frames on."""
        self._sink.frames(first, power)

    def event(self, event: Event) -> None:
        """Passes an event on, with the name of its stream."""
        self._sink.event(event if event.stream else replace(event, stream=self._name))

    def scores(self, rows: ScoreRows) -> None:
        """Passes scores on, with the name of their stream."""
        self._sink.scores(rows if rows.stream else replace(rows, stream=self._name))

    def snapshot(self, snapshot: Snapshot) -> None:
        """Passes a snapshot on, with the name of its stream."""
        self._sink.snapshot(snapshot if snapshot.stream else replace(snapshot, stream=self._name))

    def stop_waiting(self) -> None:
        """Makes the other sink wait no longer than a few seconds."""
        self._sink.stop_waiting()

    def close(self) -> None:
        """Closes the other sink."""
        self._sink.close()


def named(sink: Sink, name: str) -> Sink:
    """A sink that gives this name to a stream without one; the sink itself if the name is empty."""
    return NamedSink(sink, name) if name else sink
