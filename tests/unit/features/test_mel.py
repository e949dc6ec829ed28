"""Power mel frames and mel filters are equal to librosa's."""

from __future__ import annotations

import librosa
import numpy as np
import pytest
import scipy.signal
import torch
import torchaudio
from hypothesis import given, settings
from hypothesis import strategies as st

from monitor.config.schema import Features
from monitor.core.errors import ConfigError
from monitor.core.thread_pool import ThreadPool
from monitor.features import mel
from monitor.features.mel import (
    MelTransform,
    band_centres,
    centred_frames,
    hann_window,
    mel_filters,
    require_filled_bands,
)
from support.backends import BACKENDS, backend
from support.builders import frames_of, noise, small_config
from support.oracle import librosa_frames

pytestmark = pytest.mark.filterwarnings("ignore:n_fft=.* is too large:UserWarning")  # librosa, of short signals

SETTINGS = {
    "default": Features(),
    "long": Features(n_fft=1024, hop_length=512),
    "band-limited": Features(fmin=100, fmax=7000),
    "above the knee": Features(fmin=1500, fmax=7900, n_mels=30),
    "few bands": Features(n_mels=8, n_fft=256, hop_length=100),
    "bands without a bin": Features(n_mels=128, n_fft=256),
    "hop equals n_fft": Features(n_fft=512, hop_length=512),
    "other rate": Features(sample_rate=48000, n_fft=2048, hop_length=480, n_mels=40, fmax=20000),
}


