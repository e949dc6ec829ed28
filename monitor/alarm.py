"""From anomaly score to state: hysteresis and persistence, one event for each anomaly."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from monitor import config
from monitor.snapshot import State

Array = NDArray[np.float64]


@dataclass(slots=True)
class Anomaly:
    """An anomaly while it lasts, and afterwards. Times are row numbers of the scores."""

    start: int  # the first row above the threshold
    end: int | None = None  # the first row back below, None while it lasts
    peak: float = -np.inf
    total: float = 0.0
    rows: int = 0

    @property
    def mean(self) -> float:
        """The mean score from start to end."""
        return self.total / max(1, self.rows)

    def take(self, scores: Array) -> None:
        """Counts these scores in."""
        if len(scores):
            self.peak = max(self.peak, float(scores.max()))
            self.total += float(scores.sum())
            self.rows += len(scores)


class Alarm:
    """The state of one stream.

    A score above the threshold makes a WARNING; one that is not back below `release_ratio` times the threshold for
    `persistence_s` makes an ANOMALY of it; `release_s` below that level end it. The score may come in any portions.
    """

    def __init__(self, settings: config.Alarm, threshold: float, hop_s: float) -> None:
        self.threshold = threshold
        self._release_ratio = settings.release_ratio
        self._persistence = round(settings.persistence_s / hop_s)
        self._release = max(1, round(settings.release_s / hop_s))
        self.reset()

    def reset(self) -> None:
        """Begins anew: the next row is row 0 of another stream."""
        self.state = State.LISTENING
        self.anomaly: Anomaly | None = None  # the one that lasts, or threatens to
        self._row = 0
        self._below = np.empty(0)  # the scores in a row below the release level, of an anomaly

    def update(self, scores: Array) -> list[Anomaly]:
        """Takes the next scores (k,), NaN before the first; returns the anomalies that began or ended by them.

        An anomaly that lasts stands in `anomaly` while the state is ANOMALY.
        """
        told: list[Anomaly] = []
        position = 0
        while position < len(scores):
            position += self._advance(scores[position:], self._row + position, told)
        self._row += len(scores)
        return told

    def finish(self) -> Anomaly | None:
        """Ends the stream: returns the anomaly that still lasted, ended. The state stays until `reset`."""
        lasting = self.anomaly if self.state is State.ANOMALY else None
        if lasting is not None:
            lasting.end = self._row
            self._take_below()
        self.anomaly = None
        return lasting

    def _advance(self, scores: Array, row: int, told: list[Anomaly]) -> int:
        """Goes on to the next change of state; returns how many rows that took."""
        release = self._release_ratio * self.threshold
        if self.state is State.LISTENING:
            count = _first(~np.isnan(scores))
            if count < len(scores):
                self.state = State.NORMAL
            return count
        if self.state is State.NORMAL:
            count = _first(scores > self.threshold)
            if count < len(scores):
                self.state, self.anomaly = State.WARNING, Anomaly(row + count)
            return count
        assert self.anomaly is not None
        if self.state is State.WARNING:
            due = self.anomaly.start + self._persistence - row
            count = min(_first(scores < release), due)
            self.anomaly.take(scores[:count])
            if count == due:
                self.state, self._below = State.ANOMALY, self._below[:0]
                told.append(self.anomaly)
            elif count < len(scores):
                self.state, self.anomaly = State.NORMAL, None
            return count
        return self._advance_anomaly(scores, row, release, told)

    def _advance_anomaly(self, scores: Array, row: int, release: float, told: list[Anomaly]) -> int:
        assert self.anomaly is not None
        below = scores < release
        if not below[0]:
            self._take_below()
            count = _first(below)
            self.anomaly.take(scores[:count])
            return count
        count = min(_first(~below), self._release - len(self._below))
        self._below = np.concatenate((self._below, scores[:count]))
        if len(self._below) == self._release:
            self.anomaly.end = row + count - self._release
            told.append(self.anomaly)
            self.state, self.anomaly = State.NORMAL, None
        return count

    def _take_below(self) -> None:
        """The scores that were below for a moment only are part of the anomaly."""
        if self.anomaly is not None:
            self.anomaly.take(self._below)
        self._below = self._below[:0]


def _first(mask: NDArray[np.bool_]) -> int:
    """The index of the first True, or the length where there is none."""
    index = int(mask.argmax()) if len(mask) else 0
    return index if len(mask) and mask[index] else len(mask)
