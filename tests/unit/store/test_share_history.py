"""The shares of the limit of the last minutes are those that were heard, of each stream, however they came in."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from monitor.core.events import ScoreRows
from monitor.store.score_sums import ScoreSums
from monitor.store.share_history import KEPT_S, ShareHistory
from support.builders import CUTS
from support.score_rows import cut, made_rows


def heard(history: ShareHistory, *blocks: ScoreRows, stream: int = 0) -> None:
    for one in blocks:
        history.push(np.array([stream]), ScoreSums.of([one]))


def begun(streams: int = 1) -> ShareHistory:
    history = ShareHistory()
    for stream in range(streams):
        history.begin(stream)
    return history


def random_rows(seconds: float, seed: int = 0) -> ScoreRows:
    random = np.random.default_rng(seed)
    rows = made_rows(seconds)
    return replace(rows, share=np.where(random.random(len(rows.share)) < 0.2, np.nan, random.random(len(rows.share))))


@given(cuts=CUTS, position=st.integers(0, 110))
def test_the_shares_since_a_moment_are_the_same_however_they_came_in(cuts: list[int], position: int) -> None:
    rows, history = random_rows(100.0), begun()
    heard(history, *cut(rows, cuts))
    found, wanted = history.since(0, float(position)), rows.share[10 * position :]
    assert found.count == np.count_nonzero(~np.isnan(wanted))
    if found.count:
        assert (found.mean, found.highest) == pytest.approx((np.nanmean(wanted), np.nanmax(wanted)))


def test_streams_are_remembered_apart_and_one_that_gets_a_number_anew_begins_with_nothing() -> None:
    history, blocks = begun(3), [random_rows(20.0, seed) for seed in range(3)]
    history.push(np.arange(3), ScoreSums.of(blocks))
    for number, rows in enumerate(blocks):
        assert history.since(number, 0.0).mean == pytest.approx(np.nanmean(rows.share))
    history.begin(1)
    assert history.since(1, 0.0).count == 0
    assert history.since(2, 0.0).count > 0


def test_no_more_than_the_last_minutes_are_remembered_also_of_a_single_long_block() -> None:
    for lengths in ([100_000], [70]):
        history = begun()
        heard(history, *cut(made_rows(5000.0), lengths))
        assert history.since(0, 0.0).count == 10 * (KEPT_S + 1)


def test_another_recording_and_one_that_begins_late_replace_what_was_before() -> None:
    history = begun()
    heard(history, made_rows(50.0, share=3.0), made_rows(10.0, share=0.5))
    assert history.since(0, 0.0).highest == pytest.approx(0.5)
    heard(history, made_rows(5.0, share=0.2, first=20))
    assert history.since(0, 0.0).highest == pytest.approx(0.2)
