"""Frames are librosa's, windows are the article's, and neither depends on how the sound arrives."""

from __future__ import annotations

import librosa
import numpy as np
import pytest
import torch
from builders import CUTS, frames_of, noise, pieces, reference_windows, small_config
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import Tensor

from monitor.config.schema import Features
from monitor.features.mel import FrameStream, Scale, WindowStream, band_centres
from train.data.feature_cache import Frames
from train.data.window_dataset import standardization

pytestmark = pytest.mark.filterwarnings("ignore:n_fft=.* is too large:UserWarning")  # librosa, of short signals

OTHERS = {
    "default": Features(),
    "long": Features(n_fft=1024, hop_length=512),
    "band-limited": Features(fmin=100, fmax=7000),
    "few bands": Features(n_mels=8, n_fft=256, hop_length=100),
    "hop equals n_fft": Features(n_fft=512, hop_length=512),
    "other rate": Features(sample_rate=48000, n_fft=2048, hop_length=480, n_mels=40, fmax=20000),
}


def librosa_frames(samples: np.ndarray, features: Features) -> np.ndarray:
    """(T, n_mels), computed in float64, so that only our own rounding is compared."""
    return librosa.feature.melspectrogram(
        y=samples.astype(np.float64),
        sr=features.sample_rate,
        n_fft=features.n_fft,
        hop_length=features.hop_length,
        n_mels=features.n_mels,
        fmin=features.fmin,
        fmax=features.fmax,
    ).T


def streamed_frames(samples: np.ndarray, features: Features, cuts: list[int]) -> Tensor:
    """The frames of streams (N, n) that arrive in pieces."""
    stream = FrameStream(features, len(samples))
    parts = [stream.push(torch.from_numpy(samples[:, part])) for part in pieces(samples.shape[1], cuts)]
    return torch.cat((*parts, stream.flush()), dim=1)


def streamed_windows(frames: Tensor, size: int, cuts: list[int]) -> Tensor:
    stream = WindowStream(size, frames.shape[2], len(frames))
    parts = [stream.push(frames[:, part]).clone() for part in pieces(frames.shape[1], cuts)]
    return torch.cat((*parts, stream.flush()), dim=1)


def random_frames(total: int, n_mels: int, *, streams: int = 1, seed: int = 0) -> Tensor:
    return torch.rand(streams, total, n_mels, generator=torch.Generator().manual_seed(seed))


# Frames


