"""The network in int8: how far its residuals and errors are from those in float32, and what they do not depend on."""

from __future__ import annotations

import sys
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass

import numpy as np
import onnx
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from monitor.config.schema import Config
from monitor.core.array_backend import sliding_rows
from monitor.core.errors import ConfigError
from monitor.model.folded_inference import FoldedLayer, folded_layers, weight_shapes
from monitor.model.int8_network import (
    LARGEST_POSITIVE,
    LARGEST_SIGNED,
    LARGEST_WEIGHT,
    ZERO,
    Int8Network,
    RoundedLayer,
    error_graph,
    rounded_layers,
)
from monitor.model.network import ON_CPU, Compute, Network

CONFIG = Config()
FEATURES = CONFIG.features
BEFORE = FEATURES.window_frames - 1


@dataclass(frozen=True)
class Found:
    """What a network computes."""

    residual: np.ndarray  # (n, k, n_mels)
    error: np.ndarray  # (n, k, 1) or (n, k, n_mels)


def run(network: Network, frames: np.ndarray, width: int = 1) -> Found:
    """The results for frames (n, W - 1 + k, n_mels)."""
    shape = (len(frames), frames.shape[1] - BEFORE)
    found = Found(np.full((*shape, FEATURES.n_mels), np.nan, np.float32), np.full((*shape, width), np.nan, np.float32))
    network(frames, found.residual, found.error)
    return found


def weights_with(silent: float = 0.0) -> dict[str, np.ndarray]:
    """Random weights of the default size, whose outputs are as large as their inputs.

    Args:
        silent: share of the hidden units that a training left silent: their variance is 0.
    """
    random = np.random.default_rng(0)
    weights: dict[str, np.ndarray] = {}
    for name, (shape, _) in weight_shapes(CONFIG).items():
        values = random.normal(0, 1.4 / np.sqrt(shape[-1]) if len(shape) == 2 else 0.1, shape)
        if name.startswith("bn") and name.endswith((".weight", "running_var")):
            values = random.uniform(0.5, 2, shape)
        weights[name] = np.asarray(values, np.float32)
    for linear, norm in (("dense_enc1", "bn1"), ("dense_enc2", "bn2"), ("dense_dec1", "bn4"), ("dense_dec2", "bn5")):
        units = random.random(len(weights[f"{norm}.running_var"])) < silent
        weights[f"{norm}.running_var"][units] = 0
        weights[f"{norm}.running_mean"][units] = 0
        weights[f"{linear}.bias"][units] = -100
    return weights


@pytest.fixture(scope="module")
def frames() -> np.ndarray:
    """Normalized frames of three streams: (3, 19 + 150, 64)."""
    return np.random.default_rng(1).standard_normal((3, BEFORE + 150, FEATURES.n_mels)).astype(np.float32)


@pytest.fixture(scope="module")
def int8() -> Network:
    return Compute.on("cpu", "int8").network(weights_with(), FEATURES)


@pytest.mark.parametrize("silent", [0.0, 0.4], ids=["all units in use", "silent units"])
def test_errors_in_int8_are_close_to_those_in_float32(frames: np.ndarray, silent: float) -> None:
    """Of random weights, which amplify rounding; `test_int8.py` has the bounds for a trained model.

    A unit that was silent in training has weights 300 times as large, because its batch norm divides by its deviation.
    They do not make others coarse.
    """
    weights = weights_with(silent)
    single, whole = (run(Compute.on("cpu", name).network(weights, FEATURES), frames) for name in ("float32", "int8"))
    assert isinstance(Compute.on("cpu", "int8").network(weights, FEATURES), Int8Network)
    change = whole.error / single.error - 1
    assert np.median(np.abs(change)) < 0.01
    assert np.abs(change).max() < 0.06
    assert np.abs(whole.residual - single.residual).max() < 0.06 * np.abs(single.residual).max()
    assert change.any()


def test_in_int8_the_usual_residual_is_not_shifted(frames: np.ndarray) -> None:
    """References that were made in float32 hold: what rounding changes is not the same for all windows."""
    weights = weights_with()
    single, whole = (run(Compute.on("cpu", name).network(weights, FEATURES), frames) for name in ("float32", "int8"))
    shift = (whole.residual - single.residual).mean(axis=(0, 1))
    assert np.abs(shift).max() < 0.02 * single.residual.std()


@settings(max_examples=20)
@given(first=st.integers(0, 149), count=st.integers(1, 150), streams=st.integers(1, 3))
def test_a_window_gives_the_same_in_int8_whatever_it_is_computed_with(
    frames: np.ndarray, int8: Network, first: int, count: int, streams: int
) -> None:
    together = run(int8, frames)
    count = min(count, 150 - first)
    some = run(int8, frames[-streams:, first : first + BEFORE + count])
    for ours, theirs in ((some.residual, together.residual), (some.error, together.error)):
        np.testing.assert_allclose(ours, theirs[-streams:, first : first + count], rtol=2e-6, atol=2e-6)


