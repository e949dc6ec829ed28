"""What is said about a score: the frequencies that carry it, and where the threshold comes from."""

from __future__ import annotations

import dataclasses
import datetime

import numpy as np
import pytest
import torch
from builders import small_bundle
from hypothesis import given, settings
from hypothesis import strategies as st

from monitor.scoring.attribution import explain, threshold_note
from monitor.config.loader import load_config

HZ = np.arange(100, 1100, 100).astype(np.float32)  # ten bands


def explained(shares: dict[int, float], missing: tuple[int, ...] = ()) -> list[tuple[float, float, float, str]]:
    share, more = torch.zeros(10).double(), torch.ones(10).double()
    for band, value in shares.items():
        share[band] = value
    more[list(missing)] = -1
    return [(b.low_hz, b.high_hz, pytest.approx(b.share), b.change) for b in explain(share, more, HZ)]


def test_neighbouring_bands_of_one_sign_are_one_range_to_half_way_to_the_next() -> None:
    assert explained({3: 0.5, 4: 0.5}) == [(350, 550, 1.0, "new")]
    assert explained({3: 0.5, 5: 0.5}) == [(350, 450, 0.5, "new"), (550, 650, 0.5, "new")]
    assert explained({3: 0.6, 4: 0.4}, missing=(4,)) == [(350, 450, 0.6, "new"), (450, 550, 0.4, "missing")]
    assert explained({0: 0.4, 9: 0.6}) == [(950, 1050, 0.6, "new"), (50, 150, 0.4, "new")]


def test_the_largest_range_comes_first_and_four_at_most() -> None:
    found = explained({0: 0.1, 2: 0.3, 4: 0.15, 6: 0.25, 8: 0.2})
    assert [share for *_, share, _ in found] == [0.3, 0.25, 0.2, 0.15]


def test_what_carries_little_or_less_than_nothing_is_not_named() -> None:
    """Negative shares carry nothing; the others are shares of what is carried."""
    assert explained({1: 0.96, 5: 0.04}) == [(150, 250, 0.96, "new")]
    assert explained({1: 1.5, 5: -0.5}) == [(150, 250, 1.0, "new")]
    assert explained({}) == []


@given(st.lists(st.tuples(st.floats(-1, 1), st.booleans()), min_size=10, max_size=10))
@settings(max_examples=150, deadline=None)
def test_ranges_do_not_overlap_and_have_the_shares_and_signs_of_their_bands(bands) -> None:
    share = torch.tensor([value for value, _ in bands]).double()
    more = torch.tensor([1.0 if new else -1.0 for _, new in bands])
    found = explain(share, more, HZ)
    carried = share.clamp_min(0).numpy() / max(float(share.clamp_min(0).sum()), 1e-300)
    taken = np.zeros(10, int)
    for band in found:
        inside = (band.low_hz < HZ) & (band.high_hz > HZ)
        taken += inside
        assert band.share == pytest.approx(carried[inside].sum())
        assert band.share >= 0.05
        assert {new for (_, new), within in zip(bands, inside, strict=True) if within} == {band.change == "new"}
    assert taken.max(initial=0) <= 1
    assert [b.share for b in found] == sorted((b.share for b in found), reverse=True)
    if carried.max() >= 0.05:
        assert found
        assert taken[carried.argmax()] or len(found) == 4


def test_the_note_of_a_threshold_says_where_it_comes_from_and_how_old_it_is() -> None:
    bundle, config = small_bundle(), load_config()
    for day, age in ((6, "today"), (7, "1 day ago"), (16, "10 days ago"), (1, "today")):
        note = threshold_note(bundle, config, datetime.date(2024, 5, day))
        assert note == f"1 false alarm a day, {age}"
    bundle.thresholds["score"] = dataclasses.replace(bundle.thresholds["score"], date="")
    assert threshold_note(bundle, config) == "1 false alarm a day"
    assert threshold_note(bundle, load_config(overrides=["alarm.threshold=3"])) == "set by hand"
