"""The registry of score parts: the distances that an anomaly score is fused from, each with its reference distribution.

To add a part, add it to PARTS, and add a kind of score that uses it to SCORE_KINDS, to SCORE_TITLES and to the type of
`score.kind` in `monitor.config.schema`. If the part needs a new statistic of a window, append that to STATISTICS and
compute it in `monitor.scoring.window_stats.WindowStats.write`.
"""

from __future__ import annotations

from dataclasses import dataclass, replace

from monitor.config.schema import Score

# The statistics of a window, in the order of the columns in a row (`monitor.scoring.row_layout`). The first
# ALWAYS_MEASURED of them are always computed, the others up to the last one that the kind of score uses.
STATISTICS = ("residual", "error", "level", "change", "highest", "lowest")
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
    # Whether it is compared with the fused parts: the score is the higher of both. Otherwise the part is fused.
    alternative: bool = False
    of_peaks: bool = False  # whether its numbers are the peaks of mean rows, and not means of `statistics`

    @property
    def range(self) -> tuple[int, int]:
        """Indices in STATISTICS: of the first statistic, and one past the last."""
        first = STATISTICS.index(self.statistics[0])
        return first, first + len(self.statistics)

    def size(self, n_mels: int) -> int:
        """The number of columns of these statistics in a row."""
        return len(self.statistics) * n_mels


PARTS: dict[str, ScorePart] = {
    part.name: part
    for part in (
        ScorePart("residual", ("residual",), light_shrinkage=0.01, needs_network=True, sign_of_new=-1),
        ScorePart(
            "spectrum",
            ("level", "change", "highest", "lowest"),
            light_shrinkage=0.03,
            needs_network=False,
            sign_of_new=1,
        ),
    )
}
# The spectrum without `score.extremes`.
_MEAN_SPECTRUM = replace(PARTS["spectrum"], statistics=("level", "change"))

# The loudest moments, of a machine whose own impulses are louder than what varies around it. Its reference
# distribution is only in the models of such machines.
PEAKS = ScorePart(
    "peaks", ("level",), light_shrinkage=0.01, needs_network=False, sign_of_new=1, alternative=True, of_peaks=True
)

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


def parts_of(score: Score) -> tuple[ScorePart, ...]:
    """The parts that the settings of a score fuse."""
    parts = SCORE_KINDS[score.kind]
    return parts if score.extremes else tuple(_MEAN_SPECTRUM if p is PARTS["spectrum"] else p for p in parts)


def measured_statistics(score: Score) -> int:
    """How many of STATISTICS are computed for this kind of score."""
    return max([ALWAYS_MEASURED, *(part.range[1] for part in parts_of(score))])
