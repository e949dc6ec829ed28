"""Thresholds have a note with their origin and age, and invalid ones are refused."""

from __future__ import annotations

import datetime
import math
from dataclasses import replace

import numpy as np
import pytest
from pydantic import ValidationError

from monitor.bundle.threshold import ShorterLimit, Threshold
from support.builders import small_bundle, small_config


def test_the_note_of_a_threshold_has_its_origin_and_age() -> None:
    threshold = small_bundle().thresholds["score"]
    for day, age in ((6, "today"), (7, "1 day ago"), (16, "10 days ago"), (1, "today")):
        assert threshold.age_note(datetime.date(2024, 5, day)) == f"1 false alarm a day, {age}"
    for date in ("", "yesterday"):
        assert threshold.model_copy(update={"date": date}).age_note() == "1 false alarm a day"


@pytest.mark.parametrize(
    "wrong",
    [{"value": -1.0}, {"value": math.nan}, {"value": math.inf}, {"value": "1"}, {"method": "guessed"},
     {"recordings": -1}, {"recordings": 1.5}, {"note": "x" * 1001}, {"loudness": 1.0}],
)  # fmt: skip
def test_an_invalid_threshold_is_refused(wrong: dict[str, object]) -> None:
    right = small_bundle().thresholds["score"].model_dump()
    assert Threshold.model_validate(right).model_dump() == right
    with pytest.raises(ValidationError):
        Threshold.model_validate(right | wrong)


# Recordings of other lengths


def for_recordings(**fields: object) -> Threshold:
    """The threshold of 30 recordings of 10 s, of which shorter ones are known to have higher scores."""
    shorter = [ShorterLimit(seconds=2.0, factor=8.0), ShorterLimit(seconds=4.0, factor=2.0)]
    known = {"value": 1.5, "recordings": 30, "seconds": 300.0, "length_s": 10.0, "shorter": shorter}
    return small_bundle().thresholds["recording"].model_copy(update=known | fields)


def test_a_shorter_recording_has_a_higher_limit_and_a_very_short_one_has_none() -> None:
    """Because less of the sound averages out."""
    threshold = for_recordings()
    for seconds, factor in ((2, 8), (2.83, 4), (4, 2), (9.9, 1), (10, 1), (3600, 1)):
        assert threshold.length_factor(seconds) == pytest.approx(factor, rel=2e-3)
    assert math.isnan(threshold.length_factor(1.9))
    factors = [threshold.length_factor(seconds) for seconds in np.linspace(2, 11, 50)]
    assert factors == sorted(factors, reverse=True)


def test_what_no_normal_recording_exceeds_is_higher_for_shorter_ones_too_as_far_as_it_is_known() -> None:
    shorter = [
        ShorterLimit(seconds=2.0, factor=8.0),
        ShorterLimit(seconds=3.0, factor=4.0, highest=3.0),
        ShorterLimit(seconds=5.0, factor=2.0, highest=1.5),
    ]
    threshold = for_recordings(shorter=shorter, highest=4.0)
    for seconds, highest in ((3, 12), (5, 6), (9.9, 4), (3600, 4)):
        assert threshold.highest_at(seconds) == pytest.approx(highest, rel=2e-3)
    assert 6 < threshold.highest_at(4) < 12
    assert math.isnan(threshold.highest_at(2.5))
    assert math.isnan(for_recordings(shorter=shorter).highest_at(10)), "of an older version"
    assert math.isnan(for_recordings(length_s=None, highest=4.0).highest_at(10))


def test_if_only_one_length_is_known_shorter_recordings_are_not_judged() -> None:
    threshold = for_recordings(shorter=[])
    assert threshold.length_factor(9.9) == 1
    assert math.isnan(threshold.length_factor(9.0))


def test_the_limit_of_an_older_model_is_for_recordings_that_are_not_much_shorter_than_its_own() -> None:
    for length in (6.0, 10.0, 3600.0):  # of long recordings the limit is that of pieces of ten seconds
        threshold = for_recordings(length_s=None, shorter=[], seconds=30 * length)
        assert threshold.length_factor(min(length, 10.0)) == 1
        assert math.isnan(threshold.length_factor(0.7 * min(length, 10.0)))


def test_a_models_limit_counts_the_frames_that_its_score_counts() -> None:
    bundle = small_bundle(small_config("score.cut_frames=100"))
    cut = replace(bundle, thresholds=bundle.thresholds | {"recording": for_recordings()})
    assert cut.recording_limit(6.0) == pytest.approx(1.5 * 2)
    assert math.isnan(cut.recording_limit(3.9))
    highest = small_bundle(small_config("score.recording=max"))
    found = replace(highest, thresholds=highest.thresholds | {"recording": for_recordings()}).recording_limit(0.5)
    assert found == 1.5, "the highest score of a recording hardly depends on its length"
