"""Many overlapping windows are computed with fewer products, and the results are those of reconstructions."""

from __future__ import annotations

import gc
from collections.abc import Sequence
from itertools import pairwise

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.lib.stride_tricks import sliding_window_view

from monitor.config.schema import Config
from monitor.model import numpy_layer, overlapping_windows
from monitor.model.folded_inference import FoldedLayer, folded_layers, window_operations
from monitor.model.network import ON_CPU
from monitor.model.numpy_layer import Layer
from monitor.model.numpy_network import NumpyNetwork
from monitor.model.overlapping_windows import OverlappingWindows, operations
from monitor.model.time_transform import TimeTransform
from support.builders import small_bundle, small_config


def overlapping(layers: Sequence[FoldedLayer], window_frames: int, block: int = 25) -> OverlappingWindows:
    return OverlappingWindows(layers, [Layer(one) for one in layers[1:-1]], TimeTransform(window_frames, block))


def in_double(layers: Sequence[FoldedLayer], frames: np.ndarray, window_frames: int) -> tuple[np.ndarray, ...]:
    """Residual, error and mean square of each window of frames (n, W - 1 + k, n_mels), window by window in float64."""
    windows = sliding_window_view(frames.astype(np.float64), window_frames, axis=1).swapaxes(2, 3)
    x = windows.reshape(-1, window_frames * frames.shape[2])
    for weight, bias, relu in layers:
        x = x @ weight.astype(np.float64) + bias
        x = np.maximum(x, 0) if relu else x
    difference = x.reshape(windows.shape) - windows
    return difference.mean(axis=2), np.square(difference).mean(axis=(2, 3)), np.square(windows).mean(axis=(2, 3))


def computed(network: OverlappingWindows | NumpyNetwork, frames: np.ndarray, window_frames: int) -> tuple:
    streams, total, bands = frames.shape
    count = total - window_frames + 1
    residual, error = (np.full((streams, count, width), np.nan, np.float32) for width in (bands, 1))
    network(frames, residual, error)
    return residual, error[..., 0]


def random_layers(sizes: Sequence[int], seed: int = 0) -> list[FoldedLayer]:
    random = np.random.default_rng(seed)
    return [
        FoldedLayer(
            (random.standard_normal((inputs, outputs)) / np.sqrt(inputs)).astype(np.float32),
            random.standard_normal(outputs).astype(np.float32),
            number not in (2, 5),
        )
        for number, (inputs, outputs) in enumerate(pairwise(sizes))
    ]


def copying_layers(size: int, share: float) -> list[FoldedLayer]:
    """An autoencoder whose reconstruction is a share of its input: each value goes one way if it is negative."""
    one, zeros = np.eye(size, dtype=np.float32), np.zeros
    split, joined = np.concatenate((one, -one), axis=1), np.concatenate((one, -one))
    weights = [split, np.eye(2 * size, dtype=np.float32), joined, split, np.eye(2 * size, dtype=np.float32)]
    weights.append(np.float32(share) * joined)
    return [
        FoldedLayer(weight, zeros(weight.shape[1], np.float32), number not in (2, 5))
        for number, weight in enumerate(weights)
    ]


@given(
    streams=st.integers(1, 5),
    count=st.integers(1, 120),
    window_frames=st.sampled_from([2, 6, 8, 20, 30]),
    block=st.integers(1, 40),
    bands=st.sampled_from([4, 7]),
    hidden=st.sampled_from([(24, 16), (128, 64), (192, 96)]),
    seed=st.integers(0, 100),
)
@settings(max_examples=40, deadline=None)
def test_any_number_of_windows_of_any_size_has_the_residuals_and_errors_of_its_reconstructions(
    streams: int, count: int, window_frames: int, block: int, bands: int, hidden: tuple[int, int], seed: int
) -> None:
    """Whether they fill blocks, or the last block of a stream overlaps the one before it."""
    size = window_frames * bands
    layers = random_layers((size, *hidden, 8, *hidden[::-1], size), seed)
    frames = np.random.default_rng(seed).standard_normal((streams, count + window_frames - 1, bands), np.float32)
    before = frames.copy()
    residual, error = computed(overlapping(layers, window_frames, block), frames, window_frames)
    expected, expected_error, _ = in_double(layers, frames, window_frames)
    np.testing.assert_allclose(residual, expected, rtol=0, atol=1e-5 * np.abs(expected).max())
    np.testing.assert_allclose(error, expected_error, rtol=2e-5)
    assert np.array_equal(frames, before)


