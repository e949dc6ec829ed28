"""The frequency ranges that contribute to a score."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from monitor.scoring.attribution import contributing_ranges, signed_contributions

HZ = np.arange(100, 1100, 100).astype(np.float32)  # ten bands


def ranges(shares: dict[int, float], missing: tuple[int, ...] = ()) -> list[tuple[float, float, float, str]]:
    share, direction = np.zeros(10), np.ones(10)
    for band, value in shares.items():
        share[band] = value
    direction[list(missing)] = -1
    return [(b.low_hz, b.high_hz, pytest.approx(b.share), b.change) for b in contributing_ranges(share, direction, HZ)]


def test_neighbouring_bands_with_one_direction_are_one_range() -> None:
    assert ranges({3: 0.5, 4: 0.5}) == [(350, 550, 1.0, "new")]
    assert ranges({3: 0.5, 5: 0.5}) == [(350, 450, 0.5, "new"), (550, 650, 0.5, "new")]
    assert ranges({3: 0.6, 4: 0.4}, missing=(4,)) == [(350, 450, 0.6, "new"), (450, 550, 0.4, "missing")]
    assert ranges({0: 0.4, 9: 0.6}) == [(950, 1050, 0.6, "new"), (50, 150, 0.4, "new")]


def test_at_most_four_ranges_are_returned_the_largest_share_first() -> None:
    found = ranges({0: 0.1, 2: 0.3, 4: 0.15, 6: 0.25, 8: 0.2})
    assert [share for *_, share, _ in found] == [0.3, 0.25, 0.2, 0.15]


def test_small_and_negative_shares_are_left_out() -> None:
    """Shares are relative to the sum of the positive shares."""
    assert ranges({1: 0.96, 5: 0.04}) == [(150, 250, 0.96, "new")]
    assert ranges({1: 1.5, 5: -0.5}) == [(150, 250, 1.0, "new")]
    assert ranges({}) == []


@given(st.lists(st.tuples(st.floats(-1, 1), st.booleans()), min_size=10, max_size=10))
@settings(max_examples=150)
def test_ranges_do_not_overlap_and_have_the_shares_and_directions_of_their_bands(bands) -> None:
    share = np.array([value for value, _ in bands])
    direction = np.array([1.0 if new else -1.0 for _, new in bands])
    found = contributing_ranges(share, direction, HZ)
    positive = np.maximum(share, 0)
    contributes = positive / max(float(positive.sum()), 1e-300)
    taken = np.zeros(10, int)
    for band in found:
        inside = (band.low_hz < HZ) & (band.high_hz > HZ)
        taken += inside
        assert band.share == pytest.approx(contributes[inside].sum())
        assert band.share >= 0.05
        assert {new for (_, new), within in zip(bands, inside, strict=True) if within} == {band.change == "new"}
    assert taken.max(initial=0) <= 1
    assert [b.share for b in found] == sorted((b.share for b in found), reverse=True)
    if contributes.max() >= 0.05:
        assert found
        assert taken[contributes.argmax()] or len(found) == 4


def test_contributions_add_up_to_the_score_and_are_negative_where_sound_is_missing() -> None:
    share, direction = np.array([0.5, 0.7, -0.2, 0.0]), np.array([1.0, -1.0, -1.0, 1.0])
    np.testing.assert_allclose(signed_contributions(share, direction, np.array(6.0)), [2.5, -3.5, 0, 0])


@pytest.mark.parametrize("score", [np.nan, np.inf, 0.0])
def test_without_a_score_or_a_share_contributions_are_zero(score: float) -> None:
    share, direction = np.array([0.5, 0.5]), np.array([1.0, -1.0])
    assert not signed_contributions(share, direction, np.array(score)).any()
    assert not signed_contributions(share * np.nan, direction, np.array(score)).any()
    assert not signed_contributions(-share, direction, np.array(3.0)).any()
