"""An alarm says which scores it has decided on, so that its decisions can be repeated later."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from monitor.config import schema
from monitor.core.types import DoubleArray
from monitor.detection.alarm import Alarm
from monitor.detection.cusum import Limits

HOP_S = 0.1


def decided(parts: list[DoubleArray], *, lasting: bool = True, **settings: float) -> list[tuple[int, int]]:
    """The rows that were decided on, and the numbers of the decisions."""
    limits = Limits(2.0, 5.0 if lasting else np.inf, np.linspace(0.5, 1.5, 50))
    quick = {"block_s": 0.4, "warm_up_s": 1.0, "run_up_s": 1.3, "hold_s": 0.5, "release_s": 0.3, **settings}
    alarm = Alarm(schema.Alarm.model_validate(quick), limits, HOP_S, 3)
    found, row = [], 0
    for part in parts:
        alarm.push(part)
        found += [(row + index, number) for index, number in alarm.decided]
        row += len(part)
    return found


def test_decisions_are_numbered_from_the_first_score_also_those_that_were_too_early() -> None:
    assert decided([np.ones(23)]) == [(12, 3), (16, 4), (20, 5)]


def test_after_scores_that_are_missing_the_numbers_begin_again() -> None:
    score = np.ones(60)
    score[21:30] = np.nan
    assert decided([score]) == [(12, 3), (16, 4), (20, 5), (46, 4), (50, 5), (54, 6), (58, 7)]


def test_an_anomaly_does_not_change_the_numbers() -> None:
    score = np.ones(200)
    score[40:80] = 9.0
    numbers = [number for _, number in decided([score])]
    assert numbers == list(range(3, 50))


@pytest.mark.parametrize("lasting", [True, False])
@given(seed=st.integers(0, 1000), cuts=st.lists(st.integers(1, 299), max_size=20), block_s=st.sampled_from([0.0, 0.4]))
def test_any_cutting_of_the_scores_gives_the_same_decisions(
    lasting: bool, seed: int, cuts: list[int], block_s: float
) -> None:
    random = np.random.default_rng(seed)
    score = random.lognormal(0.0, 0.6, 300)
    score[slice(*sorted(random.integers(0, 300, 2)))] *= 4
    score[slice(*sorted(random.integers(100, 130, 2)))] = np.nan
    whole = decided([score], lasting=lasting, block_s=block_s)
    assert decided(np.split(score, sorted(set(cuts))), lasting=lasting, block_s=block_s) == whole
