"""The networks for inference give the residuals and errors of the torch autoencoder in evaluation mode."""

from __future__ import annotations

import sys
from collections.abc import Mapping
from concurrent.futures import ThreadPoolExecutor
from copy import deepcopy
from dataclasses import dataclass

import numpy as np
import pytest
import torch
from numpy.lib.stride_tricks import sliding_window_view
from torch import nn

from monitor.config.schema import Config
from monitor.core.array_backend import NUMPY, ArrayBackend
from monitor.core.errors import ConfigError
from monitor.model.autoencoder import Autoencoder, weights_of
from monitor.model.folded_inference import folded_layers, reconstruct, weight_shapes, window_operations
from monitor.model.network import Compute, Network
from monitor.model.numpy_network import NumpyNetwork
from monitor.model.torch_network import TorchNetwork
from support.backends import BACKENDS, backend, compute
from support.builders import small_config

SMALL = small_config()
FEATURES = SMALL.features


@pytest.fixture(scope="module", params=[Config(), SMALL], ids=["default size", "small"])
def trained(request: pytest.FixtureRequest) -> Autoencoder:
    """An autoencoder whose batch norms have nontrivial statistics, so that their order and values matter."""
    torch.manual_seed(0)
    model = Autoencoder.from_config(request.param)
    for norm in (model.bn1, model.bn2, model.bn4, model.bn5):
        nn.init.uniform_(norm.weight, -2, 2)
        nn.init.uniform_(norm.bias, -2, 2)
    model.train()
    for _ in range(5):
        model(3 * torch.randn(64, 1280) + 1)
    return model.eval()


@pytest.fixture(scope="module")
def frames() -> np.ndarray:
    """Normalized frames of three streams: (3, 19 + 130, 64)."""
    return np.random.default_rng(0).standard_normal((3, 149, 64)).astype(np.float32)


@dataclass(frozen=True)
class Computed:
    """What a network computes for frames (n, W - 1 + k, n_mels)."""

    residual: np.ndarray  # (n, k, n_mels)
    error: np.ndarray  # (n, k, 1) or (n, k, n_mels)


def computed(
    weights: Mapping[str, np.ndarray], frames: np.ndarray, name: str = "numpy", *, bands: bool = False, **how: str
) -> Computed:
    """The results of the network of a backend."""
    arrays = backend(name)
    return run(compute(name, **how).network(weights, FEATURES), frames, arrays, bands=bands)


def run(network: Network, frames: np.ndarray, arrays: ArrayBackend = NUMPY, *, bands: bool = False) -> Computed:
    """The results of a network."""
    streams, count = len(frames), frames.shape[1] - FEATURES.window_frames + 1
    residual, error = (
        arrays.upload(np.full((streams, count, width), np.nan, np.float32)) for width in (64, 64 if bands else 1)
    )
    network(arrays.upload(frames), residual, error)
    return Computed(np.asarray(residual), np.asarray(error))


def expected(trained: Autoencoder, frames: np.ndarray) -> Computed:
    """The same with the error of each band, by the torch autoencoder in float64."""
    windows = sliding_window_view(frames.astype(np.float64), FEATURES.window_frames, axis=1).swapaxes(2, 3)
    with torch.inference_mode():
        model = deepcopy(trained).double()
        reconstructions = model(torch.from_numpy(windows.reshape(-1, FEATURES.window_size).copy())).numpy()
    difference = reconstructions.reshape(windows.shape) - windows
    return Computed(difference.mean(axis=2), np.square(difference).mean(axis=2))


def assert_close(found: Computed, expected: Computed, tolerance: float = 1e-5) -> None:
    """Compares results; the tolerance is relative to the largest value."""
    error = expected.error if found.error.shape[-1] == 64 else expected.error.mean(axis=-1, keepdims=True)
    for ours, theirs in ((found.residual, expected.residual), (found.error, error)):
        np.testing.assert_allclose(ours, theirs, rtol=0, atol=tolerance * np.abs(theirs).max())


@pytest.mark.parametrize("name", BACKENDS)
@pytest.mark.parametrize("bands", [False, True])
@pytest.mark.parametrize(("streams", "count"), [(1, 1), (3, 1), (2, 7), (1, 50), (3, 130)])
def test_a_network_with_folded_batch_norms_gives_the_autoencoders_residuals_and_errors(
    trained: Autoencoder, frames: np.ndarray, name: str, streams: int, count: int, bands: bool
) -> None:
    some, before = frames[:streams, : 19 + count], frames.copy()
    assert_close(computed(weights_of(trained), some, name, bands=bands), expected(trained, some))
    assert np.array_equal(frames, before)


