"""A reference implementation of frames, statistics and scores of whole recordings: slow, in float64.

It shares only the settings and the torch autoencoder with the streaming code. Frames are computed by librosa, windows
one by one, rolling means as means of slices, and distances by scipy.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import NamedTuple

import librosa
import numpy as np
import torch
from numpy.lib.stride_tricks import sliding_window_view
from scipy.spatial.distance import cdist
from scipy.stats import gmean

from monitor.bundle.bundle import Bundle
from monitor.config.schema import Features
from monitor.model.autoencoder import Autoencoder
from monitor.scoring.gaussian import Reference
from support.builders import reference_windows


class Expected(NamedTuple):
    """The expected results of one stream; the names are those of `monitor.streaming.portion.Portion`."""

    frames: np.ndarray  # (T, n_mels)
    rows: np.ndarray  # (k, width)
    means: np.ndarray  # (k, width), NaN before the first full mean
    error: np.ndarray  # (k,)
    rolling_error: np.ndarray  # (k,)
    score: np.ndarray  # (k,)


def librosa_frames(samples: np.ndarray, features: Features) -> np.ndarray:
    """Power mel frames of a whole recording: (T, n_mels) float64."""
    if not len(samples):
        return np.zeros((0, features.n_mels))
    return librosa.feature.melspectrogram(
        y=samples.astype(np.float64),
        sr=features.sample_rate,
        n_fft=features.n_fft,
        hop_length=features.hop_length,
        n_mels=features.n_mels,
        fmin=features.fmin,
        fmax=features.f_top,
    ).T


def expected_of(
    bundle: Bundle,
    samples: np.ndarray,
    *,
    ended: bool = True,
    offsets: Mapping[str, np.ndarray] | None = None,
) -> Expected:
    """The expected results of a stream after samples (n,).

    Args:
        ended: whether the stream has been flushed; otherwise only complete frames and windows are returned.
        offsets: offset of the stream's centre from the model's for each score part.
    """
    features = bundle.config.features
    frames = librosa_frames(samples, features)
    if not ended:  # a frame needs n_fft / 2 samples after its centre, a window W / 2 - 1 frames after its own
        known = len(samples) - features.n_fft // 2
        frames = frames[: 1 + known // features.hop_length if known >= 0 else 0]
    return expected_of_frames(bundle, frames, ended=ended, offsets=offsets)


def expected_of_frames(
    bundle: Bundle,
    frames: np.ndarray,
    *,
    ended: bool = True,
    offsets: Mapping[str, np.ndarray] | None = None,
) -> Expected:
    """As `expected_of`, but from power mel frames (T, n_mels)."""
    config, n_mels = bundle.config, bundle.config.features.n_mels
    half = config.features.window_frames // 2
    rows = expected_rows(bundle, frames)
    if not ended:
        rows = rows[: max(0, len(rows) - (half - 1))]
    length = max(1, round(config.score.window_s * config.features.sample_rate / config.features.hop_length))
    means = np.full_like(rows, np.nan)
    if len(rows) >= length:
        means[length - 1 :] = sliding_window_view(rows, length, axis=0).mean(axis=-1)
    error, rolling_error = (values[:, n_mels : 2 * n_mels].mean(axis=1) for values in (rows, means))
    return Expected(frames, rows, means, error, rolling_error, expected_score(bundle, means, offsets=offsets))


def expected_rows(bundle: Bundle, frames: np.ndarray) -> np.ndarray:
    """Residual, band error, level and change of each window of power mel frames (T, n_mels): (T, width)."""
    features, n_mels = bundle.config.features, bundle.config.features.n_mels
    half, with_levels = features.window_frames // 2, bundle.config.score.kind in ("fused", "spectrum")
    if len(frames) < half:
        return np.zeros((0, n_mels * (4 if with_levels else 2)))
    windows = reference_windows(normalized(bundle, frames), features.window_frames)
    difference = (reconstructed(bundle, windows) - windows).reshape(len(windows), -1, n_mels)
    statistics = [difference.mean(axis=1), (difference**2).mean(axis=1)]
    if with_levels:
        by_frame = windows.reshape(len(windows), -1, n_mels)
        lag = min(half, max(1, round(0.032 * features.sample_rate / features.hop_length)))
        statistics += [by_frame[:, half], np.abs(by_frame[:, half] - by_frame[:, half - lag])]
    return np.concatenate(statistics, axis=1)


def normalized(bundle: Bundle, power: np.ndarray) -> np.ndarray:
    """Normalized frames of power mel frames."""
    features = bundle.config.features
    scaled = power.astype(np.float64)
    if features.scale == "log":
        scaled = 10 * np.log10(np.maximum(scaled, features.floor))
    if features.remove_level:
        scaled = scaled - scaled.mean(axis=-1, keepdims=True)
    return (scaled - bundle.mean) / bundle.deviation


def reconstructed(bundle: Bundle, windows: np.ndarray) -> np.ndarray:
    """Reconstructions of windows (B, window_size) by the torch autoencoder in evaluation mode, in float64."""
    model = Autoencoder.from_weights(bundle.config, bundle.weights).double()
    with torch.inference_mode():
        return model(torch.from_numpy(windows.astype(np.float64))).numpy()


def expected_score(
    bundle: Bundle,
    means: np.ndarray,
    *,
    whole: bool = False,
    offsets: Mapping[str, np.ndarray] | None = None,
) -> np.ndarray:
    """The anomaly score of mean rows (k, width): (k,)."""
    kind, n_mels = bundle.config.score.kind, bundle.config.features.n_mels
    if kind == "error":
        return means[:, n_mels : 2 * n_mels].mean(axis=1)
    parts = {"residual": slice(0, n_mels), "spectrum": slice(2 * n_mels, 4 * n_mels)}
    used = {"fused": ("residual", "spectrum"), "mahalanobis": ("residual",), "spectrum": ("spectrum",)}[kind]
    ratios, weights = [], []
    for part in used:
        reference, offset = bundle.references[part], 0.0 if offsets is None else offsets[part]
        mean_log, deviation = reference.log_distance[int(whole)]
        ratios.append(scipy_distance(reference, means[:, parts[part]], offset) / np.exp(mean_log))
        weights.append(np.full(len(means), 1 / deviation))
    return gmean(ratios, axis=0, weights=np.array(weights)) if len(means) else np.zeros(0)


def scipy_distance(reference: Reference, means: np.ndarray, offset: np.ndarray | float = 0.0) -> np.ndarray:
    """The squared Mahalanobis distance of means (k, p) from the centre plus an offset: (k,)."""
    if not len(means):
        return np.zeros(0)
    centre = (reference.centre + offset)[None]
    return cdist(means, centre, "mahalanobis", VI=reference.inverse_covariance)[:, 0] ** 2
