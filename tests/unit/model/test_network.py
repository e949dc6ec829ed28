"""The networks for inference give the same reconstructions as the torch autoencoder in evaluation mode."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor
from copy import deepcopy

import numpy as np
import pytest
import torch
from torch import nn

from monitor.config.schema import Config
from monitor.core.array_backend import NUMPY
from monitor.model.autoencoder import Autoencoder, weights_of
from monitor.model.folded_inference import folded_layers, weight_shapes, window_operations
from monitor.model.network import ON_CPU, Compute, Network, NumpyNetwork, TorchNetwork
from support.backends import BACKENDS, backend, compute
from support.builders import small_config

SMALL = small_config()


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
def windows() -> np.ndarray:
    return np.random.default_rng(0).standard_normal((33, 1280)).astype(np.float32)


@pytest.mark.parametrize("name", BACKENDS)
@pytest.mark.parametrize("count", [1, 2, 33])
def test_a_network_with_folded_batch_norms_gives_the_autoencoders_reconstructions(
    trained: Autoencoder, windows: np.ndarray, name: str, count: int
) -> None:
    network, arrays = compute(name).network(weights_of(trained)), backend(name)
    with torch.inference_mode():
        expected = trained(torch.from_numpy(windows[:count])).numpy()
    before = windows.copy()
    found = network(arrays.upload(windows[:count]))
    assert type(found) is type(arrays.upload(windows))
    np.testing.assert_allclose(np.asarray(found), expected, rtol=1e-5, atol=1e-5 * np.abs(expected).max())
    found[:] = 0  # the caller may overwrite the result, because it is a new array
    assert np.array_equal(windows, before)
    again = np.asarray(network(arrays.upload(windows[:count])))
    np.testing.assert_allclose(again, expected, rtol=1e-5, atol=1e-5 * np.abs(expected).max())


def test_folding_is_exact_but_for_rounding(trained: Autoencoder, windows: np.ndarray) -> None:
    """Checked in double precision, layer by layer."""
    x = windows.astype(np.float64)
    layers = folded_layers(weights_of(trained))
    for layer in layers:
        x = x @ layer.weight.astype(np.float64) + layer.bias
        x = np.maximum(x, 0) if layer.relu else x
    with torch.inference_mode():
        expected = deepcopy(trained).double()(torch.from_numpy(windows.astype(np.float64))).numpy()
    np.testing.assert_allclose(x, expected, rtol=1e-5, atol=1e-6 * np.abs(expected).max())
    assert [layer.relu for layer in layers] == [True, True, False, True, True, False]


def test_folding_does_not_change_the_weights(trained: Autoencoder, windows: np.ndarray) -> None:
    weights = weights_of(trained)
    before = {name: values.copy() for name, values in weights.items()}
    for name in BACKENDS:
        compute(name).network(weights)(backend(name).upload(windows))
    for name, values in weights.items():
        assert np.array_equal(values, before[name])


@pytest.mark.parametrize("name", BACKENDS)
def test_in_bfloat16_a_reconstruction_is_within_a_hundredth(
    trained: Autoencoder, windows: np.ndarray, name: str
) -> None:
    """Relative to the largest value. The result is float32."""
    weights, arrays = weights_of(trained), backend(name)
    single, half = (
        np.asarray(compute(name, precision).network(weights)(arrays.upload(windows)))
        for precision in ("float32", "bfloat16")
    )
    assert half.dtype == single.dtype == np.float32
    assert np.abs(half - single).max() < 1e-2 * np.abs(single).max()
    assert not np.array_equal(half, single)


def test_a_reconstruction_does_not_depend_on_the_other_windows_in_the_batch(
    trained: Autoencoder, windows: np.ndarray
) -> None:
    network = ON_CPU.network(weights_of(trained))
    together, alone = network(windows), network(windows[3:4])
    np.testing.assert_allclose(together[3:4], alone, rtol=1e-4, atol=1e-5 * np.abs(alone).max())
    broken = windows.copy()
    broken[4] = np.nan
    np.testing.assert_allclose(network(broken)[:4], together[:4], rtol=1e-5, atol=1e-5 * np.abs(alone).max())


def test_several_threads_may_call_a_network_at_the_same_time(trained: Autoencoder, windows: np.ndarray) -> None:
    for name in ("numpy", "torch"):
        network: Network = compute(name).network(weights_of(trained))
        batches = [windows[start : start + 3] for start in range(0, 30, 3)] * 4
        expected = [np.asarray(network(backend(name).upload(batch))) for batch in batches]
        with ThreadPoolExecutor(4) as threads:
            found = threads.map(lambda batch, n=network, b=name: np.asarray(n(backend(b).upload(batch))), batches)
            for ours, theirs in zip(found, expected, strict=True):
                np.testing.assert_allclose(ours, theirs, rtol=1e-5, atol=1e-5 * np.abs(theirs).max())


def test_on_a_processor_numpy_computes_float32_and_torch_bfloat16() -> None:
    weights = weights_of(Autoencoder.from_config(SMALL))
    for device in ("cpu", torch.device("cpu")):
        single, half = Compute.on(device), Compute.on(device, "bfloat16")
        assert single.backend is half.backend is NUMPY
        assert isinstance(single.network(weights), NumpyNetwork)
        assert isinstance(half.network(weights), TorchNetwork)


@pytest.mark.parametrize("config", [Config(), SMALL, small_config("features.n_mels=16", "model.hidden=[24,12]")])
def test_shapes_and_operations_computed_from_settings_are_those_of_the_model(config: Config) -> None:
    """A bundle is checked against these shapes before its tensors are read."""
    model = Autoencoder.from_config(config)
    types = {"float32": "F32", "int64": "I64"}
    expected = {name: (values.shape, types[values.dtype.name]) for name, values in weights_of(model).items()}
    assert weight_shapes(config) == expected
    products = sum(2 * values.numel() for name, values in model.named_parameters() if values.dim() == 2)
    assert window_operations(config) == products
