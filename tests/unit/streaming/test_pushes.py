"""Scores do not depend on how sound is divided into pushes, nor on the library and the device that compute them."""

from __future__ import annotations

import subprocess
import sys
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from monitor.bundle.bundle import Bundle
from monitor.bundle.bundle_io import save_bundle
from monitor.features import mel
from monitor.model import numpy_network, overlapping_windows, torch_network
from monitor.streaming import stream_batch
from monitor.streaming.portion import Portion
from monitor.streaming.stream_batch import StreamBatch
from support.backends import BACKENDS, compute
from support.builders import CUTS, noise, pieces, small_bundle, small_config
from support.oracle import expected_of
from support.stream_kinds import BUNDLES, COUNT, SETTINGS, assert_as_defined, assert_equal, scored, sound, together

pytestmark = pytest.mark.filterwarnings("ignore:n_fft=.* is too large:UserWarning")  # librosa, of short signals


@pytest.fixture(scope="module", params=["fused", "mahalanobis", "error"])
def bundle(request: pytest.FixtureRequest) -> Bundle:
    return small_bundle(small_config(f"score.kind={request.param}"))


@settings(max_examples=12)
@given(length=st.integers(1, 12_000), cuts=CUTS)
def test_samples_in_any_pieces_give_the_scores_of_the_whole_recording(
    bundle: Bundle, length: int, cuts: list[int]
) -> None:
    samples = noise(length, seed=length)
    expected = expected_of(bundle, samples)
    assert len(expected.frames) == 1 + length // 160
    assert len(expected.score) == (len(expected.frames) if len(expected.frames) >= 10 else 0)
    for some in ([length], cuts):
        assert_as_defined(scored(bundle, samples, some), expected)


def test_one_sample_at_a_time_gives_the_scores_of_the_whole_recording(bundle: Bundle) -> None:
    samples = noise(6000)
    assert_as_defined(scored(bundle, samples, [1]), expected_of(bundle, samples))


