"""The detectors of all streams of a batch: what is done for all of them together, in arrays."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any
from weakref import ReferenceType, ref

import numpy as np

from monitor.core.types import BoolArray, DoubleArray, IndexArray
from monitor.detection.alarms import LONG, Alarms
from monitor.detection.block import Block, Waiting
from monitor.detection.calm import Calm
from monitor.detection.pauses import Pauses
from monitor.detection.records import records
from monitor.detection.timelines import Timelines
from monitor.scoring.scorer import rolling_length
from monitor.streaming.portion import BatchResult, Portion
from monitor.streaming.stream_batch import StreamBatch

if TYPE_CHECKING:
    from monitor.detection.evaluation import Evaluation

OnError = Callable[[int, Exception], None]  # number of a stream in the batch, and what its processing raised

# A push waits for a decision if it has few hops of all streams together, whose evaluation would cost more than that of
# many at once; or a few of each stream, for streams whose sinks are to get many scores in one call.
FEW_HOPS, FEW_IN_ALL, MAX_WAITING = 16, 256, 64
FEW_STREAMS = 8  # fewer are evaluated faster one by one, unless there are many decisions on the scores of each


@dataclass(slots=True)
class DetectorRecord:
    """The part of a detector's state that is kept in arrays."""

    frames: int  # of the recording so far
    windows: int
    hops_before: int  # in the recordings that have ended
    highest_share: float  # of the limit in this recording; NaN: no decision yet
    error: float  # newest rolling error, NaN if there is none
    score: float
    has_row: bool  # whether the mean row of the newest window is known
    paused: bool  # whether an event says that the machine is not judged


