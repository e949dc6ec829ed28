"""The evaluation of one stream: where something happens in it, or somebody wants to know all its scores."""

from __future__ import annotations

from functools import partial
from itertools import pairwise
from typing import TYPE_CHECKING, Any

import numpy as np

from monitor.core.events import Decisions, ScoreRows
from monitor.core.types import BoolArray, DoubleArray, FloatArray, IndexArray
from monitor.detection.alarm import Alarm
from monitor.detection.block import Block
from monitor.detection.drift_learning import DriftLearning
from monitor.detection.pauses import Pauses
from monitor.detection.recording import Listener
from monitor.detection.stream_events import KINDS, StreamEvents
from monitor.detection.timeline import Timeline
from monitor.detection.whole_recording import WholeRecording

if TYPE_CHECKING:
    from monitor.detection.detectors import Detectors


class Evaluation:
    """Evaluates the frames and windows of one stream, and reports what happens; `Detectors` call it.

    `use_place` says where the stream is.

    Args:
        alarm: of the stream.
        timeline: of the stream.
        events: of the stream.
        listener: receives frames and scores.
        hop_s: seconds from one window to the next.
        stream: name of the stream if there are several.
    """

    whole: WholeRecording | None = None  # scores recordings as a whole
    learning: DriftLearning | None = None  # of the reference
    model_id = ""  # of the model that computes the scores

    def __init__(
        self, alarm: Alarm, timeline: Timeline, events: StreamEvents, listener: Listener, hop_s: float, stream: str
    ) -> None:
        self._alarm, self._timeline, self._events = alarm, timeline, events
        self._listener, self._hop_s, self._stream = listener, hop_s, stream

    def use_place(self, detectors: Detectors, number: int) -> None:
        """The stream is this one of these detectors from now on."""
        self._detectors, self._number = detectors, number

    @property
    def wants_frames(self) -> bool:
        """Whether the listener wants frames."""
        return self._listener.wants_frames

    @property
    def attends(self) -> bool:
        """Whether all scores have to be known, also those that nothing happens in: `conclude` is called."""
        return self.learning is not None or self._listener.wants_scores

    @property
    def _pauses(self) -> Pauses:
        return self._detectors.pauses

    @property
    def _record(self) -> Any:
        """The row of this stream in the `DetectorRecord`s: what is written into it changes the array."""
        return self._detectors.record[self._number]

    @property
    def _windows(self) -> int:
        """The number of windows of the recording so far."""
        return int(self._record["windows"])

    def pass_on(self, power: FloatArray) -> None:
        """Passes power mel frames (t, n_mels) to the listener, before their windows are evaluated."""
        self._listener.frames(int(self._record["frames"]), power)

    def push_whole(self, block: Block, index: int) -> None:
        """Adds the windows of one stream of a block to the score of the recording as a whole."""
        if self.whole is not None and block.rows is not None:
            self.whole.push(block.rows[index], block.means[index], block.score[index])

    def evaluate(self, block: Block, index: int) -> None:
        """Evaluates the frames and windows of one stream of a block; `index` is that of this stream in it."""
        if block.mean_square.shape[1]:
            self._pauses.push_frames(self._number, block.mean_square[index])
        if not block.score.shape[1]:
            return
        means, record = block.means[index], self._record
        judged = self._pauses.push(self._number, block.score[index], self._alarm.threshold, means.__getitem__)
        score, off, rolling_error = judged.score, judged.off, block.layout.reconstruction_error(means)
        if off.any():  # a machine that is off has no scores
            rolling_error = np.where(off, np.nan, rolling_error)
        count, first = len(score), int(record["hops_before"]) + self._windows
        self._detectors.mean_row[self._number], record["has_row"] = means[-1], not off[-1]
        record["error"], record["score"] = rolling_error[-1], score[-1]
        levels = np.empty((count, 2))
        decided: list[tuple[int, int]] = []
        for start, stop in _runs(judged.kinds):
            self._pause_for(KINDS.get(int(judged.kinds[start]), ""), (self._windows + start) * self._hop_s)
            for anomaly in self._alarm.push(judged.for_alarm[start:stop], partial(_copy_of_row, means[start:stop])):
                self._events.anomaly(anomaly, self._alarm.threshold)
            levels[start:stop] = self._alarm.trace
            decided += ((start + at, number) for at, number in self._alarm.decided)
        self._timeline.add_scores(first, rolling_error, score, levels)
        record["highest_share"] = np.fmax.reduce(levels[:, 0], initial=record["highest_share"])
        if self.attends:
            self.conclude(block, index, score, levels[:, 0], decided, judged.held_back)
        record["windows"] += count

    def conclude(
        self,
        block: Block,
        index: int,
        score: DoubleArray,
        share: DoubleArray,
        decided: list[tuple[int, int]],
        held_back: BoolArray | None = None,
    ) -> None:
        """Does what there is to do with all scores, after the alarm has decided on them.

        Args:
            block: the results.
            index: of this stream in them.
            score: (k,) NaN where the machine is off.
            share: (k,) share of the limit, NaN where the alarm makes no decisions.
            decided: of each decision the index of the score, and its number.
            held_back: (k,) which scores count as the threshold at most; None: none.
        """
        if self.learning is not None:
            mean_row = _copy_of_row(block.means[index], -1)
            share_of_cap = self.learning.push(float(score[-1]), mean_row, self._alarm, len(score))
            if share_of_cap is not None:
                self._events.drift(share_of_cap, self._windows * self._hop_s)
        if self._listener.wants_scores:
            events, at = self._events, self._windows * self._hop_s
            held_back = np.zeros(len(score), bool) if held_back is None else held_back
            rows = ScoreRows(
                events.recording.name, self._windows, self._hop_s, block.error[index], score, self._alarm.threshold,
                events.state(self._alarm.state), share, events.wall_time(at), self._stream,
                self._decisions(decided, held_back),
            )  # fmt: skip
            self._listener.scores(rows)

    def _decisions(self, decided: list[tuple[int, int]], held_back: BoolArray) -> Decisions:
        """What the alarm has decided on, of the scores that were just processed."""
        index, number = np.array(decided, np.int64).reshape(-1, 2).T
        limits, per_decision = self._alarm.limits, self._alarm.per_decision
        return Decisions(index, number, held_back[index], per_decision, limits.cusum, self.model_id)

    def _pause_for(self, kind: str, at: float) -> None:
        """Reports from `at` seconds on that the machine is not judged, for a kind of reason; "": that it is, again."""
        if not self._events.changes_pause(kind):
            return
        self._events.end_pause(at)
        if kind:
            if ended := self._alarm.finish():
                self._events.anomaly(ended, self._alarm.threshold)
            self._events.begin_pause(kind, at)
        self._record["paused"] = bool(kind)


def _copy_of_row(rows: FloatArray, at: int) -> DoubleArray:
    """Row number `at`: (mean_width,)."""
    row: DoubleArray = rows[at].astype(np.float64)
    return row


def _runs(numbers: IndexArray) -> list[tuple[int, int]]:
    """The (start, stop) of each run of equal numbers."""
    edges = [0, *(np.flatnonzero(numbers[1:] != numbers[:-1]) + 1).tolist(), len(numbers)]
    return list(pairwise(edges))