@settings(max_examples=25, deadline=None)
@given(
    length=st.one_of(st.integers(1, 700), st.integers(1, 9000)),
    seed=st.integers(0, 999),
    amplitude=st.sampled_from([1e-4, 0.1, 1.0]),
)
def test_frames_are_those_of_librosa_for_any_length(length: int, seed: int, amplitude: float) -> None:
    samples = noise(length, seed=seed, amplitude=amplitude)
    expected = librosa.feature.melspectrogram(y=samples, sr=16000, n_fft=512, hop_length=160, n_mels=64).T
    ours = frames_of(small_config(), samples[None])[0].numpy()
    assert ours.dtype == np.float32
    assert ours.shape == (1 + length // 160, 64) == expected.shape
    assert np.abs(ours - expected).max() <= 1e-5 * expected.max()


@pytest.mark.parametrize("name", OTHERS)
@pytest.mark.parametrize("length", [1, 999, 30_000])
def test_frames_are_those_of_librosa_for_other_settings(name: str, length: int) -> None:
    features = OTHERS[name]
    samples = noise(length, seed=length)
    ours = streamed_frames(samples[None], features, [length])[0].numpy()
    expected = librosa_frames(samples, features)
    assert ours.shape == expected.shape == (1 + length // features.hop_length, features.n_mels)
    assert np.abs(ours - expected).max() <= 1e-5 * expected.max()


def test_a_quiet_band_beside_a_loud_one_is_as_exact_as_the_loud_one() -> None:
    """In decibels a band 90 dB below the loudest still is what librosa says, within a tenth of a decibel."""
    time = np.arange(32_000) / 16_000
    samples = (0.5 * np.sin(2 * np.pi * 1000 * time) + 2e-5 * np.sin(2 * np.pi * 6000 * time)).astype(np.float32)
    ours = streamed_frames(samples[None], Features(), [777])[0].numpy()
    expected = librosa_frames(samples, Features())
    band = int(np.abs(band_centres(Features()).numpy() - 6000).argmin())
    middle = slice(10, -10)
    assert expected[middle, band].max() < 1e-8 * expected.max()
    assert np.abs(10 * np.log10(ours[middle, band] / expected[middle, band])).max() < 0.1


@settings(max_examples=25, deadline=None)
@given(
    length=st.integers(1, 4000),
    cuts=CUTS,
    features=st.sampled_from([Features(), Features(n_fft=64, hop_length=48, n_mels=8), OTHERS["hop equals n_fft"]]),
)
def test_any_chunking_gives_the_same_frames(length: int, cuts: list[int], features: Features) -> None:
    samples = noise(length, seed=length)[None]
    whole = streamed_frames(samples, features, [length])
    assert whole.shape[1] == 1 + length // features.hop_length
    torch.testing.assert_close(
        streamed_frames(samples, features, cuts), whole, rtol=1e-5, atol=1e-6 * whole.max().item()
    )


def test_one_sample_at_a_time_gives_the_same_frames() -> None:
    samples = noise(1700)[None]
    whole = streamed_frames(samples, Features(), [1700])
    torch.testing.assert_close(
        streamed_frames(samples, Features(), [1]), whole, rtol=1e-5, atol=1e-6 * whole.max().item()
    )


@pytest.mark.parametrize("streams", [1, 3])
def test_a_push_longer_than_what_is_transformed_at_once_gives_the_same_frames(streams: int) -> None:
    samples = noise(160 * 1300, streams=streams)
    whole = streamed_frames(samples, Features(), [samples.shape[1]])
    assert whole.shape[1] == 1301
    torch.testing.assert_close(
        streamed_frames(samples, Features(), [1600]), whole, rtol=1e-5, atol=1e-6 * whole.max().item()
    )


def test_frames_come_as_soon_as_their_last_sample_is_there() -> None:
    """Frame t needs n_fft / 2 samples from its centre t · hop on, and not one more."""
    stream = FrameStream(Features())
    counts = [stream.push(torch.zeros(1, 1)).shape[1] for _ in range(256 + 160 + 159)]
    assert [i + 1 for i, count in enumerate(counts) if count] == [256, 416]
    assert sum(counts) == 2


@pytest.mark.parametrize("cuts", [[5000], [313, 1, 40]])
def test_streams_pushed_together_give_the_frames_of_each_alone(cuts: list[int]) -> None:
    samples = noise(5000, streams=3) * np.array([[1], [1e-3], [30]], np.float32)
    together = streamed_frames(samples, Features(), cuts)
    for number in range(3):
        alone = streamed_frames(samples[number : number + 1], Features(), [5000])[0]
        torch.testing.assert_close(together[number], alone, rtol=1e-5, atol=1e-6 * alone.max().item())


@pytest.mark.parametrize("end", ["reset", "flush"])
def test_after_a_reset_or_a_flush_the_next_sample_begins_a_new_stream(end: str) -> None:
    stream = FrameStream(Features())
    stream.push(torch.from_numpy(noise(1234, amplitude=10.0)[None]))
    getattr(stream, end)()
    samples = noise(900, seed=1)[None]
    second = torch.cat((stream.push(torch.from_numpy(samples)), stream.flush()), dim=1)
    assert torch.equal(second, streamed_frames(samples, Features(), [900]))


def test_a_stream_without_a_sample_has_no_frame() -> None:
    stream = FrameStream(Features(), 2)
    assert stream.flush().shape == (2, 0, 64)
    stream.push(torch.zeros(2, 0))
    assert stream.flush().shape == (2, 0, 64)
    for end in (stream.reset, stream.flush):
        stream.push(torch.zeros(2, 500))
        end()
        assert stream.flush().shape == (2, 0, 64)


def test_what_was_pushed_may_be_overwritten_afterwards() -> None:
    """A caller's buffer is its own: a stream keeps copies."""
    samples = noise(1000)[None]
    buffer = torch.zeros(1, 100)
    stream = FrameStream(Features())
    parts = []
    for part in pieces(1000, [100]):
        buffer[:] = torch.from_numpy(samples[:, part])
        parts.append(stream.push(buffer))
    buffer[:] = 1e6
    torch.testing.assert_close(torch.cat((*parts, stream.flush()), 1), streamed_frames(samples, Features(), [1000]))


# Windows


@settings(max_examples=40, deadline=None)
@given(total=st.integers(10, 90), cuts=st.lists(st.integers(1, 40), min_size=1, max_size=5), seed=st.integers(0, 99))
def test_windows_are_the_articles_however_the_frames_arrive(total: int, cuts: list[int], seed: int) -> None:
    """Window t is frames t-10 … t+9, the ends padded with the first ten and the last ten reversed."""
    frames = random_frames(total, 3, seed=seed)
    expected = reference_windows(frames[0].numpy())
    assert expected.shape == (total, 60)
    assert np.array_equal(streamed_windows(frames, 20, [total])[0].numpy(), expected)
    assert np.array_equal(streamed_windows(frames, 20, cuts)[0].numpy(), expected)
    assert np.array_equal(streamed_windows(frames, 20, [1])[0].numpy(), expected)


@pytest.mark.parametrize("size", [2, 4, 32])
def test_windows_of_other_sizes_are_padded_by_their_halves(size: int) -> None:
    for total in (size // 2, size, 3 * size + 1):
        frames = random_frames(total, 5, seed=size)
        for cuts in ([total], [1], [3, 7]):
            found = streamed_windows(frames, size, cuts)[0].numpy()
            assert np.array_equal(found, reference_windows(frames[0].numpy(), size))


@pytest.mark.parametrize("total", range(10))
def test_fewer_frames_than_half_a_window_give_none(total: int) -> None:
    for cuts in ([1], [10]):
        assert streamed_windows(random_frames(total, 4), 20, cuts).shape == (1, 0, 80)


def test_the_window_of_a_frame_comes_nine_frames_later() -> None:
    """Nothing is held back: with frame t + 9 the window of frame t is there."""
    stream = WindowStream(20, 4)
    frames = random_frames(40, 4)
    come = [stream.push(frames[:, t : t + 1]).shape[1] for t in range(40)]
    assert come == [0] * 9 + [1] * 31
    assert stream.flush().shape[1] == 9


def test_streams_pushed_together_give_the_windows_of_each_alone() -> None:
    frames = random_frames(57, 6, streams=4)
    together = streamed_windows(frames, 20, [8, 1, 13])
    for number in range(4):
        assert np.array_equal(together[number].numpy(), reference_windows(frames[number].numpy()))


@pytest.mark.parametrize("end", ["reset", "flush"])
@pytest.mark.parametrize("before", [4, 15, 50])
def test_after_a_reset_or_a_flush_the_next_frame_has_no_past(end: str, before: int) -> None:
    stream = WindowStream(20, 4)
    stream.push(random_frames(before, 4, seed=1))
    getattr(stream, end)()
    frames = random_frames(30, 4, seed=2)
    second = torch.cat((stream.push(frames), stream.flush()), dim=1)
    assert np.array_equal(second[0].numpy(), reference_windows(frames[0].numpy()))


# Scale


def test_decibels_are_absolute_and_no_lower_than_the_floor() -> None:
    scale = Scale(Features(scale="log", floor=1e-10))
    power = torch.tensor([0.0, 1e-12, 1e-10, 1.0, 100.0]).expand(64, 5).T
    expected = torch.tensor([-100.0, -100.0, -100.0, 0.0, 20.0])
    torch.testing.assert_close(scale(power)[:, 0], expected)
    torch.testing.assert_close(scale(power * 10)[3:, 5], expected[3:] + 10)


def test_power_is_left_as_it_is() -> None:
    power = random_frames(7, 64)
    assert torch.equal(Scale(Features(scale="power"))(power), power)


@pytest.mark.parametrize("scale", ["log", "power"])
def test_each_band_has_mean_0_and_deviation_1_over_the_training_frames(scale: str) -> None:
    config = small_config(f"features.scale={scale}")
    generator = np.random.default_rng(3)
    gains = 10.0 ** np.arange(-4, 4, 0.125)
    recordings = [recording(generator.exponential(1.0, (total, 64)) * gains) for total in (200, 31, 77)]
    fitted = Scale(config.features, *standardization(recordings, config))
    scaled = torch.cat([fitted(torch.from_numpy(frames.power)) for frames in recordings]).double()
    torch.testing.assert_close(scaled.mean(dim=0), torch.zeros(64).double(), atol=1e-4, rtol=0)
    torch.testing.assert_close(scaled.std(dim=0, unbiased=False), torch.ones(64).double(), atol=1e-3, rtol=0)


def test_a_band_that_is_always_the_same_is_not_divided_by_zero() -> None:
    power = np.random.default_rng(0).exponential(1.0, (50, 64))
    power[:, 7] = 0.0
    fitted = standardization([recording(power)], small_config())
    assert fitted[1][7] == 1
    assert fitted[0][7] == -100


def test_without_standardisation_mean_and_deviation_are_0_and_1() -> None:
    mean, deviation = standardization([recording(np.ones((30, 64)))], small_config("features.standardize=false"))
    assert torch.equal(mean, torch.zeros(64))
    assert torch.equal(deviation, torch.ones(64))


def test_a_tone_is_loudest_in_the_band_whose_centre_is_nearest() -> None:
    centres = band_centres(Features()).numpy()
    assert (np.diff(centres) > 0).all()
    for number in (5, 20, 40, 60):
        tone = np.sin(2 * np.pi * centres[number] * np.arange(8000) / 16000).astype(np.float32)
        frames = streamed_frames(tone[None], Features(), [8000])[0]
        assert frames[25].argmax() == number


def recording(power: np.ndarray) -> Frames:
    return Frames(path=None, power=np.ascontiguousarray(power, np.float32), digest="")  # type: ignore[arg-type]
