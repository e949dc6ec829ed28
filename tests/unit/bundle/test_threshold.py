"""Thresholds have a note with their origin and age, and invalid ones are refused."""

from __future__ import annotations

import datetime
import math

import pytest
from pydantic import ValidationError

from monitor.bundle.threshold import Threshold
from support.builders import small_bundle


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
