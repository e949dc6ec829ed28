"""The score that hardly any normal recording exceeds is known only from enough of them, and never too low."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from train.calibration.highest_normal import MIN_RECORDINGS, RARE, highest_normal, independent_recordings
from train.calibration.highest_scores import Place

POSITIVE = st.lists(st.floats(1e-3, 1e3), min_size=MIN_RECORDINGS, max_size=120)


@given(POSITIVE)
def test_it_is_never_below_a_normal_recording_and_is_the_highest_where_there_are_enough(scores: list[float]) -> None:
    found = highest_normal(np.array(scores), len(scores))
    assert found is not None
    assert found >= 0.999 * max(scores)
    if len(scores) >= RARE:
        assert found == pytest.approx(max(scores))


@given(POSITIVE, st.floats(1e-3, 1e3))
def test_it_scales_with_the_scores(scores: list[float], factor: float) -> None:
    found, scaled = (highest_normal(times * np.array(scores), len(scores)) for times in (1.0, factor))
    assert found is not None
    assert scaled == pytest.approx(factor * found, rel=1e-6)


def test_of_fewer_recordings_more_is_added_and_of_too_few_it_is_not_known() -> None:
    scores = np.exp(np.random.default_rng(0).standard_normal(60))
    found = [highest_normal(scores, independent) for independent in (60, 40, 30, MIN_RECORDINGS)]
    assert found == sorted(found, key=lambda one: one or 0.0)
    assert len(set(found)) == 4
    assert highest_normal(scores, MIN_RECORDINGS - 1) is None
    assert highest_normal(scores[: MIN_RECORDINGS - 1], 60) is None


@pytest.mark.parametrize("spread", [0.2, 0.8])
@pytest.mark.parametrize("count", [20, 30, 75, 200])
def test_about_one_normal_recording_in_fifty_is_above_it_at_most(count: int, spread: float) -> None:
    generator = np.random.default_rng(count)
    above = 0.0
    for _ in range(300):
        highest = highest_normal(np.exp(spread * generator.standard_normal(count)), count)
        above += float((np.exp(spread * generator.standard_normal(200)) > highest).mean()) / 300
    assert above <= 1.2 / RARE


@pytest.mark.parametrize("scores", [[1.0] * 30, [0.0] * 30])
def test_equal_scores_are_no_error(scores: list[float]) -> None:
    assert highest_normal(np.array(scores), 30) == pytest.approx(scores[0], abs=1e-9)


def test_pieces_of_one_recording_count_once_a_minute() -> None:
    """Sound of the same minute is alike: many short pieces of it do not tell what the next recording will be like."""
    names = [f"on_20200318t20{minute:02d}00_{piece}.flac" for minute in range(8) for piece in range(6)]
    places = [Place(Path("/data", name)) for name in names]
    assert independent_recordings(places, np.full(48, 5.0)) == 8
    assert independent_recordings(places, np.full(48, 20.0)) == 16
    long = [Place(Path("/data/long.wav"), at_s) for at_s in range(0, 3600, 10)]
    assert independent_recordings(long, np.full(360, 10.0)) == 60
    separate = [Place(Path(f"/data/data{number:03d}.wav")) for number in range(30)]
    assert independent_recordings(separate, np.full(30, 600.0)) == 30
    assert independent_recordings([], np.empty(0)) == 0