@settings(max_examples=25)
@given(
    length=st.one_of(st.integers(1, 700), st.integers(1, 9000)),
    seed=st.integers(0, 999),
    amplitude=st.sampled_from([1e-4, 0.1, 1.0]),
)
def test_frames_are_equal_to_librosas_for_any_length(length: int, seed: int, amplitude: float) -> None:
    samples = noise(length, seed=seed, amplitude=amplitude)
    expected = librosa.feature.melspectrogram(y=samples, sr=16000, n_fft=512, hop_length=160, n_mels=64).T
    ours = frames_of(small_config("features.fmax=null"), samples[None])[0]
    assert ours.dtype == np.float32
    assert ours.shape == (1 + length // 160, 64) == expected.shape
    assert np.abs(ours - expected).max() <= 1e-5 * expected.max()


@pytest.mark.parametrize("name", SETTINGS)
@pytest.mark.parametrize("length", [1, 999, 30_000])
@pytest.mark.filterwarnings("ignore:Empty filters detected:UserWarning")
def test_frames_are_equal_to_librosas_for_other_settings(name: str, length: int) -> None:
    features, samples = SETTINGS[name], noise(length, seed=length)
    ours = centred_frames(samples[None], MelTransform(features))[0]
    expected = librosa_frames(samples, features)
    assert ours.shape == expected.shape == (1 + length // features.hop_length, features.n_mels)
    assert np.abs(ours - expected).max() <= 1e-5 * expected.max()


def test_too_few_samples_give_no_frames() -> None:
    assert centred_frames(np.zeros((2, 0), np.float32), MelTransform(Features())).shape == (2, 0, 64)
    assert MelTransform(Features())(np.zeros((2, 511), np.float32)).shape == (2, 0, 64)
    assert MelTransform(Features())(np.zeros((2, 512), np.float32)).shape == (2, 1, 64)


def test_a_quiet_band_is_accurate_beside_a_loud_one() -> None:
    """A band 80 dB and more below the loudest one is equal to librosa's within 0.1 dB."""
    time = np.arange(32_000) / 16_000
    samples = (0.5 * np.sin(2 * np.pi * 1000 * time) + 2e-5 * np.sin(2 * np.pi * 6000 * time)).astype(np.float32)
    expected = librosa_frames(samples, Features())
    band = int(np.abs(band_centres(Features()) - 6000).argmin())
    middle = slice(10, -10)
    assert expected[middle, band].max() < 1e-8 * expected.max()
    padded = np.pad(samples, 256)[None]
    for name in BACKENDS:
        arrays = backend(name)
        ours = np.asarray(MelTransform(Features(), arrays)(arrays.upload(padded)))[0]
        assert np.abs(10 * np.log10(ours[middle, band] / expected[middle, band])).max() < 0.1


@pytest.mark.parametrize("name", BACKENDS)
@pytest.mark.parametrize("count", [1, 30, 1300])
def test_every_backend_computes_the_frames_of_many_streams(name: str, count: int) -> None:
    """Loud and quiet streams together, with more frames than are computed at once, written into the caller's array."""
    samples = noise(160 * (count - 1), streams=3) * np.array([[1], [1e-3], [30]], np.float32)
    arrays = backend(name)
    out = arrays.upload(np.zeros((3, count + 1, 64), np.float32))
    MelTransform(Features(), arrays)(arrays.upload(np.pad(samples, [(0, 0), (256, 256)])), out=out[:, :count])
    assert not np.asarray(out[:, count:]).any()
    for stream in range(3):
        expected = librosa_frames(samples[stream], Features()) if count > 1 else np.zeros((1, 64))
        found = np.asarray(out[stream, :count])
        np.testing.assert_allclose(found, expected, rtol=1e-5, atol=1e-5 * expected.max())


@pytest.mark.parametrize(("streams", "count"), [(1, 100), (7, 20), (30, 1), (2, 3)])
def test_threads_that_share_the_frames_give_the_same_result_as_one(
    streams: int, count: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(mel, "SHARED_SAMPLES_AT_ONCE", 8 * 512)
    monkeypatch.setattr(mel, "FRAMES_A_THREAD", 4)
    samples, pool, transform = noise(160 * count + 400, streams=streams), ThreadPool(3), MelTransform(Features())
    shared, alone = transform(samples, pool), transform(samples)
    pool.close()
    assert shared.shape == (streams, count, 64)
    np.testing.assert_allclose(shared, alone, rtol=1e-6, atol=1e-6 * alone.max())


# Filters and window


@pytest.mark.parametrize("name", SETTINGS)
@pytest.mark.filterwarnings("ignore:Empty filters detected:UserWarning")
@pytest.mark.filterwarnings("ignore:At least one mel filterbank has all zero:UserWarning")
def test_filters_are_equal_to_those_of_librosa_and_torchaudio(name: str) -> None:
    features = SETTINGS[name]
    bins = features.n_fft // 2 + 1
    ours = mel_filters(features, bins)
    assert ours.dtype == np.float32
    expected = librosa.filters.mel(
        sr=features.sample_rate, n_fft=features.n_fft, n_mels=features.n_mels, fmin=features.fmin, fmax=features.f_top
    )
    np.testing.assert_allclose(ours, expected.T, rtol=1e-5, atol=1e-6 * expected.max())
    for norm, equal_area in (("slaney", True), (None, False)):
        expected = torchaudio.functional.melscale_fbanks(
            bins, features.fmin, features.f_top, features.n_mels, features.sample_rate, norm, "slaney"
        ).numpy()
        ours = mel_filters(features, bins, equal_area=equal_area)
        np.testing.assert_allclose(ours, expected, rtol=1e-3, atol=1e-4 * expected.max())  # torchaudio is float32


@pytest.mark.parametrize("size", [16, 400, 512, 2048])
def test_the_window_is_the_periodic_hann_window(size: int) -> None:
    np.testing.assert_allclose(hann_window(size), scipy.signal.get_window("hann", size), atol=1e-7)
    np.testing.assert_allclose(hann_window(size), torch.hann_window(size), atol=1e-6)


@pytest.mark.parametrize("name", SETTINGS)
def test_band_centres_are_equal_to_librosas(name: str) -> None:
    features = SETTINGS[name]
    edges = librosa.mel_frequencies(features.n_mels + 2, fmin=features.fmin, fmax=features.f_top)
    centres = band_centres(features)
    assert (np.diff(centres) > 0).all()
    assert np.abs(centres - edges[1:-1]).max() <= features.sample_rate / 2 / 4096  # one bin


def test_a_tone_is_loudest_in_the_band_whose_centre_is_nearest() -> None:
    centres = band_centres(Features())
    for number in (5, 20, 40, 60):
        tone = np.sin(2 * np.pi * centres[number] * np.arange(8000) / 16000).astype(np.float32)
        assert frames_of(small_config(), tone[None])[0, 25].argmax() == number


# Empty bands


@settings(max_examples=60)
@given(
    n_fft=st.sampled_from([64, 100, 256, 512, 1000, 2048]),
    sample_rate=st.sampled_from([8000, 16_000, 44_100]),
    n_mels=st.integers(4, 512),
    fmin=st.sampled_from([0.0, 31.25, 100.0]),
    share=st.sampled_from([0.3, 0.875, 1.0]),
)
def test_bands_are_refused_exactly_where_a_filter_has_no_weights_and_the_number_that_works_is_named(
    n_fft: int, sample_rate: int, n_mels: int, fmin: float, share: float
) -> None:
    features = Features(
        n_fft=n_fft, hop_length=n_fft, sample_rate=sample_rate, n_mels=n_mels, fmin=fmin, fmax=share * sample_rate / 2
    )

    def empty(count: int) -> int:
        filters = mel_filters(features.model_copy(update={"n_mels": count}), n_fft // 2 + 1)
        return int((~filters.any(axis=0)).sum())

    if not empty(n_mels):
        require_filled_bands(features)
        return
    with pytest.raises(ConfigError) as caught:
        require_filled_bands(features)
    message = str(caught.value)
    assert f"n_mels is {n_mels}, but {empty(n_mels)} of these bands" in message
    highest = next((count for count in range(n_mels - 1, 3, -1) if not empty(count)), None)
    advice = "no n_mels works" if highest is None else f"the highest n_mels that works is {highest}."
    assert advice in message