class Detectors:
    """The detectors of the streams of a batch.

    Results of pushes are collected, and evaluated when a decision of the alarm is due. Streams in which nothing happens
    are evaluated together in arrays, and the others one by one, each by its `Evaluation`. That also passes scores and
    frames on to the sinks that want them.

    Args:
        batch: the batch that scores the streams.
    """

    def __init__(self, batch: StreamBatch) -> None:
        count, bundle, layout = len(batch), batch.bundle, batch.layout
        features = bundle.config.features
        window_rows = rolling_length(bundle.config.score, features)
        self.batch = batch
        self.record = records(DetectorRecord, count)
        self.mean_row = np.zeros((count, layout.mean_width), np.float32)  # of the newest window
        self.alarms = Alarms(count, features.hop_s, window_rows)
        self.pauses = Pauses(count, features, window_rows)
        self.timelines = Timelines(count, features.n_mels, features.hop_s)
        self._waiting = Waiting(self.alarms.until_decision, MAX_WAITING)
        self._heard = np.zeros(count, bool)  # whose listeners want frames or scores, or whose reference learns
        self._whole = np.zeros(count, bool)  # whose recordings are scored as a whole
        # A detector holds this object; if this held a part of the detector, their memory would not be free at once.
        self._evaluations: list[ReferenceType[Evaluation] | None] = [None] * count

    def place(self, number: int, evaluation: Evaluation) -> None:
        """Gives stream `number` of the batch to a detector, in place of the one that it had, and forgets that one."""
        self._evaluations[number] = ref(evaluation)
        self._waiting.drop(number)
        record = self.record[number]
        record["frames"] = record["windows"] = record["hops_before"] = 0
        record["highest_share"] = record["error"] = record["score"] = math.nan
        record["has_row"] = record["paused"] = False

    def take_over(self, number: int, other: Detectors, other_number: int) -> None:
        """Gives a stream that has a detector the state of a stream of other detectors, of which nothing waits.

        The states of its alarm and its timeline move with these.
        """
        self.record[number] = other.record[other_number]
        self.pauses.take_over(number, other.pauses, other_number)
        other._evaluations[other_number] = None

    def push(self, result: BatchResult, streams: IndexArray, on_error: OnError | None = None) -> BoolArray:
        """Adds the results of one push of n streams. They are evaluated where a decision is due.

        Args:
            result: of the push.
            streams: (n,) numbers of the streams in the batch.
            on_error: is called for each stream whose processing raises an exception, and the others go on; None: the
                exception is raised.

        Returns:
            which of the streams got scores (n,).
        """
        for which, block in Block.of_result(result, np.asarray(streams)):
            self._add(which, block, on_error)
        scored: BoolArray = np.asarray(result.valid_rows > 0)
        return scored

    def push_portion(self, number: int, portion: Portion) -> None:
        """Adds the next portion of one stream. It is evaluated if a decision is due."""
        self._add(np.array([number]), Block.of_portion(portion, self.batch.layout), None)

    def decide(self, streams: IndexArray, on_error: OnError | None = None) -> None:
        """Evaluates all that has been pushed of streams (n,); `on_error` as for `push`."""
        if not self._waiting:
            return
        for which, block in self._waiting.take(streams):
            self._evaluate(which, block, on_error)

    def until_decision(self, number: int) -> int:
        """The number of windows of a stream, after those pushed so far, up to and including its next decision."""
        return self._waiting.left(number)

    def note_listener(self, number: int) -> None:
        """Takes note of what the listener of a stream wants."""
        evaluation = self._evaluation(number)
        self._heard[number] = evaluation.wants_frames or evaluation.attends
        self._whole[number] = evaluation.whole is not None

    def _add(self, streams: IndexArray, block: Block, on_error: OnError | None) -> None:
        # What waits is joined, and the last digit of a sum depends on that; recordings are scored as they come.
        for index in np.flatnonzero(self._whole[streams]).tolist():
            self._evaluation(int(streams[index])).push_whole(block, index)
        if block.size * len(streams) < FEW_IN_ALL:
            self._keep(streams, range(len(streams)), block, on_error)
            return
        waits = self._heard[streams] if block.size < FEW_HOPS else np.zeros(len(streams), bool)
        if waits.any():
            kept, now = np.flatnonzero(waits), np.flatnonzero(~waits)
            self._keep(streams[kept], kept.tolist(), block, on_error)
            streams, block = streams[now], block.some(now)
        if len(streams):
            self.decide(streams, on_error)
            self._evaluate(streams, block, on_error)

    def _keep(self, streams: IndexArray, indices: Sequence[int], block: Block, on_error: OnError | None) -> None:
        """Keeps results of streams (n,) with these indices in a block, until a decision is due."""
        due = self._waiting.add(zip(streams.tolist(), indices, strict=True), block)
        if due:
            self.decide(np.array(due), on_error)

    def _evaluate(self, streams: IndexArray, block: Block, on_error: OnError | None) -> None:
        """Evaluates the next frames and windows of n streams."""
        frames, windows = block.frames.shape[1], block.score.shape[1]
        guarded = _Guarded(streams, on_error)
        if frames:
            first = self.record["hops_before"][streams] + self.record["frames"][streams]
            self.timelines.add_frames(streams, first, block.frames)
            for index in np.flatnonzero(self._heard[streams]).tolist():
                evaluation = self._evaluation(int(streams[index]))
                if evaluation.wants_frames:
                    guarded(index, evaluation.pass_on, block.frames[index])
            self.record["frames"][streams] += frames
        calm = np.zeros(len(streams), bool)
        decisions = windows // self.alarms.rules(int(streams[0])).per_decision
        if windows and (len(streams) >= FEW_STREAMS or decisions >= LONG):
            calm = self.pauses.calm(streams, block.mean_square) & ~self.record["paused"][streams]
            if calm.any():
                calm = self._evaluate_calm(streams, block, calm, guarded)
        for index in np.flatnonzero(~calm).tolist():
            guarded(index, self._evaluation(int(streams[index])).evaluate, block, index)

    def _evaluate_calm(self, streams: IndexArray, block: Block, calm: BoolArray, guarded: _Guarded) -> BoolArray:
        """Evaluates those streams together in whose windows nothing happens.

        Args:
            streams: (n,) numbers of the streams.
            block: their results.
            calm: (n,) which of them are certainly running.
            guarded: calls a function for one stream, by its index.

        Returns:
            which streams were evaluated (n,).
        """
        running = np.flatnonzero(calm)
        all_running = slice(None) if len(running) == len(streams) else running
        decided = self.alarms.push_calm(
            streams[all_running],
            block.score[all_running],
            lambda rows, at: block.means[running[rows], at].astype(np.float64),
        )
        which = running[decided.done]
        done = np.zeros(len(streams), bool)
        if not len(which):
            return done
        done[which] = True
        part = slice(None) if done.all() else which
        numbers, score = streams[part], block.score[part]
        self.pauses.push_calm(numbers, block.mean_square[part], score.shape[1])
        error = block.layout.reconstruction_error(block.means[part])
        self._note(numbers, error, score, decided.finished())
        self.mean_row[numbers] = block.means[part, -1]
        for place in np.flatnonzero(decided.done & self._heard[streams[running]]).tolist():
            index = int(running[place])
            evaluation = self._evaluation(int(streams[index]))
            if evaluation.attends:
                share, number = decided.trace_of(place)[:, 0], decided.decided(place)
                guarded(index, evaluation.conclude, block, index, block.score[index], share, number)
        self.record["windows"][numbers] += score.shape[1]
        return done

    def _note(self, numbers: IndexArray, error: DoubleArray, score: DoubleArray, decided: Calm) -> None:
        """Takes note of rolling errors (n, k), scores (n, k), and what the alarms made of them, of streams (n,)."""
        record = self.record
        first = record["hops_before"][numbers] + record["windows"][numbers]
        self.timelines.add_highest(
            numbers, first, score.shape[1],
            lambda hops: (hops.highest(error), hops.highest(score), *decided.highest_in(hops).T),
        )  # fmt: skip
        record["error"][numbers], record["score"][numbers] = error[:, -1], score[:, -1]
        record["has_row"][numbers] = True
        record["highest_share"][numbers] = np.fmax(record["highest_share"][numbers], decided.highest_share())

    def _evaluation(self, number: int) -> Evaluation:
        reference = self._evaluations[number]
        evaluation = None if reference is None else reference()
        if evaluation is None:
            raise KeyError(f"stream {number} of the batch has no detector")
        return evaluation


class _Guarded:
    """Calls functions for single streams, so that an error in one does not harm the others.

    Args:
        streams: (n,) numbers of the streams.
        on_error: as for `Detectors.push`.
    """

    def __init__(self, streams: IndexArray, on_error: OnError | None) -> None:
        self._streams, self._on_error = streams, on_error
        self._failed = set[int]()  # indices of streams

    def __call__(self, index: int, action: Callable[..., None], *arguments: Any) -> None:
        """Calls a function for a stream, by its index, if none has failed for it."""
        if index in self._failed:
            return
        try:
            action(*arguments)
        except Exception as error:
            if self._on_error is None:
                raise
            self._failed.add(index)
            self._on_error(int(self._streams[index]), error)
