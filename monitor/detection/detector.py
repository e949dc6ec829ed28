"""What one stream's frames and scores come to: its state, its events, its last minute, what is learnt of it."""

from __future__ import annotations

import time
from bisect import bisect_right
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from functools import partial
from itertools import accumulate, pairwise

import numpy as np
import torch
from numpy.typing import NDArray

from monitor.detection.alarm import Alarm, Anomaly, Limits
from monitor.bundle.bundle import Bundle
from monitor.config.schema import Config
from monitor.detection.drift import DriftKeeper
from monitor.streaming.ensemble import Lane, Portion
from monitor.scoring.attribution import band_scores, explain
from monitor.features.mel import band_centres
from monitor.detection.timeline import History
from monitor.outputs.event_tracker import Journal
from monitor.scoring.scorer import RecordingScore, rolling_length, row_width
from monitor.outputs.sink import ScoreRows, Sink
from monitor.core.snapshot import Event, FloatArray, State
from monitor.sources.source import Mark
from monitor.detection.on_off import Flagged, Flags, Switch, off_level

MOST_WAITING = 64  # portions to be judged: what waits is held in memory


@dataclass(frozen=True, slots=True)
class RecordingResult:
    """What a recording came to, known when it has ended."""

    name: str
    score: float
    seconds: float
    anomalies: int