@pytest.mark.parametrize(("window_frames", "block"), [(2, 1), (2, 2), (20, 5), (20, 12), (20, 25), (64, 80)])
def test_a_transformed_layer_is_that_layer_of_each_window(window_frames: int, block: int) -> None:
    transform, random = TimeTransform(window_frames, block), np.random.default_rng(0)
    frames = random.standard_normal((3, window_frames - 1 + transform.block, 4), np.float32)
    weight = random.standard_normal((window_frames * 4, 128)).astype(np.float32)
    bias = random.standard_normal(128).astype(np.float32)
    points = transform.of_frames(frames)
    found = transform.layer(points, transform.of_weight(weight), bias, transform.block)
    windows = sliding_window_view(frames.astype(np.float64), window_frames, axis=1).swapaxes(2, 3)
    expected = windows.reshape(3, transform.block, -1) @ weight.astype(np.float64) + bias
    np.testing.assert_allclose(found, expected, rtol=0, atol=2e-6 * np.abs(expected).max())
    assert points.shape == (transform.points, 3, 4)


@pytest.mark.parametrize("share", [0.0, 0.5, 0.85, 0.95, 0.999])
@pytest.mark.parametrize("loudness", [0.01, 1.0, 30.0])
def test_the_error_is_accurate_for_good_and_bad_reconstructions_of_quiet_and_very_loud_sound(
    share: float, loudness: float
) -> None:
    """The terms that it is computed from are as large as the window; a small error is a small difference of them."""
    layers = copying_layers(80, share)
    frames = loudness * np.random.default_rng(1).standard_normal((2, 119, 4)).astype(np.float32)
    _, error = computed(overlapping(layers, 20), frames, 20)
    _, expected, mean_square = in_double(layers, frames, 20)
    np.testing.assert_allclose(error, expected, rtol=1e-4)
    np.testing.assert_allclose(expected / mean_square, (1 - share) ** 2, rtol=1e-3)


def test_a_sudden_loud_sound_does_not_blur_the_quiet_sound_beside_it() -> None:
    """Frames of one block are transformed together: 40 standard deviations are louder than any sound in decibels."""
    bundle = small_bundle()
    layers = folded_layers(bundle.weights)
    frames = np.random.default_rng(2).standard_normal((1, 119, 64)).astype(np.float32)
    frames[:, 60:62] *= 40
    residual, error = computed(overlapping(layers, 20), frames, 20)
    expected, expected_error, _ = in_double(layers, frames, 20)
    np.testing.assert_allclose(error, expected_error, rtol=1e-4)
    np.testing.assert_allclose(residual, expected, rtol=0, atol=1e-4 * np.abs(expected).min(axis=-1).max())


def test_power_of_very_different_size_is_reconstructed_window_by_window() -> None:
    """As in the preset of the article: a quiet window after a loud one has an accurate error."""
    config = small_config("features.scale=power", "features.standardize=false", "score.kind=mahalanobis")
    bundle = small_bundle(config)
    frames = 1e-6 * np.random.default_rng(3).random((1, 419, 64)).astype(np.float32)
    frames[:, 200:203] *= 1e9
    network = ON_CPU.network(bundle.weights, config.features)
    _, error = computed(network, frames, 20)
    _, expected, _ = in_double(folded_layers(bundle.weights), frames, 20)
    np.testing.assert_allclose(error, expected, rtol=1e-5)


