"""Result: the scores of a stream, one for each hop."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from monitor.core.events import Event
from monitor.core.types import DoubleArray, FloatArray


@dataclass(frozen=True, slots=True)
class Result:
    """The results of k consecutive windows of a stream. There is one window every hop (10 ms)."""

    time_s: DoubleArray  # (k,) seconds from the start of the stream to the middle of each window
    error: FloatArray  # (k,) reconstruction error of each window
    score: DoubleArray  # (k,) anomaly score, from the mean over score.window_s; NaN before the first full mean
    threshold: float  # of the anomaly score
    state: NDArray[np.str_]  # (k,) "LISTENING", "NORMAL", "WARNING", "ANOMALY", "OFF" or "NEW MODE"
    contribution: FloatArray  # (k, n_mels) contribution of each band to the score; negative: missing sound
    band_hz: FloatArray  # (n_mels,) centre of each mel band in Hz
    events: tuple[Event, ...] = ()  # that began, were reported again, or ended in these windows, in this order

    def __len__(self) -> int:
        return len(self.error)


def joined(results: Sequence[Result]) -> Result:
    """Concatenates consecutive results of one stream."""
    first = results[0]
    arrays = ("time_s", "error", "score", "state", "contribution")
    return Result(
        **{name: np.concatenate([getattr(one, name) for one in results]) for name in arrays},
        threshold=first.threshold,
        band_hz=first.band_hz,
        events=tuple(event for one in results for event in one.events),
    )