def test_a_loud_stream_does_not_make_the_others_coarse(frames: np.ndarray, int8: Network) -> None:
    loud = frames.copy()
    loud[1] *= 1e4
    quiet, beside = run(int8, frames), run(int8, loud)
    np.testing.assert_allclose(beside.error[::2], quiet.error[::2], rtol=1e-6)


@pytest.mark.parametrize("factor", [1e-6, 0.1, 10, 1000])
def test_windows_of_any_loudness_are_computed(frames: np.ndarray, int8: Network, factor: float) -> None:
    """The scale is that of each window: nothing is cut off, and what is loud stays anomalous."""
    expected = run(ON_CPU.network(weights_with(), FEATURES), np.float32(factor) * frames)
    np.testing.assert_allclose(run(int8, np.float32(factor) * frames).error, expected.error, rtol=0.1)


def test_silence_is_computed(int8: Network) -> None:
    """A window of zeros, which has no largest number to divide by."""
    silence = np.zeros((1, BEFORE + 2, FEATURES.n_mels), np.float32)
    expected = run(ON_CPU.network(weights_with(), FEATURES), silence)
    np.testing.assert_allclose(run(int8, silence).error, expected.error, rtol=0.1)


def test_the_error_of_each_band_has_the_error_as_its_mean(frames: np.ndarray, int8: Network) -> None:
    bands = run(int8, frames, FEATURES.n_mels)
    np.testing.assert_allclose(bands.error.mean(axis=-1, keepdims=True), run(int8, frames).error, rtol=1e-6)


def test_int8_computes_whole_numbers_so_that_every_processor_gives_the_same(frames: np.ndarray, int8: Network) -> None:
    """The same by numpy, with the sums in 64 bits."""
    windows = sliding_rows(frames, FEATURES.window_frames).reshape(-1, FEATURES.window_size)[:40]
    x = windows.astype(np.float32)
    layers = rounded_layers(folded_layers(weights_with()))
    for number, layer in enumerate(layers):
        x = by_numpy(x, layer, positive=number > 0 and layers[number - 1].relu)
    residual = (x - windows).reshape(-1, FEATURES.window_frames, FEATURES.n_mels).mean(axis=1)
    np.testing.assert_allclose(run(int8, frames).residual[0, :40], residual, atol=2e-6)


def by_numpy(x: np.ndarray, layer: RoundedLayer, *, positive: bool) -> np.ndarray:
    """A layer in int8; its ReLU is a part of the next one."""
    levels, zero = (LARGEST_POSITIVE, 0) if positive else (LARGEST_SIGNED, ZERO)
    largest = x.max(axis=1) if positive else np.maximum(x.max(axis=1), -x.min(axis=1))
    scale = (largest * np.float32(1 / levels))[:, None]
    rounded = np.clip(np.rint(x / scale) + zero, 0, 255).astype(np.int64)
    sums = (rounded - zero) @ layer.weight.astype(np.int64)
    return sums.astype(np.float32) * scale * layer.scale + layer.bias


def test_two_products_fit_into_16_bits() -> None:
    """In which x86 processors without VNNI add them, and stop at the largest number otherwise."""
    assert 2 * LARGEST_WEIGHT * max(LARGEST_POSITIVE, ZERO + LARGEST_SIGNED) < 2**15


def test_several_threads_may_compute_in_int8_at_the_same_time(frames: np.ndarray, int8: Network) -> None:
    parts = [frames[:, start : start + BEFORE + 50] for start in range(0, 100, 10)] * 2
    with ThreadPoolExecutor(4) as threads:
        found = list(threads.map(lambda part: run(int8, part).error, parts))
    for ours, part in zip(found, parts, strict=True):
        np.testing.assert_array_equal(ours, run(int8, part).error)


def test_the_model_for_onnxruntime_is_valid_onnx() -> None:
    layers = rounded_layers(folded_layers(weights_with()))
    model = onnx.load_model_from_string(error_graph(layers, FEATURES.n_mels))
    onnx.checker.check_model(model, full_check=True)


def test_units_without_any_weight_are_computed() -> None:
    layers = [
        FoldedLayer(np.zeros((8, 4), np.float32), np.ones(4, np.float32), relu=True),
        FoldedLayer(np.zeros((4, 8), np.float32), np.full(8, 0.5, np.float32), relu=False),
    ]
    residual, error = np.empty((1, 3, 2), np.float32), np.empty((1, 3, 1), np.float32)
    Int8Network(layers, 2)(np.ones((1, 3 + 3, 2), np.float32), residual, error)
    np.testing.assert_allclose(residual, -0.5)
    np.testing.assert_allclose(error, 0.25)


def test_without_onnxruntime_int8_says_what_to_install(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "onnxruntime", None)
    with pytest.raises(ConfigError, match=r"pip install 'acoustic-monitor\[int8\]'"):
        Compute.on("cpu", "int8").network(weights_with(), FEATURES)
