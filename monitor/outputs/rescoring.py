"""Sound that is scored once more for people: its spectrogram, its reconstruction, and what each band contributes."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from monitor.bundle.bundle import Bundle
from monitor.core.types import BoolArray, DoubleArray, FloatArray
from monitor.features.windows import windows_of
from monitor.model.folded_inference import folded_layers, reconstruct
from monitor.streaming.portion import joined
from monitor.streaming.score_batch import ScoreBatch

WINDOWS_AT_ONCE = 256  # that are reconstructed together: more would not fit into the processor's cache


@dataclass(frozen=True, slots=True)
class Rescored:
    """The recorded and the reconstructed spectrogram of T mel frames, and their scores, one for each frame.

    Fewer frames than half a window have no window: then all arrays but `recorded` are empty.
    """

    recorded: FloatArray  # (T, n_mels) in dB; power if features.scale is not "log"
    reconstructed: FloatArray  # (T, n_mels) in the same unit
    error: FloatArray  # (T,) reconstruction error of each window
    score: DoubleArray  # (T,) anomaly score; NaN before the first full mean
    rows: FloatArray  # (T, row_width) window statistics
    means: FloatArray  # (T, mean_width) their rolling mean over score.window_s; NaN before the first full mean

    def part(self, frames: slice) -> Rescored:
        """The results of some of the frames."""
        return Rescored(
            self.recorded[frames],
            self.reconstructed[frames],
            self.error[frames],
            self.score[frames],
            self.rows[frames],
            self.means[frames],
        )


def rescore(bundle: Bundle, power: FloatArray) -> Rescored:
    """Scores power mel frames (T, n_mels) as a stream of their own, and reconstructs them."""
    features, normalization = bundle.config.features, bundle.normalization()
    batch = ScoreBatch(bundle)
    [portion], [ending] = batch.push(power[None]).portions(), batch.flush().portions()
    whole = joined(portion, ending)
    windows, layers = windows_of(normalization(power[None]), features.window_frames)[0], folded_layers(bundle.weights)
    middle = slice(features.window_frames // 2 * features.n_mels, (features.window_frames // 2 + 1) * features.n_mels)
    reconstructed = [
        np.zeros((0, features.n_mels), np.float32),  # because there may be no window
        *(
            # Copied, because a part would keep the whole in memory.
            reconstruct(layers, np.ascontiguousarray(windows[start : start + WINDOWS_AT_ONCE]))[:, middle].copy()
            for start in range(0, len(windows), WINDOWS_AT_ONCE)
        ),
    ]
    return Rescored(
        normalization.scaled(power),
        normalization.inverse(np.concatenate(reconstructed)),
        whole.error,
        whole.score,
        whole.rows,
        whole.means,
    )


def contributions_of(bundle: Bundle, mean_row: FloatArray | DoubleArray, *, whole: bool = False) -> FloatArray:
    """The contribution of each band (n_mels,) to the score of a mean row (mean_width,).

    Args:
        bundle: the model.
        mean_row: (mean_width,) mean of window statistics.
        whole: whether it is the mean over a whole recording, not over score.window_s.
    """
    scorer = bundle.scorer()
    return scorer.contributions(mean_row, float(scorer(mean_row, whole_recordings=whole)), whole_recordings=whole)


def anomalous_frames(score: DoubleArray, began: int, ended: int) -> BoolArray:
    """The scored frames from the beginning of an anomaly to its end, or all scored ones if there is none: (t,).

    Args:
        score: (t,) of which some are NaN.
        began, ended: frames of the beginning, and of the end, exclusive.
    """
    index, scored = np.arange(len(score)), np.isfinite(score)
    inside = (index >= began) & (index < max(ended, began + 1)) & scored
    return inside if inside.any() else scored


def typical_mean(rescored: Rescored, inside: BoolArray) -> DoubleArray:
    """The mean row (mean_width,) of an anomaly without its rise and its fall.

    Args:
        rescored: the results.
        inside: (t,) frames of the anomaly, at least one, each with a score.
    """
    high = inside & (rescored.score >= np.median(rescored.score[inside]))
    mean: DoubleArray = rescored.means[high].mean(axis=0, dtype=np.float64)
    return mean


def averaged(spectrogram: FloatArray, columns: int) -> FloatArray:
    """Averages neighbouring frames (t, n_mels) to at most so many columns: (columns, n_mels)."""
    count = min(len(spectrogram), columns)
    edges = np.arange(count) * len(spectrogram) // max(count, 1)
    sizes = np.diff(edges, append=len(spectrogram))[:, None]
    mean: FloatArray = (np.add.reduceat(spectrogram, edges, axis=0) / sizes).astype(np.float32)
    return mean