def test_folding_is_exact_but_for_rounding(trained: Autoencoder) -> None:
    """Checked in double precision, layer by layer."""
    windows = np.random.default_rng(0).standard_normal((33, 1280))
    x, layers = windows, folded_layers(weights_of(trained))
    for layer in layers:
        x = x @ layer.weight.astype(np.float64) + layer.bias
        x = np.maximum(x, 0) if layer.relu else x
    with torch.inference_mode():
        expected = deepcopy(trained).double()(torch.from_numpy(windows)).numpy()
    np.testing.assert_allclose(x, expected, rtol=1e-5, atol=1e-6 * np.abs(expected).max())
    assert [layer.relu for layer in layers] == [True, True, False, True, True, False]
    single = reconstruct(layers, windows.astype(np.float32))
    np.testing.assert_allclose(single, expected, atol=1e-5 * np.abs(expected).max())


def test_folding_does_not_change_the_weights(trained: Autoencoder, frames: np.ndarray) -> None:
    weights = weights_of(trained)
    before = {name: values.copy() for name, values in weights.items()}
    for name in BACKENDS:
        computed(weights, frames, name)
    for name, values in weights.items():
        assert np.array_equal(values, before[name])


@pytest.mark.parametrize("name", BACKENDS)
def test_in_bfloat16_residuals_and_errors_are_within_a_hundredth(
    trained: Autoencoder, frames: np.ndarray, name: str
) -> None:
    """Relative to the largest value. The result is float32."""
    weights = weights_of(trained)
    single, half = (computed(weights, frames, name, precision=one) for one in ("float32", "bfloat16"))
    assert half.error.dtype == single.error.dtype == np.float32
    assert np.abs(half.error - single.error).max() < 1e-2 * single.error.max()
    assert np.abs(half.residual - single.residual).max() < 1e-2 * np.abs(single.residual).max()
    assert not np.array_equal(half.error, single.error)


@pytest.mark.parametrize("count", [1, 130])
def test_a_stream_does_not_depend_on_the_other_streams_in_the_batch(
    trained: Autoencoder, frames: np.ndarray, count: int
) -> None:
    weights, some = weights_of(trained), frames[:, : 19 + count].copy()
    together = computed(weights, some)
    some[0] = np.nan
    some[2] *= 1e3
    whole = computed(weights, some)
    for found in (
        Computed(together.residual[1:2], together.error[1:2]),
        Computed(whole.residual[1:2], whole.error[1:2]),
    ):
        assert_close(found, expected(trained, some[1:2]))


def test_several_threads_may_call_a_network_at_the_same_time(trained: Autoencoder, frames: np.ndarray) -> None:
    for name in ("numpy", "torch"):
        network = compute(name).network(weights_of(trained), FEATURES)
        parts = [frames[:, start : start + size] for start in (0, 9, 18) for size in (20, 25, 100)] * 2
        alone = [run(network, part, backend(name)) for part in parts]
        with ThreadPoolExecutor(4) as threads:
            found = threads.map(lambda part, n=network, b=name: run(n, part, backend(b)), parts)
            for ours, theirs in zip(found, alone, strict=True):
                np.testing.assert_array_equal(ours.residual, theirs.residual)
                np.testing.assert_array_equal(ours.error, theirs.error)


def test_on_a_processor_numpy_computes_float32_and_torch_bfloat16() -> None:
    weights = weights_of(Autoencoder.from_config(SMALL))
    for device in ("cpu", torch.device("cpu")):
        single, half = Compute.on(device), Compute.on(device, "bfloat16")
        assert single.backend is half.backend is NUMPY
        assert isinstance(single.network(weights, SMALL.features), NumpyNetwork)
        assert isinstance(half.network(weights, SMALL.features), TorchNetwork)


def test_without_torch_bfloat16_says_what_to_set(trained: Autoencoder, monkeypatch: pytest.MonkeyPatch) -> None:
    weights = weights_of(trained)
    monkeypatch.setitem(sys.modules, "torch", None)
    with pytest.raises(ConfigError, match=r"set listening\.precision to auto"):
        Compute.on("cpu", "bfloat16").network(weights, Config().features)


@pytest.mark.parametrize("config", [Config(), SMALL, small_config("features.n_mels=16", "model.hidden=[24,12]")])
def test_shapes_and_operations_computed_from_settings_are_those_of_the_model(config: Config) -> None:
    """A bundle is checked against these shapes before its tensors are read."""
    model = Autoencoder.from_config(config)
    types = {"float32": "F32", "int64": "I64"}
    expected = {name: (values.shape, types[values.dtype.name]) for name, values in weights_of(model).items()}
    assert weight_shapes(config) == expected
    products = sum(2 * values.numel() for name, values in model.named_parameters() if values.dim() == 2)
    assert window_operations(config) == products