@pytest.mark.parametrize("name", BACKENDS)
def test_streams_and_hops_in_several_groups_give_the_same_results(
    bundle: Bundle, name: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Many streams are computed in groups, and long pushes in parts."""
    for module, size, value in (
        (stream_batch, "HOPS_AT_ONCE", 14),
        (stream_batch, "HOPS_PER_STREAM", 7),
        (stream_batch, "GPU_HOPS_AT_ONCE", 100),
        (numpy_network, "WINDOWS_AT_ONCE", 5),
        (overlapping_windows, "WINDOWS_AT_ONCE", 60),
        (torch_network, "WINDOWS_AT_ONCE", 5),
        (torch_network, "GPU_WINDOWS_AT_ONCE", 70),
        (mel, "SAMPLES_AT_ONCE", 11 * 512),
        (mel, "GPU_FRAMES_AT_ONCE", 40),
    ):
        monkeypatch.setattr(module, size, value)
    streams = [3, 1, 4, 0, 2]
    samples = np.stack([sound(bundle, stream, 1, 61) for stream in streams])
    portions = StreamBatch(bundle, COUNT, compute=compute(name)).push(samples, streams).portions()
    for position, found in enumerate(portions):
        assert_as_defined(found, expected_of(bundle, samples[position], ended=False))
    long = noise(160 * 250)
    assert_as_defined(scored(bundle, long, [len(long)], compute=compute(name)), expected_of(bundle, long))


@pytest.mark.parametrize("name", BACKENDS[1:])
@pytest.mark.parametrize("number", range(len(SETTINGS)))
def test_torch_and_a_device_with_its_own_memory_give_the_results_of_numpy(name: str, number: int) -> None:
    bundle, streams = BUNDLES[number], [3, 1, 4]
    here, there = StreamBatch(bundle, COUNT), StreamBatch(bundle, COUNT, compute=compute(name))
    for step, hops in enumerate((50, 7, 0, 230, 1)):
        samples = np.stack([sound(bundle, stream, step, hops) for stream in streams])
        pairs = zip(there.push(samples, streams).portions(), here.push(samples, streams).portions(), strict=True)
        for found, expected in pairs:
            assert isinstance(found.score, np.ndarray)
            assert_equal(found, expected, tolerance=5e-5)
    rest = sound(bundle, 3, 9, 0, rest=100)
    assert_equal(there.flush(3, rest), here.flush(3, rest), tolerance=5e-5)
    samples = sound(bundle, 1, 10, 40)[None]
    for one in (here, there):
        one.reset([1])
    assert_equal(*(one.push(samples, [1]).portions()[0] for one in (there, here)), tolerance=5e-5)


@pytest.mark.parametrize("name", BACKENDS)
def test_bfloat16_scores_are_within_one_percent_of_float32(name: str) -> None:
    bundle = BUNDLES[0]
    samples = np.stack([sound(bundle, stream, 1, 400) for stream in range(COUNT)])
    single, half = (
        StreamBatch(bundle, COUNT, compute=compute(name, precision)).push(samples, range(COUNT)).score[:, 60:]
        for precision in ("float32", "bfloat16")
    )
    assert np.quantile(np.abs(half / single - 1), 0.99) < 0.01
    assert not np.array_equal(half, single)


def test_the_caller_may_overwrite_its_buffer_after_a_push(bundle: Bundle) -> None:
    """The stream keeps copies."""
    samples, buffer, batch = noise(1600 * 10), np.empty((1, 1600), np.float32), StreamBatch(bundle)
    portions = []
    for part in pieces(len(samples), [1600]):
        buffer[0] = samples[part]
        portions += batch.push(buffer, [0]).portions()
        buffer[:] = 1e6
    ending = noise(100, seed=1)
    found = together([*portions, batch.flush(0, ending)])
    assert_as_defined(found, expected_of(bundle, np.concatenate((samples, ending))))


def test_with_remove_level_scores_do_not_depend_on_loudness() -> None:
    samples = noise(12_000, seed=9)
    for removed in ("true", "false"):
        drawn = small_bundle(small_config(f"features.remove_level={removed}"))
        bundle = replace(drawn, mean=np.zeros_like(drawn.mean))  # levels are relative to their mean
        quiet, loud = (scored(bundle, np.float32(gain) * samples, [5000]) for gain in (0.5, 4))
        assert np.allclose(quiet.score, loud.score, rtol=1e-3, equal_nan=True) == (removed == "true")
        assert_as_defined(loud, expected_of(bundle, 4 * samples))


def test_frames_and_windows_are_returned_with_the_hop_of_their_last_sample(bundle: Bundle) -> None:
    """Frame t needs 256 samples after its centre, which are two hops; its window needs nine more frames."""
    batch = StreamBatch(bundle)
    results = [batch.push(noise(160)[None], [0]) for _ in range(60)]
    assert [int(result.valid_frames[0]) for result in results] == [0] + [1] * 59
    assert [int(result.valid_rows[0]) for result in results] == [0] * 10 + [1] * 50
    assert [not np.isnan(result.portions()[0].score).any() for result in results[10:]] == [False] * 29 + [True] * 21


def test_a_stream_without_samples_has_no_results(bundle: Bundle) -> None:
    batch, none = StreamBatch(bundle, 2), np.zeros(0, np.float32)
    for _ in range(2):
        [portion] = batch.push(np.zeros((1, 0), np.float32), [1]).portions()
        for found in (portion, batch.flush(1, none)):
            assert [len(values) for values in found] == [0] * len(Portion._fields)
        batch.push(noise(480)[None], [1])
        batch.flush(1, none)


@pytest.mark.parametrize(("samples", "streams"), [(161, [0, 1]), (160, [1, 1]), (160, [0])])
def test_samples_that_are_not_whole_hops_of_different_streams_are_an_error(samples: int, streams: list[int]) -> None:
    with pytest.raises(ValueError, match="whole hops"):
        StreamBatch(BUNDLES[0], 2).push(np.zeros((2, samples), np.float32), streams)


def test_a_remainder_of_a_whole_hop_is_an_error() -> None:
    with pytest.raises(ValueError, match="push it first"):
        StreamBatch(BUNDLES[0]).flush(0, np.zeros(160, np.float32))


def test_listening_on_a_processor_does_not_import_torch(tmp_path: Path) -> None:
    """Importing torch takes seconds and hundreds of megabytes."""
    bundle, samples = BUNDLES[0], noise(16_000)
    save_bundle(bundle, tmp_path / "model.safetensors")
    np.save(tmp_path / "samples.npy", samples)
    program = """
import sys, numpy as np
from pathlib import Path
from monitor.bundle.bundle_io import load_bundle
from monitor.model.device import listening_device
from monitor.model.network import Compute
from monitor.model.precision_choice import listening_precision
from monitor.streaming.stream_batch import StreamBatch
bundle = load_bundle(Path("model.safetensors"))
precision = listening_precision("auto", bundle.config, 1, "cpu")
batch = StreamBatch(bundle, compute=Compute.on(listening_device("cpu"), precision))
result = batch.push(np.load("samples.npy")[None], [0])
batch.contributions(result.means[0, -1], float(result.score[0, -1]), 0)
batch.flush(0, np.zeros(7, np.float32))
np.save("scores.npy", result.score)
print(*[name for name in ("torch", "torchaudio") if name in sys.modules])
"""
    done = subprocess.run([sys.executable, "-c", program], cwd=tmp_path, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    assert done.stdout.split() == []
    expected = StreamBatch(bundle).push(samples[None], [0]).score
    np.testing.assert_allclose(np.load(tmp_path / "scores.npy"), expected, rtol=1e-6)
