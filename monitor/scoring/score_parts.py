"""The registry of score parts: the distances that an anomaly score is fused from, each with its reference distribution.

To add a part, add it to PARTS, and add a kind of score that uses it to SCORE_KINDS, to SCORE_TITLES and to the type of
`score.kind` in `monitor.config.schema`. If the part needs a new statistic of a window, append that to STATISTICS and
compute it in `monitor.scoring.window_stats.WindowStats.write`.
"""

from __future__ import annotations

from dataclasses import dataclass

# The statistics of a window, n_mels numbers each, in the order of the columns in a row of window statistics. The first
# ALWAYS_MEASURED of them are always computed, the others up to the last one that the kind of score uses.
STATISTICS = ("residual", "band_error", "level", "change")
ALWAYS_MEASURED = 2


@dataclass(frozen=True, slots=True)
class ScorePart:
    """A part of the anomaly score: the squared Mahalanobis distance of some mean statistics from their reference."""

    name: str
    statistics: tuple[str, ...]  # adjacent in STATISTICS
    light_shrinkage: float  # of the covariance, if there is enough normal sound: the best on labelled recordings
    needs_network: bool
    # The sign of the first statistic's offset from its centre in a band with new sound; missing sound has the other
    # sign. The residual is x̂ - x: the autoencoder does not reconstruct new sound (negative), and it reconstructs normal
    # sound that is missing in x (positive).
    sign_of_new: int

    @property
    def columns(self) -> tuple[int, int]:
        """Indices in STATISTICS: of the first statistic, and one past the last."""
        first = STATISTICS.index(self.statistics[0])
        return first, first + len(self.statistics)

    def slice(self, n_mels: int) -> slice:
        """The columns of this part in a row of window statistics."""
        first, last = self.columns
        return slice(first * n_mels, last * n_mels)

    def size(self, n_mels: int) -> int:
        """The number of these columns."""
        return len(self.statistics) * n_mels


PARTS: dict[str, ScorePart] = {
    part.name: part
    for part in (
        ScorePart("residual", ("residual",), light_shrinkage=0.01, needs_network=True, sign_of_new=-1),
        ScorePart("spectrum", ("level", "change"), light_shrinkage=0.003, needs_network=False, sign_of_new=1),
    )
}

# `score.kind` -> the parts that are fused; without parts, the score is the mean reconstruction error. The last part
# decides whether a band has new or missing sound.
SCORE_KINDS: dict[str, tuple[ScorePart, ...]] = {
    "fused": (PARTS["residual"], PARTS["spectrum"]),
    "mahalanobis": (PARTS["residual"],),
    "spectrum": (PARTS["spectrum"],),
    "error": (),
}
SCORE_TITLES = {  # what the score is computed from, for readers who do not know the kinds by name
    "fused": "network + spectrum",
    "mahalanobis": "network",
    "spectrum": "spectrum",
    "error": "mean error",
}


def row_width(kind: str, n_mels: int) -> int:
    """The number of columns in a row of window statistics for a kind of score."""
    return max([ALWAYS_MEASURED, *(part.columns[1] for part in SCORE_KINDS[kind])]) * n_mels
