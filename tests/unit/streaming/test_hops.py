"""Frames do not depend on the pieces in which the samples arrive."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from monitor.config.schema import Features
from monitor.streaming.hops import FrameStream, HopCutter
from support.backends import BACKENDS, backend
from support.builders import CUTS, noise, pieces
from support.oracle import librosa_frames

pytestmark = pytest.mark.filterwarnings("ignore:n_fft=.* is too large:UserWarning")  # librosa, of short signals

SETTINGS = {
    "default": Features(),
    "long": Features(n_fft=1024, hop_length=512),
    "band-limited": Features(fmin=100, fmax=7000),
    "few bands": Features(n_mels=8, n_fft=256, hop_length=100),
    "hop equals n_fft": Features(n_fft=512, hop_length=512),
    "other rate": Features(sample_rate=48000, n_fft=2048, hop_length=480, n_mels=40, fmax=20000),
}


def streamed(samples: np.ndarray, features: Features, cuts: list[int], name: str = "numpy") -> np.ndarray:
    """The frames of one stream of samples (n,) that arrive in pieces."""
    stream = FrameStream(features, backend(name))
    parts = [stream.push(samples[part]) for part in pieces(len(samples), cuts)]
    return np.concatenate((*parts, stream.flush()))


def assert_close(frames: np.ndarray, expected: np.ndarray) -> None:
    assert frames.dtype == np.float32
    assert frames.shape == expected.shape
    np.testing.assert_allclose(frames, expected, rtol=1e-5, atol=1e-5 * expected.max(initial=0.0))


@settings(max_examples=25)
@given(length=st.integers(1, 4000), cuts=CUTS, name=st.sampled_from(["default", "few bands", "hop equals n_fft"]))
def test_samples_in_any_pieces_give_librosas_frames(length: int, cuts: list[int], name: str) -> None:
    samples, features = noise(length, seed=length), SETTINGS[name]
    expected = librosa_frames(samples, features)
    assert len(expected) == 1 + length // features.hop_length
    assert_close(streamed(samples, features, cuts), expected)


@pytest.mark.parametrize("name", SETTINGS)
@pytest.mark.parametrize("length", [1, 999, 30_000])
def test_frames_are_equal_to_librosas_for_other_settings(name: str, length: int) -> None:
    samples = noise(length, seed=length)
    for kind in BACKENDS:
        assert_close(streamed(samples, SETTINGS[name], [length], kind), librosa_frames(samples, SETTINGS[name]))


def test_one_sample_at_a_time_gives_the_same_frames() -> None:
    samples = noise(1700)
    for kind in BACKENDS:
        assert_close(streamed(samples, Features(), [1], kind), librosa_frames(samples, Features()))


def test_a_push_of_more_frames_than_are_computed_at_once_gives_the_same_frames() -> None:
    samples = noise(160 * 1300)
    whole = streamed(samples, Features(), [len(samples)])
    assert len(whole) == 1301
    assert_close(streamed(samples, Features(), [1600]), whole)


def test_a_frame_is_returned_with_the_hop_that_completes_it() -> None:
    """Frame t needs n_fft / 2 samples after its centre t · hop. It is returned with the hop that has the last one."""
    for features, completed in ((Features(), [320, 480]), (Features(n_fft=320), [160, 320, 480])):
        stream = FrameStream(features)
        counts = [len(stream.push(np.zeros(1, np.float32))) for _ in range(160 * 4 - 1)]
        assert [i + 1 for i, count in enumerate(counts) if count] == completed
        assert sum(counts) == len(completed)


def test_after_a_flush_the_next_sample_starts_a_new_stream() -> None:
    stream, samples = FrameStream(Features()), noise(900, seed=1)
    stream.push(noise(1234, amplitude=10.0))
    stream.flush()
    assert np.array_equal(np.concatenate((stream.push(samples), stream.flush())), streamed(samples, Features(), [900]))


def test_a_stream_without_a_sample_has_no_frame() -> None:
    stream = FrameStream(Features())
    assert stream.flush().shape == (0, 64)
    assert stream.push(np.zeros(0, np.float32)).shape == (0, 64)
    assert stream.flush().shape == (0, 64)
    stream.push(np.zeros(500, np.float32))
    stream.flush()
    assert stream.flush().shape == (0, 64)


@pytest.mark.parametrize("size", [1, 100, 160, 230])
def test_the_caller_may_overwrite_its_buffer_after_a_push(size: int) -> None:
    """The stream keeps copies."""
    samples, buffer, stream = noise(2300), np.zeros(size, np.float32), FrameStream(Features())
    parts = []
    for part in pieces(len(samples), [size]):
        arrived = samples[part]
        buffer[: len(arrived)] = arrived
        parts.append(stream.push(buffer[: len(arrived)]))
        buffer[:] = 1e6
    assert_close(np.concatenate((*parts, stream.flush())), librosa_frames(samples, Features()))


@given(hop=st.integers(1, 50), cuts=st.lists(st.integers(0, 120), min_size=1, max_size=8))
def test_a_hop_cutter_returns_every_sample_once_in_whole_hops(hop: int, cuts: list[int]) -> None:
    samples, cutter, start, returned = np.arange(sum(cuts), dtype=np.float32), HopCutter(hop), 0, []
    for cut in cuts:
        hops = cutter.push(samples[start : start + cut])
        start += cut
        assert len(hops) % hop == 0
        assert len(cutter.remainder) < hop
        returned.append(hops)
        assert np.array_equal(np.concatenate((*returned, cutter.remainder)), samples[:start])
    cutter.reset()
    assert len(cutter.remainder) == 0
