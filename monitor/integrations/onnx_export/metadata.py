"""What a reader of an exported model needs beside the graph: settings, frames, standardization, and limits.

Each value of the metadata is a text; all but `program` and `model_id` are JSON.
"""

from __future__ import annotations

import json
from typing import Any

import numpy as np
from numpy.typing import NDArray

from monitor import __version__
from monitor.bundle.bundle import Bundle
from monitor.config.schema import Features, Sensitivity
from monitor.features.mel import band_centres, mel_filters
from monitor.scoring.scorer import rolling_length

SENSITIVITIES: tuple[Sensitivity, ...] = ("low", "normal", "high")
MODEL_GROUPS = ("features", "model", "score", "alarm")


def metadata_of(bundle: Bundle) -> dict[str, str]:
    """The metadata of an exported model."""
    values: dict[str, Any] = {
        "settings": {group: getattr(bundle.config, group).model_dump(mode="json") for group in MODEL_GROUPS},
        "frames": _frames(bundle.config.features),
        "standardization": {"mean": _numbers(bundle.mean), "deviation": _numbers(bundle.deviation)},
        "timing": _timing(bundle),
        "limits": _limits(bundle),
        "normal_scores": _numbers(bundle.normal_scores),
    }
    return {
        "program": f"acoustic-monitor {__version__}",
        "model_id": bundle.model_id,
        **{name: json.dumps(value) for name, value in values.items()},
    }


def _frames(features: Features) -> dict[str, Any]:
    """How samples become the frames that the graph takes."""
    filters = mel_filters(features, features.n_fft // 2 + 1)
    return {
        "meaning": "frame t is the power spectrum |rfft(hann_window * samples)|^2 of the n_fft samples around sample "
        "t * hop_length (zeros before the first sample), times the mel filters; samples have full scale 1",
        "sample_rate": features.sample_rate,
        "n_fft": features.n_fft,
        "hop_length": features.hop_length,
        "window": "hann, periodic",
        "n_mels": features.n_mels,
        "fmin": features.fmin,
        "fmax": features.f_top,
        "mel_scale": "slaney, filters of equal area, as librosa.filters.mel",
        "band_hz": _numbers(band_centres(features)),
        # Of each band, the first frequency of the spectrum with a weight above 0, and the weights from there on.
        "mel_filters": [_filter(weights) for weights in filters.T],
    }


def _filter(weights: NDArray[np.float32]) -> dict[str, Any]:
    used = np.flatnonzero(weights)
    first, last = (int(used[0]), int(used[-1])) if len(used) else (0, -1)
    return {"first_bin": first, "weights": _numbers(weights[first : last + 1])}


def _timing(bundle: Bundle) -> dict[str, Any]:
    features, score = bundle.config.features, bundle.config.score
    return {
        "hop_s": features.hop_s,
        "frames_until_first_window": features.window_frames // 2,
        "windows_until_first_score": rolling_length(score, features),
    }


def _limits(bundle: Bundle) -> dict[str, Any]:
    """The limits by name and sensitivity: they are not in the graph, because a plant changes them."""
    return {
        name: {sensitivity: threshold.at(sensitivity) for sensitivity in SENSITIVITIES}
        for name, threshold in bundle.thresholds.items()
    }


def _numbers(values: NDArray[Any]) -> list[float]:
    """Numbers with as few digits as tell them apart in their own precision."""
    return [float(str(value)) for value in values]