class Verdicts:
    """Judges one stream by its scores, and tells its sinks.

    Args:
        stream: its name, empty where it is the only one.
        stream_speed: stream seconds per second, to put times of the stream on the wall clock.
        recordings: whether a recording as a whole is scored when it ends.
    """

    def __init__(
        self,
        bundle: Bundle,
        config: Config,
        mark: Mark,
        *,
        stream: str,
        stream_speed: float,
        recordings: bool,
        sinks: Sequence[Sink],
        drift: DriftKeeper | None,
    ) -> None:
        features = bundle.config.features
        self.results: list[RecordingResult] = []
        self.limits = Limits.of(bundle, config.alarm)
        self.error_threshold = bundle.thresholds["error"].value
        self.band_hz = band_centres(features).numpy()
        self.history = History(features.n_mels, features.hop_s)
        self.last = (np.nan, np.nan)  # rolling error, score
        self.mark = mark  # of the recording
        self.journal = Journal(sinks, stream)
        self._bundle, self._sinks, self._drift, self._stream = bundle, sinks, drift, stream
        self._hop_s = features.hop_s
        self._wall_speed = stream_speed if np.isfinite(stream_speed) else 1.0
        self._recordings = recordings
        self._scorer, self._bundle_id = bundle.scorer(), bundle.digest
        self._window_rows = rolling_length(bundle.config.score, features)
        self._alarm = Alarm(config.alarm, self.limits, features.hop_s, self._window_rows)
        self._unlearnt = 0  # rows since something was, or was not, learnt
        self._switch = Switch(off_level(bundle, config.alarm), features.hop_s)
        self._flagged, self._off = Flagged(), False
        self._newest = np.full(row_width(bundle.config.score, features), np.nan)  # the newest mean row
        self._waiting: list[Portion] = []  # to be judged
        self._due = self._alarm.until_decision  # windows until a decision of the alarm is due
        self._hops_before = 0  # of the recordings that have ended
        self.begin(mark)

    def join(self, lane: Lane) -> None:
        """From here on this is where the stream is computed."""
        self._lane = lane
        if self._drift is not None:
            self._recentre(self._drift)

    @property
    def state(self) -> State:
        """What there is to say of the machine."""
        return State.OFF if self._off else self._alarm.state

    @property
    def threshold(self) -> float:
        """Of the anomaly score, as it is in force."""
        return self._alarm.threshold

    @property
    def evidence(self) -> float:
        """How much there is, as a share of what makes an anomaly."""
        return self._alarm.evidence

    @property
    def shown_events(self) -> tuple[Event, ...]:
        """The events for the screen."""
        return self.journal.shown(self._alarm.anomaly)

    @property
    def band_score(self) -> Callable[[], FloatArray]:
        """What each band adds to the score now: (n_mels,), computed where somebody looks."""
        scorer, newest, score = self._scorer, self._newest, self.last[1]
        return lambda: band_scores(*scorer.shares(torch.from_numpy(newest)), score)

    def scale_threshold(self, factor: float) -> None:
        """Multiplies the thresholds for this run."""
        self._alarm.scale(factor)
        self.error_threshold *= factor

    def begin(self, mark: Mark) -> None:
        """Another recording begins."""
        self.judge()
        self.mark = mark
        self._frames = self._windows = self._alarm_row = 0
        self._anomalies_before = self.journal.anomalies
        score, features = self._bundle.config.score, self._bundle.config.features
        self._recording = RecordingScore(score, self._scorer, row_width(score, features))
        self._recording_began = time.time()
        self._alarm.reset()

    def end(self, seconds: float) -> None:
        """The recording has ended, after so many seconds: so does what lasts."""
        self.end_what_lasts()
        anomalies = self.journal.anomalies - self._anomalies_before
        self.results.append(RecordingResult(self.mark.name, self._recording.value(), seconds, anomalies))
        self._hops_before += self._frames

    def rename(self, name: str) -> None:
        """The sound goes on under another name."""
        self.judge()
        self.mark = replace(self.mark, name=name)

    def cut(self) -> None:
        """Nothing is judged across what comes now: a hole in the sound."""
        self.end_what_lasts()
        self._alarm.reset()
        self.last = (np.nan, np.nan)

    def resume(self, position_s: float) -> None:
        """The stream goes on behind a hole, at so many seconds of the recording."""
        self._frames = self._windows = self._alarm_row = round(position_s / self._hop_s)

    def end_what_lasts(self) -> None:
        """Ends an anomaly, or that the machine is off."""
        self.judge()
        if lasting := self._alarm.finish():
            self._tell(lasting)
        if self._off:
            self._off = False
            self._tell_off(self._windows * self._hop_s)
        self._switch.reset()
        self._flagged = Flagged()

    def use(self, portion: Portion) -> bool:
        """Takes what came of some sound; whether any score did.

        It is judged when a decision of the alarm is due, or when somebody wants to know: seldom, and then all at once.
        """
        self._waiting.append(portion)
        count = len(portion.score)
        self._due -= count
        if self._due <= 0 or len(self._waiting) >= MOST_WAITING:
            self.judge()
        return count > 0

    def judge(self) -> None:
        """Judges all that has been taken."""
        if not self._waiting:
            return
        waiting, self._waiting = self._waiting, []
        if heard := [portion for portion in waiting if len(portion.frames)]:
            self._take_frames(heard)
        if scored := [portion for portion in waiting if len(portion.score)]:
            self._take_scores(scored)
        self._due = self._alarm.until_decision

    def _take_frames(self, heard: Sequence[Portion]) -> None:
        power, decibels, mean_square = (
            np.concatenate(values)
            for values in zip(*((one.frames, one.decibels, one.mean_square) for one in heard), strict=True)
        )
        for sink in self._sinks:
            sink.frames(self._frames, power)
        self.history.add_levels(self._hops_before + self._frames, decibels)
        self._frames += len(power)
        self._flagged.add(*self._switch.push(mean_square))

    def _take_scores(self, scored: Sequence[Portion]) -> None:
        error, rolling_error, score = (
            np.concatenate(values)
            for values in zip(*((one.error, one.rolling_error, one.score) for one in scored), strict=True)
        )
        count, mean_row = len(score), _Row([portion.rolling for portion in scored])
        if self._recordings:
            for portion in scored:
                self._recording.push(torch.from_numpy(portion.rows), torch.from_numpy(portion.score))
        off, hushed = self._flagged.take(count)
        self._newest = mean_row(count - 1)
        if off.any():  # a machine that is off is not to be judged
            score, rolling_error = (np.where(off, np.nan, values) for values in (score, rolling_error))
            self._newest = np.where(off[-1], np.nan, self._newest)
        self.history.add_scores(self._hops_before + self._windows, rolling_error, score)
        self.last = (float(rolling_error[-1]), float(score[-1]))
        # What may be about to be switched off cannot become an anomaly by it.
        judged = np.where(hushed, np.minimum(score, self._alarm.threshold), score) if hushed.any() else score
        for start, stop in _runs(off):
            if off[start] != self._off:
                self._switched(bool(off[start]), (self._windows + start) * self._hop_s)
            for anomaly in self._alarm.update(judged[start:stop], partial(mean_row, start)):
                self._tell(anomaly)
        if self._drift is not None:
            self._follow(self._drift, float(score[-1]), mean_row(count - 1), count)
        rows = ScoreRows(
            self.mark.name, self._windows, self._hop_s, error.astype(np.float64), score, self._alarm.threshold,
            self.state, self._stream,
        )  # fmt: skip
        self._windows += count
        for sink in self._sinks:
            sink.scores(rows)

    def _follow(self, drift: DriftKeeper, score: float, row: NDArray[np.float64], count: int) -> None:
        """Lets what is normal follow, a window at a time."""
        self._unlearnt += count
        if self._unlearnt < self._window_rows:
            return
        if drift.learn(score, row, self._alarm, self._unlearnt * self._hop_s):
            self._recentre(drift)
            if (share := drift.news) is not None:
                at = self._windows * self._hop_s
                self.journal.tell(Event("drift", at, at, time.time(), self.mark.name, peak=share))
        self._unlearnt = 0

    def _recentre(self, drift: DriftKeeper) -> None:
        self._lane.recentre(drift.drift.offsets)
        self._scorer.recentre(drift.drift.offsets)

    def _switched(self, off: bool, at: float) -> None:
        """The machine was switched off, or on again."""
        if off:
            if lasting := self._alarm.finish():
                self._tell(lasting)
            self._off_since = at, time.time()
        self._off = off
        self._tell_off(None if off else at)

    def _tell_off(self, end: float | None) -> None:
        began, wall_time = self._off_since
        self.journal.tell(Event("off", began, end, wall_time, self.mark.name))

    def _tell(self, anomaly: Anomaly) -> None:
        start_s = (self._alarm_row + anomaly.start) * self._hop_s
        profile = torch.from_numpy(anomaly.mean_profile)
        event = Event(
            "anomaly",
            start_s,
            None if anomaly.end is None else (self._alarm_row + anomaly.end) * self._hop_s,
            self._recording_began + start_s / self._wall_speed,
            self.mark.name,
            anomaly.peak,
            anomaly.mean,
            self._alarm.threshold,
            told_s=(self._alarm_row + anomaly.told) * self._hop_s,
            cause=anomaly.cause,
            bands=explain(*self._scorer.shares(profile), self.band_hz) if anomaly.decisions else (),
            model_id=self._bundle_id,
            reminders=anomaly.reminders,
        )
        self.journal.tell(event)


class _Row:
    """One of the rows that stand in several arrays: few of them are asked for, so they are not put together."""

    def __init__(self, arrays: Sequence[NDArray[np.floating]]) -> None:
        self._arrays, self._first = arrays, list(accumulate(map(len, arrays), initial=0))

    def __call__(self, start: int, offset: int = 0) -> NDArray[np.float64]:
        """The row number `start + offset`, a copy."""
        at = bisect_right(self._first, start + offset) - 1
        row: NDArray[np.float64] = self._arrays[at][start + offset - self._first[at]].astype(np.float64)
        return row


def _runs(flags: Flags) -> list[tuple[int, int]]:
    """Runs of equal flags: (start, stop)."""
    edges = [0, *(np.flatnonzero(flags[1:] != flags[:-1]) + 1).tolist(), len(flags)]
    return list(pairwise(edges))
