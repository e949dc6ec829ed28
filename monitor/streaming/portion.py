"""The results of scoring a portion of sound: frames, window statistics, their rolling means, and scores."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, NamedTuple

import numpy as np

from monitor.core.types import DoubleArray, FloatArray, IndexArray
from monitor.scoring.row_layout import RowLayout


class Portion(NamedTuple):
    """The results of one push or flush of one stream: t frames and k windows.

    The window of a frame is complete W/2 - 1 frames later, so t and k differ at the start and at the end of a stream.
    """

    frames: FloatArray  # (t, n_mels) power mel frames
    mean_square: DoubleArray  # (t,) mean square of the samples in each frame
    rows: FloatArray  # (k, row_width) window statistics
    means: FloatArray  # (k, mean_width) their rolling mean over score.window_s; NaN before the first full mean
    error: FloatArray  # (k,) reconstruction error of each window
    rolling_error: FloatArray  # (k,) its rolling mean over score.window_s; NaN before the first full mean
    score: DoubleArray  # (k,) anomaly score; NaN before the first full mean


@dataclass(frozen=True, slots=True)
class BatchResult:
    """The results of one push of n streams, k hops (frames) each. All arrays are in host memory. They are not
    written to again.

    Each hop completes one frame and one window, except at the start of a stream. So of stream i only the last
    `valid_frames[i]` frames and the last `valid_rows[i]` rows, means and scores are valid; what precedes them is
    undefined.
    """

    frames: FloatArray  # (n, k, n_mels), and so on as in `Portion`
    mean_square: DoubleArray  # (n, k)
    rows: FloatArray  # (n, k, row_width)
    means: FloatArray  # (n, k, mean_width)
    score: DoubleArray  # (n, k)
    valid_frames: IndexArray  # (n,)
    valid_rows: IndexArray  # (n,)
    layout: RowLayout  # of rows and means

    def portions(self) -> list[Portion]:
        """The valid results of each stream, as views."""
        # Errors are computed for all streams at once, which is faster than one by one.
        count = self.frames.shape[1]
        error, rolling_error = map(self.layout.reconstruction_error, (self.rows, self.means))
        portions = []
        for i, (frames, rows) in enumerate(zip(self.valid_frames.tolist(), self.valid_rows.tolist(), strict=True)):
            frame, row = slice(count - frames, count), slice(count - rows, count)
            portions.append(
                Portion(
                    self.frames[i, frame], self.mean_square[i, frame], self.rows[i, row], self.means[i, row],
                    error[i, row], rolling_error[i, row], self.score[i, row],
                )
            )  # fmt: skip
        return portions


def joined(first: Portion, second: Portion) -> Portion:
    """Concatenates two consecutive portions of one stream."""
    pairs: list[tuple[Any, Any]] = list(zip(first, second, strict=True))
    return Portion(*map(np.concatenate, pairs))
