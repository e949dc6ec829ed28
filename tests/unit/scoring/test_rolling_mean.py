"""Rolling means are equal to numpy's, and depend only on the last rows, not on how they are pushed."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.lib.stride_tricks import sliding_window_view

from monitor.config.schema import Features, Score
from monitor.scoring.rolling_mean import RollingMeans, replace_by_suffix_sums
from monitor.scoring.scorer import rolling_length
from support.backends import BACKENDS, backend
from support.builders import pieces

CUTS = st.lists(st.integers(1, 50), min_size=1, max_size=5)


def rolled(rows: np.ndarray, length: int, cuts: Sequence[int], *, name: str = "numpy") -> np.ndarray:
    """Rolling means of rows (N, k, width) of N streams that are pushed in pieces; NaN before the first full mean."""
    arrays = backend(name)
    rolling, streams = RollingMeans(length, rows.shape[2], len(rows), arrays), np.arange(len(rows))
    means = np.full(rows.shape, np.nan, np.float32)
    for part in pieces(rows.shape[1], cuts):
        found = arrays.upload(np.empty_like(rows[:, part]))
        rolling.push(arrays.upload(rows[:, part]), streams, found)
        means[:, part] = np.asarray(found)
    means[:, : length - 1] = np.nan
    return means


def numpy_means(rows: np.ndarray, length: int) -> np.ndarray:
    means = np.full(rows.shape, np.nan)
    if rows.shape[1] >= length:
        means[:, length - 1 :] = sliding_window_view(rows.astype(np.float64), length, axis=1).mean(axis=-1)
    return means


@settings(max_examples=60)
@given(total=st.integers(1, 120), length=st.integers(1, 40), cuts=CUTS, seed=st.integers(0, 999))
def test_the_rolling_mean_is_equal_to_numpys_and_does_not_depend_on_the_pushes(total, length, cuts, seed) -> None:
    rows = np.random.default_rng(seed).standard_normal((2, total, 3)).astype(np.float32)
    whole = rolled(rows, length, [total])
    np.testing.assert_allclose(whole, numpy_means(rows, length), rtol=1e-5, atol=1e-6)
    for other in (cuts, [1]):
        assert np.array_equal(rolled(rows, length, other), whole, equal_nan=True)


@pytest.mark.parametrize("name", BACKENDS)
@settings(max_examples=40)
@given(
    length=st.integers(1, 30),
    pushes=st.lists(
        st.tuples(st.sets(st.integers(0, 19), min_size=1, max_size=7), st.integers(0, 70)), min_size=1, max_size=8
    ),
)
def test_the_mean_of_each_stream_is_of_its_own_rows_whichever_other_streams_are_pushed(name, length, pushes) -> None:
    """The blocks of streams begin at different rows, so that many positions are tested."""
    arrays, random = backend(name), np.random.default_rng(length)
    rolling = RollingMeans(length, 3, 20, arrays)
    rows: list[list[np.ndarray]] = [[] for _ in range(20)]
    means: list[list[np.ndarray]] = [[] for _ in range(20)]
    for which, count in pushes:
        streams = np.array(random.permutation(sorted(which)))
        pushed = random.standard_normal((len(streams), count, 3)).astype(np.float32)
        found = arrays.upload(np.empty_like(pushed))
        rolling.push(arrays.upload(pushed), streams, found)
        for i, stream in enumerate(streams):
            rows[stream].append(pushed[i])
            means[stream].append(np.asarray(found)[i].copy())
    for of_one, found_of_one in zip(rows, means, strict=True):
        if of_one:
            expected = numpy_means(np.concatenate(of_one)[None], length)[0, length - 1 :]
            found = np.concatenate(found_of_one)[length - 1 :]
            np.testing.assert_allclose(found, expected, rtol=1e-5, atol=1e-6)


@pytest.mark.parametrize("huge", [1e30, np.inf])
@pytest.mark.parametrize("at", [0, 4, 9, 10, 17])
@pytest.mark.parametrize("name", BACKENDS)
def test_a_huge_value_leaves_no_error_after_it_has_left_the_mean(huge: float, at: int, name: str) -> None:
    rows = np.random.default_rng(1).standard_normal((1, 60, 2)).astype(np.float32)
    calm = rolled(rows, 10, [60], name=name)
    rows[0, at, 0] = huge
    loud = rolled(rows, 10, [7], name=name)
    touched = slice(at, at + 10)
    assert (loud[0, touched, 0][~np.isnan(loud[0, touched, 0])] > 1e28).all()
    untouched = np.ones(60, bool)
    untouched[touched] = False
    assert np.array_equal(loud[0, untouched], calm[0, untouched], equal_nan=True)
    assert np.array_equal(loud[..., 1], calm[..., 1], equal_nan=True)


def test_the_rolling_mean_does_not_drift_in_a_long_stream() -> None:
    rows = np.random.default_rng(2).random((1, 100_000, 1)).astype(np.float32)
    last = rolled(rows, 200, [997])[0, -1, 0]
    assert last == pytest.approx(rows[0, -200:, 0].astype(np.float64).mean(), rel=1e-6)


@pytest.mark.parametrize("length", [1, 2, 3, 16, 17, 200, 211])
def test_a_block_is_replaced_by_its_suffix_sums(length: int) -> None:
    blocks = np.random.default_rng(0).random((3, length, 5))
    expected = np.stack([blocks[:, row:].sum(axis=1) for row in range(length)], axis=1)
    replace_by_suffix_sums(blocks)
    np.testing.assert_allclose(blocks, expected, rtol=1e-13)


def test_the_anomaly_score_averages_over_window_s_or_one_window_at_least() -> None:
    assert rolling_length(Score(window_s=2.0), Features()) == 200
    assert rolling_length(Score(window_s=2.0), Features(hop_length=512)) == 62
    assert rolling_length(Score(kind="error", window_s=0.0), Features()) == 1
