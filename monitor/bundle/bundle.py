"""A trained model in memory: network weights, normalization, reference distributions, thresholds and provenance."""

from __future__ import annotations

import math
from dataclasses import dataclass, field
from typing import Any

import numpy as np
from numpy.typing import NDArray

from monitor.bundle.threshold import Threshold
from monitor.config.schema import Config
from monitor.core.array_backend import NUMPY, ArrayBackend
from monitor.core.types import DoubleArray, FloatArray
from monitor.features.normalization import Normalization
from monitor.scoring.gaussian import Reference
from monitor.scoring.operating_modes import OperatingModes
from monitor.scoring.rhythm import Rhythm
from monitor.scoring.row_layout import RowLayout
from monitor.scoring.score_parts import PEAKS, parts_of
from monitor.scoring.scorer import Scorer


@dataclass(frozen=True)
class Bundle:
    """A trained model with everything that scoring needs. All arrays are numpy arrays and must not be changed."""

    config: Config  # only the groups in `monitor.bundle.schema.STORED_GROUPS` belong to the model
    weights: dict[str, NDArray[Any]]  # the autoencoder's state_dict
    mean: FloatArray  # (n_mels,) mean of the training frames before standardization
    deviation: FloatArray  # (n_mels,) their standard deviation
    usual_band_error: FloatArray  # (n_mels,) mean squared error of each band on held-out normal sound
    references: dict[str, Reference]  # by the name of the score part (`monitor.scoring.score_parts`)
    thresholds: dict[str, Threshold]  # by name, as in `monitor.bundle.threshold.THRESHOLDS`
    normal_scores: DoubleArray  # (n,) ascending: scores of normal sound over score.window_s, for the cumulative sum
    normal_dbfs: float = -200.0  # level of the quietest normal sound
    provenance: dict[str, Any] = field(default_factory=dict)  # data, seed, library versions, date, calibrations
    level_has_offset: bool = False  # whether `normal_dbfs` includes a constant offset, as in older formats
    modes: OperatingModes | None = None  # None: the machine has only one
    rhythm: Rhythm | None = None  # of the impulses of the machine; None: it has none
    precision: str = "float32"  # of the network when thresholds were made; references hold in every precision
    model_id: str = ""  # the first characters of a hash of the saved bundle; "" before it is saved

    @property
    def layout(self) -> RowLayout:
        """The layout of rows of window statistics, and of their means."""
        modes = 0 if self.modes is None else self.modes.count
        peaks = PEAKS.name in self.references
        return RowLayout.of(self.config, modes=modes, rhythm=self.rhythm is not None, peaks=peaks)

    def length_factor(self, seconds: float) -> float:
        """By how much the limit of a recording of this length is higher than `thresholds["recording"]`.

        NaN if it is too short to be judged as a whole, 1 if it is not short, or before there are thresholds.
        """
        threshold = self.thresholds.get("recording")
        # The highest score of a recording does not depend much on its length.
        if threshold is None or self.config.score.recording == "max":
            return 1.0
        return threshold.length_factor(self._scored_s(seconds))

    def recording_limit(self, seconds: float) -> float:
        """The limit of the score of a recording of this length; NaN if it is too short to be judged as a whole."""
        return self.thresholds["recording"].value * self.length_factor(seconds)

    def highest_normal(self, seconds: float) -> float:
        """The score that hardly any normal recording of this length exceeds; NaN if that is not known."""
        highest = self.thresholds["recording"].highest_at(self._scored_s(seconds))
        # A limit found from labelled recordings may be higher than all normal sound.
        return highest if math.isnan(highest) else max(highest, self.recording_limit(seconds))

    def _scored_s(self, seconds: float) -> float:
        """The part of a recording of this length that its score as a whole is computed from, in seconds."""
        return seconds - 2 * self.config.score.cut_frames * self.config.features.hop_s

    def normalization(self, backend: ArrayBackend = NUMPY) -> Normalization:
        """The normalization of power mel frames for the network."""
        return Normalization(self.config.features, self.mean, self.deviation, backend)

    def scorer(self, *, streams: int = 0, backend: ArrayBackend = NUMPY) -> Scorer:
        """The scorer of mean window statistics; with `streams` > 0, each of that many streams has its own centres."""
        return Scorer(
            self.config, self.references, self.usual_band_error, layout=self.layout, rhythm=self.rhythm,
            streams=streams, backend=backend,
        )  # fmt: skip


def placeholder_references(config: Config, modes: int = 0) -> dict[str, Reference]:
    """Reference distributions of an untrained model: centre 0, unit covariance, ln d² with mean 0 and deviation 1."""
    of_modes = (modes,) if modes > 1 else ()
    return {
        part.name: Reference(
            np.zeros((*of_modes, size)),
            np.tile(np.eye(size), (*of_modes, 1, 1)),
            np.array([[0.0, 1.0], [0.0, 1.0]]),
        )
        for part in parts_of(config.score)
        for size in (part.size(config.features.n_mels),)
    }
