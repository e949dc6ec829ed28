"""Peaks are the highest of the last levels, and depend only on these, not on how they are pushed."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.lib.stride_tricks import sliding_window_view

from monitor.core.array_backend import to_numpy
from monitor.scoring.rolling_rows import RollingMaxima
from support.backends import BACKENDS, backend


@pytest.mark.parametrize("name", BACKENDS)
@settings(max_examples=40)
@given(
    length=st.integers(1, 40),
    pushes=st.lists(st.tuples(st.sets(st.integers(0, 4), min_size=1), st.integers(1, 50)), min_size=1, max_size=8),
)
def test_the_peaks_of_each_stream_are_the_highest_of_its_own_last_values(name, length, pushes) -> None:
    arrays, random = backend(name), np.random.default_rng(length)
    rolling = RollingMaxima(length, 3, 5, arrays)
    values: list[list[np.ndarray]] = [[] for _ in range(5)]
    found: list[list[np.ndarray]] = [[] for _ in range(5)]
    for streams, count in pushes:
        which = np.array(sorted(streams))
        pushed = random.standard_normal((len(which), count, 3)).astype(np.float32)
        maxima = to_numpy(rolling.push(arrays.upload(pushed), which)).copy()
        assert maxima.shape == pushed.shape
        for i, stream in enumerate(which):
            values[stream].append(pushed[i])
            found[stream].append(maxima[i])
    for own, peaks in zip(values, found, strict=True):
        if own and len(joined := np.concatenate(own)) >= length:
            expected = sliding_window_view(joined, length, axis=0).max(axis=-1)
            np.testing.assert_array_equal(np.concatenate(peaks)[length - 1 :], expected)
