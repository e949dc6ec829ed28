"""Normalization of power mel frames: conversion to decibels (or none), then standardization of each band."""

from __future__ import annotations

import math

import numpy as np

from monitor.config.schema import Features
from monitor.core.array_backend import NUMPY, ArrayBackend, namespace
from monitor.core.types import Array, FloatArray

_DB_PER_LN_POWER = 10 / math.log(10)  # log is vectorized on more processors than log10


class Normalization:
    """Converts power mel frames to the normalized frames that are the autoencoder's input.

    Decibels are absolute: 10 · log10 of the power, which is clipped below at `features.floor`. They are not relative to
    the loudest frame of a recording, because a stream does not know its future.

    Args:
        features: settings of the scale.
        mean: (n_mels,) mean of the scaled training frames; None is 0.
        deviation: (n_mels,) their standard deviation; None is 1.
        backend: where to compute.
    """

    def __init__(
        self,
        features: Features,
        mean: FloatArray | None = None,
        deviation: FloatArray | None = None,
        backend: ArrayBackend = NUMPY,
    ) -> None:
        self._log, self._floor, self._remove_level = features.scale == "log", features.floor, features.remove_level
        self.mean = np.zeros(features.n_mels, np.float32) if mean is None else mean
        self.deviation = np.ones(features.n_mels, np.float32) if deviation is None else deviation
        self._mean, self._inverse_deviation = backend.upload(self.mean), backend.upload(np.float32(1) / self.deviation)

    def __call__(self, power: Array) -> Array:
        """Power mel frames (…, n_mels) -> normalized frames (…, n_mels), a new array."""
        normalized = self.scaled(power) - self._mean
        normalized *= self._inverse_deviation
        return normalized

    def scaled(self, power: Array) -> Array:
        """Power mel frames (…, n_mels) -> frames before standardization (…, n_mels): decibels, or `power` itself.

        With `features.remove_level` the mean of each frame's decibels is subtracted.
        """
        if not self._log:
            return power
        xp = namespace(power)
        decibels = xp.log(xp.clip(power, self._floor, None)) * _DB_PER_LN_POWER
        return decibels - xp.mean(decibels, axis=-1, keepdims=True) if self._remove_level else decibels

    def inverse(self, normalized: FloatArray) -> FloatArray:
        """Normalized frames, or their reconstructions (…, n_mels) -> frames before standardization (…, n_mels)."""
        return normalized * self.deviation + self.mean
