"""What is kept of each second of a piece: scores, level, state, and what each band contributes to the highest score."""

from __future__ import annotations

import math
from dataclasses import dataclass, field, fields, replace
from itertools import pairwise

import numpy as np
from numpy.typing import NDArray

from monitor.audio.level import dbfs
from monitor.bundle.bundle import Bundle
from monitor.core.events import Event, ScoreRows, State
from monitor.core.types import DoubleArray, FloatArray
from monitor.streaming.stream_batch import StreamBatch

ROUNDING = 1e-6  # of positions in seconds
AT_ONCE = 256  # seconds whose band contributions are computed at once
STATES = tuple(State)


@dataclass(frozen=True, slots=True, eq=False)
class Seconds:
    """The values of n successive seconds; NaN where there is none. The last second may be shorter.

    `score`, `share` and `error` are the highest of the second, as in the Parquet files of `monitor replay`.
    """

    score: FloatArray  # (n,) highest anomaly score
    mean_score: FloatArray  # (n,)
    share: FloatArray  # (n,) how near the alarm is; above 1 is the alarm
    error: FloatArray  # (n,) reconstruction error
    level: FloatArray  # (n,) of the samples that are scored, in dB relative to full scale
    state: NDArray[np.int8]  # (n,) index into STATES
    bands: NDArray[np.int8]  # (n, n_mels) percent of the highest score, negative for missing sound; 0 without a score


@dataclass
class _Chunk:
    """The values of AT_ONCE seconds, and the mean row of the highest score of each."""

    n_rows: int
    width: int
    values: DoubleArray = field(init=False)  # score, sum of scores, number of scores, share, error
    state: NDArray[np.int8] = field(init=False)
    means: FloatArray = field(init=False)

    def __post_init__(self) -> None:
        self.values = np.full((self.n_rows, 5), np.nan)
        self.values[:, 1:3] = 0.0
        self.state = np.zeros(self.n_rows, np.int8)
        self.means = np.zeros((self.n_rows, self.width), np.float32)


class SecondRows:
    """Listens to a detector, and sums up its scores by the second.

    Memory grows by some eighty bytes a second, a quarter of a megabyte an hour.

    Args:
        bundle: the model.
        batch: a batch of one stream, that of the detector.
    """

    wants_frames, wants_scores = False, True

    def __init__(self, bundle: Bundle, batch: StreamBatch) -> None:
        self.events: list[Event] = []  # as they were reported
        self._batch = batch
        self._n_mels = bundle.config.features.n_mels
        self._waiting: list[FloatArray] = []  # mean rows whose scores the detector has not reported yet
        self._done: list[Seconds] = []
        self._first = 0  # second with which the chunk begins
        self._last = -1  # newest second that has a score row
        self._chunk = _Chunk(AT_ONCE, batch.layout.mean_width)
        self._power: list[DoubleArray] = []  # mean square of the samples of each whole second
        self._begun: tuple[float, int] = (0.0, 0)  # sum of squares, and number of samples, of the second that is begun

    def samples(self, samples: FloatArray, rate: int) -> None:
        """Adds the next samples (n,), `rate` a second."""
        total, count = self._begun
        squares = np.square(samples, dtype=np.float64)
        if count + len(squares) >= rate:
            head = rate - count
            whole = (len(squares) - head) // rate
            body = squares[head : head + whole * rate].reshape(whole, rate).mean(axis=1)
            self._power.append(np.concatenate(([(total + squares[:head].sum()) / rate], body)))
            squares, total, count = squares[head + whole * rate :], 0.0, 0
        self._begun = total + float(squares.sum()), count + len(squares)

    def portion(self, means: FloatArray) -> None:
        """Takes the mean rows (k, mean_width) of the windows that the detector gets next."""
        if len(means):
            self._waiting.append(means)

    def frames(self, first: int, power: FloatArray) -> None:
        """Ignores frames."""

    def event(self, event: Event) -> None:
        """Keeps an event."""
        self.events.append(event)

    def scores(self, rows: ScoreRows) -> None:
        """Adds the scores of windows, whose mean rows have been taken before."""
        count = len(rows.score)
        means = self._waiting[0] if len(self._waiting) == 1 else np.concatenate(self._waiting)
        self._waiting = [means[count:]] if len(means) > count else []
        seconds = ((rows.first + np.arange(count)) * rows.hop_s + ROUNDING).astype(np.int64)
        edges = [0, *(np.flatnonzero(np.diff(seconds)) + 1).tolist(), count]
        for start, stop in pairwise(edges):
            self._add(int(seconds[start]), rows, slice(start, stop), means)

    def finish(self) -> Seconds:
        """The seconds from the beginning to the end."""
        self._complete(self._last + 1 - self._first)
        total, count = self._begun
        power = np.concatenate([*self._power, [total / count]] if count else [*self._power, np.zeros(0)])
        names = [one.name for one in fields(Seconds)]
        made = Seconds(**{name: np.concatenate([getattr(one, name) for one in self._done]) for name in names})
        level = np.full(len(made.score), np.nan, np.float32)
        known = min(len(level), len(power))
        level[:known] = [dbfs(math.sqrt(one)) for one in power[:known].tolist()]
        return replace(made, level=level)

    def _add(self, second: int, rows: ScoreRows, part: slice, means: FloatArray) -> None:
        while second >= self._first + AT_ONCE:
            self._complete(AT_ONCE)
        at, score = second - self._first, rows.score[part]
        values = self._chunk.values[at]
        scored = np.isfinite(score)
        if scored.any():
            best = int(np.nanargmax(np.where(scored, score, -np.inf)))
            if not score[best] <= values[0]:
                values[0] = score[best]
                self._chunk.means[at] = means[part.start + best]
            values[1] += float(score[scored].sum())
            values[2] += int(scored.sum())
        values[3] = np.fmax.reduce(rows.share[part], initial=values[3])
        values[4] = np.fmax.reduce(rows.error[part], initial=values[4])
        self._chunk.state[at] = STATES.index(rows.state)
        self._last = second

    def _complete(self, count: int) -> None:
        """Computes what the bands contribute in the first `count` seconds of the chunk, and begins another one."""
        chunk = self._chunk
        score, total, number, share, error = (chunk.values[:count, column] for column in range(5))
        bands = np.zeros((count, self._n_mels), np.int8)
        scored = np.isfinite(score) & (score > 0)
        if scored.any():
            parts = self._batch.contributions(chunk.means[:count][scored], score[scored], 0)
            bands[scored] = np.rint(100 * parts / score[scored, None])
        with np.errstate(invalid="ignore"):
            mean = np.where(number > 0, total / number, np.nan)
        highest, means, shares, errors = (one.astype(np.float32) for one in (score, mean, share, error))
        level = np.full(count, np.nan, np.float32)  # is known at the end
        self._done.append(Seconds(highest, means, shares, errors, level, chunk.state[:count].copy(), bands))
        self._chunk, self._first = _Chunk(AT_ONCE, self._batch.layout.mean_width), self._first + count
