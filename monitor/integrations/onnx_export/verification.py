"""Runs an exported model with onnxruntime, and compares it with the program."""

from __future__ import annotations

import math
from typing import Any

import numpy as np
import onnxruntime
from numpy.typing import NDArray

from monitor.bundle.bundle import Bundle
from monitor.bundle.self_test import chirp
from monitor.core.types import FloatArray
from monitor.features.mel import MelTransform, centred_frames
from monitor.scoring.scorer import rolling_length
from monitor.streaming.score_batch import ScoreBatch

OUTPUTS = ("residual", "error", "rolling_error", "score")
FRAMES_AT_ONCE = 1000  # so that the windows of long test sounds do not need much memory
TYPES = {"tensor(float)": np.float32, "tensor(int64)": np.int64}


class OnnxStream:
    """Scores the frames of one stream with an exported model.

    Args:
        model: the content of the file, or its path.
        threads: on which onnxruntime computes.
    """

    def __init__(self, model: bytes | str, threads: int = 1) -> None:
        options = onnxruntime.SessionOptions()
        options.intra_op_num_threads = threads
        self._session = onnxruntime.InferenceSession(model, options, providers=["CPUExecutionProvider"])
        self._names = [output.name for output in self._session.get_outputs()]
        self.reset()

    def reset(self) -> None:
        """Restarts: the next frame is the first of a recording."""
        inputs = self._session.get_inputs()[1:]
        self._state = {one.name: np.zeros(one.shape, TYPES[one.type]) for one in inputs}

    def push(self, frames: FloatArray) -> dict[str, NDArray[Any]]:
        """Scores the next power mel frames (t, n_mels); returns the `OUTPUTS` of the k windows that they complete."""
        found = dict(zip(self._names, self._session.run(None, {"frames": frames, **self._state}), strict=True))
        self._state = {name: found[f"next_{name}"] for name in self._state}
        return {name: found[name] for name in OUTPUTS}


def largest_difference(bundle: Bundle, model: bytes) -> float:
    """The largest difference between the outputs of an exported model and those of the program, for a test sound.

    Args:
        bundle: the model.
        model: the content of the exported file.

    Returns:
        the largest difference in any output, relative to the largest value of this output (of scores: to the score
        itself); infinity if one has a number where the other has none.
    """
    n_mels, half = bundle.config.features.n_mels, bundle.config.features.window_frames // 2
    frames = _test_frames(bundle)
    [program] = ScoreBatch(bundle).push(frames[None]).portions()
    expected: dict[str, NDArray[Any]] = {
        "residual": program.rows[:, :n_mels],
        "error": program.error,
        "rolling_error": program.rolling_error,
        "score": program.score,
    }
    stream = OnnxStream(model)
    cuts = [half // 2, half + 1, *range(FRAMES_AT_ONCE, len(frames), FRAMES_AT_ONCE)]
    parts = [stream.push(part) for part in np.split(frames, cuts)]
    differences = [0.0]
    for name, values in expected.items():
        found = np.concatenate([part[name] for part in parts])
        if found.shape != values.shape or not np.array_equal(np.isnan(found), np.isnan(values)):
            return math.inf
        other = (found != values) & ~np.isnan(values)
        size = np.abs(values[other]) if name == "score" else np.nanmax(np.abs(values))
        differences.extend(np.abs(found[other].astype(np.float64) - values[other]) / np.maximum(size, 1e-30))
    return float(np.max(differences))


def _test_frames(bundle: Bundle) -> FloatArray:
    """The chirp of the self-test, repeated at several levels until there are scores: (t, n_mels)."""
    features = bundle.config.features
    sound = chirp(features)
    needed = (features.window_frames + 2 * rolling_length(bundle.config.score, features)) * features.hop_length
    repeats = max(3, math.ceil(needed / len(sound)))
    samples = np.concatenate([sound * np.float32(10.0 ** -(n % 3)) for n in range(repeats)])
    frames: FloatArray = centred_frames(samples[None], MelTransform(features))[0]
    return frames