def test_half_a_second_takes_at_most_sixty_percent_of_the_operations_of_reconstructions() -> None:
    config = Config()
    bundle = small_bundle(config)
    network = NumpyNetwork(folded_layers(bundle.weights), config.features)
    plain = window_operations(config)
    assert network.operations(1, 1) == plain
    for streams, count in ((1, 50), (64, 10), (64, 50), (1, 400), (1000, 50)):
        assert network.operations(streams, count) <= 0.6 * plain


def test_the_operations_are_those_of_the_matrices_that_are_multiplied(monkeypatch: pytest.MonkeyPatch) -> None:
    config, found = small_config("model.hidden=[128,64]", "model.bottleneck=32"), 0

    def matmul(left: np.ndarray, right: np.ndarray, **how: np.ndarray) -> np.ndarray:
        nonlocal found
        product = original(left, right, **how)
        found += 2 * product.size * left.shape[-1]
        return product

    layers = folded_layers(small_bundle(config).weights)
    network, transform = overlapping(layers, 20), TimeTransform(20, 25)
    frames = np.random.default_rng(0).standard_normal((3, 69, 64), np.float32)
    original = np.matmul
    monkeypatch.setattr(np, "matmul", matmul)
    computed(network, frames, 20)
    sizes = [(layer.weight.shape[0], layer.weight.shape[1]) for layer in layers]
    assert found == pytest.approx(3 * 50 * operations(sizes, transform, 50), rel=1e-9)


@pytest.mark.parametrize(("streams", "count"), [(0, 0), (0, 50), (3, 0)])
def test_no_windows_are_no_error(streams: int, count: int) -> None:
    config = small_config()
    network = ON_CPU.network(small_bundle(config).weights, config.features)
    residual, error = computed(network, np.zeros((streams, count + 19, 64), np.float32), 20)
    assert residual.shape == (streams, count, 64)
    assert error.shape == (streams, count)


@pytest.mark.parametrize("small_kernels", [True, False])
@pytest.mark.parametrize("count", [0, 1, 2, 11, 64, 300])
def test_a_layer_gives_the_same_on_processors_with_and_without_kernels_for_small_matrices(
    small_kernels: bool, count: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(numpy_layer, "has_small_kernels", lambda: small_kernels)
    random = np.random.default_rng(0)
    for inputs, outputs in ((1280, 128), (64, 30)):
        [layer] = random_layers((inputs, outputs))
        rows = random.standard_normal((count, inputs), np.float32)
        expected = np.maximum(rows.astype(np.float64) @ layer.weight + layer.bias, 0)
        np.testing.assert_allclose(Layer(layer)(rows), expected, rtol=0, atol=1e-5)


def test_windows_with_a_very_small_error_are_reconstructed(monkeypatch: pytest.MonkeyPatch) -> None:
    found: list[int] = []
    original = overlapping_windows.reconstruct

    def reconstruct(layers: Sequence[FoldedLayer], windows: np.ndarray) -> np.ndarray:
        found.append(len(windows))
        return original(layers, windows)

    monkeypatch.setattr(overlapping_windows, "reconstruct", reconstruct)
    frames = np.random.default_rng(1).standard_normal((2, 119, 4)).astype(np.float32)
    computed(overlapping(copying_layers(80, 0.5), 20), frames, 20)
    assert not found
    computed(overlapping(copying_layers(80, 0.999), 20), frames, 20)
    assert sum(found) == 200


@pytest.mark.long
def test_a_network_that_is_no_longer_used_leaves_no_memory_behind() -> None:
    """A program that runs for years gets new models."""

    def transforms() -> int:
        return sum(type(one) is TimeTransform for one in gc.get_objects())

    gc.collect()
    config, before = small_config(), transforms()
    network = ON_CPU.network(small_bundle(config).weights, config.features)
    computed(network, np.zeros((2, 69, 64), np.float32), 20)
    assert transforms() > before
    del network
    gc.collect()
    assert transforms() == before
