"""Sink: the base class of every output."""

from __future__ import annotations

from monitor.bundle.bundle import Bundle
from monitor.core.errors import MonitorError
from monitor.core.events import Event, ScoreRows
from monitor.core.snapshot import Snapshot
from monitor.core.types import FloatArray


class Sink:
    """Receives the frames, events and scores of streams. Derived classes override the methods that they need.

    The methods are called on the engine's thread, so they must return at once;
    `monitor.outputs.background.BackgroundSink` has a queue and a thread for slow outputs. A sink that raises an
    exception is not called again, and the error is logged.
    """

    error: MonitorError | None = None  # what is wrong with the output, or was: the program ends with this error

    @property
    def wants_samples(self) -> bool:
        """Whether `samples` does something: if no sink of a stream wants them, they are not passed on."""
        return type(self).samples is not Sink.samples

    @property
    def wants_frames(self) -> bool:
        """Whether `frames` does something: if no sink of a stream wants them, they are not passed on."""
        return type(self).frames is not Sink.frames

    @property
    def wants_scores(self) -> bool:
        """Whether `scores` does something: if no sink of a stream wants them, they are not put together."""
        return type(self).scores is not Sink.scores

    @property
    def dropped(self) -> int:
        """The number of items that were lost."""
        return 0

    @property
    def trouble(self) -> str:
        """What is wrong with the output at present, for the screen; empty if it works."""
        return str(self.error) if self.error else ""

    def segment(self, first: int) -> None:
        """Sound begins that does not continue the samples so far: a recording, or what follows an interruption.

        Args:
            first: number of the first mel frame of the segment in its recording. Sample k · hop_length of the segment
                is the centre of frame `first` + k. The first segment of all begins at 0; sinks are not told of it.
        """

    def use_model(self, bundle: Bundle) -> None:
        """The stream is scored with another model from now on, whose frames are the same. Its sound goes on.

        It is called only for sinks that a stream has of its own, with the model that follows the one that they know.
        """

    def samples(self, samples: FloatArray) -> None:
        """Receives samples (n,) at the model's sample rate, before they are scored."""

    def frames(self, first: int, power: FloatArray) -> None:
        """Receives power mel frames (t, n_mels); `first` is the number of the first one in its recording.

        The events and scores of these frames are received later.
        """

    def event(self, event: Event) -> None:
        """Receives an event when it begins, for each reminder, and when it ends: all have the same `event.id`."""

    def scores(self, rows: ScoreRows) -> None:
        """Receives the scores of windows."""

    def snapshot(self, snapshot: Snapshot) -> None:
        """Receives the state of a stream: once a second, at each event, and at its end.

        While somebody looks at the states (`Engine.latest`), about ten times a second, less often with many streams.
        """

    def stop_waiting(self) -> None:
        """Is called when the monitoring is stopped: from now on no method may wait for longer than a few seconds.

        Unlike the others, this method is called on any thread.
        """

    def close(self) -> None:
        """Completes and closes the output; no other method is called afterwards."""
