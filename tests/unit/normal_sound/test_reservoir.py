"""However many pieces come in whatever order, all hours, days and modes stay represented, and the bound holds."""

from __future__ import annotations

import datetime
import itertools
from collections import Counter

import pytest
from hypothesis import given
from hypothesis import strategies as st

from monitor.normal_sound.reservoir import Stratum, stratum_of, superfluous
from support.pieces import unwritten

DAY_S = 86_400.0
ARRIVALS = st.lists(st.tuples(st.floats(0, 1e9), st.sampled_from("abcdef")), min_size=1, max_size=60)


def thinned(arrivals: list[tuple[float, str]], most: int) -> list[tuple[float, str]]:
    """What is kept of pieces (time, stratum) that arrive one after another."""
    kept: list[tuple[float, str]] = []
    for one in arrivals:
        kept.append(one)
        if len(kept) > most:
            del kept[superfluous([time for time, _ in kept], [stratum for _, stratum in kept])]
    return kept


@given(ARRIVALS, st.integers(1, 20))
def test_no_stratum_is_emptied_while_another_has_more_than_one(arrivals: list[tuple[float, str]], most: int) -> None:
    kept = thinned(arrivals, most)
    assert len(kept) == min(most, len(arrivals))
    came, stayed = (Counter(stratum for _, stratum in pieces) for pieces in (arrivals, kept))
    assert len(stayed) == min(most, len(came))
    # A stratum that lost pieces has at most one less than any other.
    for stratum, count in stayed.items():
        if count < came[stratum]:
            assert count >= max(stayed.values()) - 1


@given(ARRIVALS)
def test_the_piece_that_goes_is_of_the_fullest_stratum(arrivals: list[tuple[float, str]]) -> None:
    times, strata = zip(*arrivals, strict=True)
    counts = Counter(strata)
    assert counts[strata[superfluous(times, strata)]] == max(counts.values())


def test_a_rare_mode_outlasts_a_flood_of_the_common_one() -> None:
    rare = [(5.0, "rare"), (9.0, "rare")]
    kept = thinned([*rare, *((float(time), "common") for time in range(100, 1100))], 12)
    assert [one for one in kept if one[1] == "rare"] == rare


def test_within_a_stratum_the_dates_stay_spread() -> None:
    kept = thinned([(day * DAY_S, "a") for day in range(64)], 9)
    times = sorted(time for time, _ in kept)
    distances = [(after - before) / DAY_S for before, after in itertools.pairwise(times)]
    assert times[0] <= 8 * DAY_S
    assert times[-1] >= 55 * DAY_S
    assert max(distances) <= 4 * min(distances)


def test_of_a_burst_of_pieces_in_a_minute_only_few_stay() -> None:
    burst = [(30 * DAY_S + 2 * number, "a") for number in range(20)]
    kept = thinned([*((day * DAY_S, "a") for day in range(30)), *burst], 20)
    assert sum(time >= 30 * DAY_S for time, _ in kept) <= 2


@pytest.mark.parametrize(
    ("local", "expected"),
    [
        ("2026-11-27T23:59:59", Stratum(23, weekend=False, mode=None)),  # a Friday
        ("2026-11-28T00:00:00", Stratum(0, weekend=True, mode=None)),
        ("2026-11-30T00:00:00", Stratum(0, weekend=False, mode=None)),
    ],
)
def test_hours_and_weekends_are_those_of_local_time(local: str, expected: Stratum) -> None:
    began = datetime.datetime.fromisoformat(local).timestamp()
    assert stratum_of(unwritten(began)) == expected
    assert stratum_of(unwritten(began, mode=1)) != expected
