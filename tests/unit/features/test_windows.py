"""Windows are as in the article: one for each frame, padded with the first and the last frames reversed."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from monitor.features.windows import padded_frames, windows_of
from support.backends import BACKENDS, backend
from support.builders import reference_windows


def random_frames(total: int, n_mels: int, *, streams: int = 1, seed: int = 0) -> np.ndarray:
    return np.random.default_rng(seed).random((streams, total, n_mels), np.float32)


@settings(max_examples=40)
@given(half=st.integers(1, 20), more=st.integers(0, 60), seed=st.integers(0, 99), name=st.sampled_from(BACKENDS))
def test_windows_are_as_in_the_article(half: int, more: int, seed: int, name: str) -> None:
    """Window t has frames t - W/2 … t + W/2 - 1."""
    frames = random_frames(half + more, 3, streams=2, seed=seed)
    found = np.asarray(windows_of(backend(name).upload(frames), 2 * half))
    assert found.shape == (2, half + more, 2 * half * 3)
    for stream in range(2):
        assert np.array_equal(found[stream], reference_windows(frames[stream], 2 * half))


@pytest.mark.parametrize("name", BACKENDS)
@pytest.mark.parametrize("total", range(10))
def test_fewer_frames_than_half_a_window_give_no_windows(total: int, name: str) -> None:
    frames = backend(name).upload(random_frames(total, 4))
    assert windows_of(frames, 20).shape == (1, 0, 80)
    assert padded_frames(frames, 20).shape == (1, 0, 4)


def test_windows_of_a_strided_view_are_correct() -> None:
    frames = random_frames(80, 10, streams=4)
    for part in (frames[::2, 5:70:3, 2:9], frames.transpose(0, 2, 1)[:, :, :10]):
        found = windows_of(part, 6)
        for stream in range(len(part)):
            assert np.array_equal(found[stream], reference_windows(part[stream], 6))
