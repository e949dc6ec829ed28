"""Operating modes: which of several known ways of running a machine is in, told by its spectrum."""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np

from monitor.core.array_backend import ArrayBackend, namespace
from monitor.core.types import Array, BoolArray

# Medians over the bands, in standard deviations of normal sound in the same mode. Simulated machines at a speed between
# two known ones have 2.1 and 0.8; with severe faults they have at most 1.3, or if more then 3 and more for roughness.
OTHER_LEVEL, SAME_ROUGHNESS = 1.75, 1.3
TINY = 1e-6


@dataclass(frozen=True, slots=True)
class OperatingModes:
    """The spectra by which K ≥ 2 operating modes of a machine are told apart: speeds, idle and load.

    Attributes:
        centres: (K, n_mels) float32 mean spectrum of each mode, normalized as the network's input.
        inverse_deviation: (n_mels,) float32, 1 / standard deviation of a window's mean spectrum within a mode.
        usual: (4, K, n_mels) float32 of means over `score.window_s` of normal sound in each mode: mean and standard
            deviation of the level, mean and standard deviation of the roughness, which is the highest minus the lowest
            level within a moment.
    """

    centres: Array
    inverse_deviation: Array
    usual: Array

    @property
    def count(self) -> int:
        """K."""
        return len(self.centres)

    def distances(self, spectra: Array) -> Array:
        """The mean squared distance (…, K) of mean spectra of windows (…, n_mels) from each mode, in deviations."""
        offsets = (spectra[..., None, :] - self.centres) * self.inverse_deviation
        return namespace(offsets).mean(offsets * offsets, axis=-1)

    def indicators(self, spectra: Array) -> Array:
        """1 for the nearest mode, 0 for the others: (…, n_mels) -> (…, K) float32."""
        distances = self.distances(spectra)
        xp = namespace(distances)
        nearest = xp.argmin(distances, axis=-1)
        modes = np.arange(self.count) if xp is np else xp.arange(self.count, device=distances.device)
        return xp.astype(nearest[..., None] == modes, xp.float32)

    def are_unknown(self, levels: Array, roughness: Array) -> BoolArray:
        """Whether mean sound is of a mode that is not known: not of a known one, and not of a faulty one either.

        In another mode, more than half of the bands have another level than in each known mode, but the sound is as
        rough as ever. A fault changes the level of some bands, or makes the sound rougher.

        Args:
            levels: (…, n_mels) mean level.
            roughness: (…, n_mels) mean highest minus mean lowest level.

        Returns:
            (…). It is of use for sound with a high score only: that of a change from one known mode to another is low.
        """
        mean_level, level_deviation, mean_roughness, roughness_deviation = self.usual
        of_levels, of_roughness = (
            np.median(np.abs(found[..., None, :] - mean) / np.maximum(deviation, TINY), axis=-1)
            for found, mean, deviation in (
                (levels, mean_level, level_deviation),
                (roughness, mean_roughness, roughness_deviation),
            )
        )
        nearest = of_levels.argmin(axis=-1)[..., None]
        level, rough = (np.take_along_axis(one, nearest, axis=-1)[..., 0] for one in (of_levels, of_roughness))
        unknown: BoolArray = (level >= OTHER_LEVEL) & (rough <= SAME_ROUGHNESS)
        return unknown

    def uploaded(self, backend: ArrayBackend) -> OperatingModes:
        """These modes with their arrays on the device of `backend`."""
        return replace(
            self, centres=backend.upload(self.centres), inverse_deviation=backend.upload(self.inverse_deviation)
        )
