"""A reference implementation of frames, statistics and scores of whole recordings: slow, in float64.

It shares only the settings and the torch autoencoder with the streaming code. Frames are computed by librosa, windows
one by one, rolling means and peaks from slices, impulses in a plain loop, and distances by scipy. The columns of a row
are counted here anew.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import NamedTuple

import librosa
import numpy as np
import torch
from numpy.lib.stride_tricks import sliding_window_view
from scipy.interpolate import interp1d
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
    rows: np.ndarray  # (k, row_width)
    means: np.ndarray  # (k, mean_width), NaN before the first full mean
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
    peaks = n_mels if "peaks" in bundle.references else 0
    means = np.full((len(rows), rows.shape[1] + peaks), np.nan)
    if len(rows) >= length:
        last = sliding_window_view(rows, length, axis=0)
        means[length - 1 :, : rows.shape[1]] = last.mean(axis=-1)
        level = n_mels + error_columns(bundle)
        means[length - 1 :, rows.shape[1] :] = last[:, level : level + peaks].max(axis=-1)
    errors = slice(n_mels, n_mels + error_columns(bundle))
    error, rolling_error = (values[:, errors].mean(axis=1) for values in (rows, means))
    return Expected(frames, rows, means, error, rolling_error, expected_score(bundle, means, offsets=offsets))


def error_columns(bundle: Bundle) -> int:
    """The number of columns of the error in a row: one for each band, or only their mean."""
    return bundle.config.features.n_mels if bundle.config.score.kind == "error" else 1


def band_statistics(bundle: Bundle) -> int:
    """The number of statistics in a row."""
    if bundle.config.score.kind not in ("fused", "spectrum"):
        return 2
    return 6 if bundle.config.score.extremes else 4


def expected_rows(bundle: Bundle, frames: np.ndarray) -> np.ndarray:
    """The statistics of each window of power mel frames (T, n_mels), its mode and its interval: (T, row_width)."""
    features, n_mels, count = bundle.config.features, bundle.config.features.n_mels, band_statistics(bundle)
    modes = 0 if bundle.modes is None else len(bundle.modes.centres)
    half, hop_s = features.window_frames // 2, features.hop_length / features.sample_rate
    if len(frames) < half:
        width = (count - 1) * n_mels + error_columns(bundle)
        return np.zeros((0, width + modes + (0 if bundle.rhythm is None else 2)))
    spectra = normalized(bundle, frames)
    windows = reference_windows(spectra, features.window_frames)
    by_frame = windows.reshape(len(windows), -1, n_mels)
    difference = reconstructed(bundle, windows).reshape(by_frame.shape) - by_frame
    lag = min(half, max(1, round(0.032 / hop_s)))
    near = min(half, max(1, round(0.1 / hop_s)))
    middle = by_frame[:, half - near : half + near]
    statistics = [
        difference.mean(axis=1),
        (difference**2).mean(axis=1).reshape(len(windows), error_columns(bundle), -1).mean(axis=2),
        by_frame[:, half],
        np.abs(by_frame[:, half] - by_frame[:, half - lag]),
        np.sort(middle, axis=1)[:, -1],
        np.sort(middle, axis=1)[:, 0],
    ][:count]
    if bundle.modes is not None:
        scale = bundle.modes.inverse_deviation.astype(np.float64)
        distances = cdist(by_frame.mean(axis=1) * scale, bundle.modes.centres * scale)
        statistics.append(np.eye(modes)[distances.argmin(axis=1)])
    if bundle.rhythm is not None:
        statistics.append(expected_intervals(bundle, spectra))
    return np.concatenate(statistics, axis=1)


def expected_intervals(bundle: Bundle, spectra: np.ndarray) -> np.ndarray:
    """The surprise of the interval that ends with each normalized frame (T, n_mels), and whether one does: (T, 2)."""
    assert bundle.rhythm is not None
    features, columns = bundle.config.features, np.zeros((len(spectra), 2))
    half, hop_s = features.window_frames // 2, features.hop_length / features.sample_rate
    lag, radius = round(0.02 / hop_s), round(0.03 / hop_s)
    decibels = spectra * bundle.deviation
    padded = np.concatenate((decibels[:half][::-1], decibels, decibels[-half:][::-1]))

    def steepness(t: int) -> float:
        return float(np.maximum(padded[t + half] - padded[t + half - lag], 0).mean())

    surprise = interp1d(
        np.linspace(np.log(0.02), np.log(20), len(bundle.rhythm.surprise)),
        bundle.rhythm.surprise,
        bounds_error=False,
        fill_value=(bundle.rhythm.surprise[0], bundle.rhythm.surprise[-1]),
    )
    last = None
    for t in range(1, len(spectra)):
        own, before, after = (
            [steepness(t + offset) for offset in offsets] for offsets in ((0,), range(-radius, 0), range(1, radius + 1))
        )
        if own[0] > max([*before, bundle.rhythm.steepness]) and own[0] >= max(after):
            if last is not None:
                columns[t] = float(surprise(np.log((t - last) * hop_s))), 1.0
            last = t
    return columns


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
    """The anomaly score of mean rows (k, mean_width): (k,)."""
    kind, n_mels = bundle.config.score.kind, bundle.config.features.n_mels
    if kind == "error":
        return means[:, n_mels : 2 * n_mels].mean(axis=1)
    if not len(means):
        return np.zeros(0)
    bands = (band_statistics(bundle) - 1) * n_mels + error_columns(bundle)
    modes = 0 if bundle.modes is None else len(bundle.modes.centres)
    parts = {"residual": slice(0, n_mels), "spectrum": slice(n_mels + error_columns(bundle), bands)}
    used = {"fused": ("residual", "spectrum"), "mahalanobis": ("residual",), "spectrum": ("spectrum",)}[kind]
    ratios, weights = [], []
    for part in used:
        reference, offset = bundle.references[part], 0.0 if offsets is None else offsets[part]
        mean_log, deviation = reference.log_distance[int(whole)]
        if modes:
            squared = distance_by_modes(reference, means[:, parts[part]] - offset, means[:, bands : bands + modes])
        else:
            squared = scipy_distance(reference, means[:, parts[part]], offset)
        ratios.append(squared / np.exp(mean_log))
        weights.append(np.full(len(means), 1 / deviation))
    fused = gmean(ratios, axis=0, weights=np.array(weights))
    others = []
    if "peaks" in bundle.references:
        reference = bundle.references["peaks"]
        mean_log, deviation = reference.log_distance[int(whole)]
        others.append((scipy_distance(reference, means[:, -n_mels:]) / np.exp(mean_log)) ** (1 / deviation))
    if bundle.rhythm is not None:
        total, count = means[:, bands + modes : bands + modes + 2].T
        usual, deviation = bundle.rhythm.log_distance[int(whole)]
        some = count > 0
        others.append(np.where(some, np.exp((total / np.where(some, count, 1) - usual) / deviation), 0.0))
    return np.max([fused, *others], axis=0)


def distance_by_modes(reference: Reference, means: np.ndarray, shares: np.ndarray) -> np.ndarray:
    """The squared distance of means (k, p) of sound with these shares (k, K) of several modes: (k,)."""
    found = np.zeros(len(means))
    for i, (mean, share) in enumerate(zip(means, shares, strict=True)):
        centre = sum(part * one for part, one in zip(share, reference.centre, strict=True))
        for part, inverse in zip(share, reference.inverse_covariance, strict=True):
            found[i] += part * cdist(mean[None], centre[None], "mahalanobis", VI=inverse)[0, 0] ** 2
    return found


def scipy_distance(reference: Reference, means: np.ndarray, offset: np.ndarray | float = 0.0) -> np.ndarray:
    """The squared Mahalanobis distance of means (k, p) from the centre plus an offset: (k,)."""
    if not len(means):
        return np.zeros(0)
    centre = (reference.centre + offset)[None]
    return cdist(means, centre, "mahalanobis", VI=reference.inverse_covariance)[:, 0] ** 2
