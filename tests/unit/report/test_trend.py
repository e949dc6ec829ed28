"""What is said of two weeks: how they differ, and whether the share of the limit drifts."""

from __future__ import annotations

from dataclasses import replace

import numpy as np

from monitor.report.trend import comparison, drift, two_weeks
from monitor.store.records import MinuteValues
from support.stored import DAY_S, NOW, minute_values, stored_event


def weeks(before: float, after: float) -> MinuteValues:
    """Two weeks with one share of the limit in each."""
    values = minute_values(14, 600)
    share = np.where(values.time < NOW - 7 * DAY_S, before, after)
    return replace(values, share_mean=np.where(np.isfinite(values.share_mean), share, np.nan))


def test_a_rising_share_of_the_limit_is_said_with_both_medians() -> None:
    text = drift(*two_weeks(weeks(0.40, 0.52), (), NOW))
    assert text.startswith("The share of the limit has risen by 12 percentage points")
    assert "median 52 % in the last 7 days, 40 % in the 7 days before" in text
    assert "has fallen by 12" in drift(*two_weeks(weeks(0.52, 0.40), (), NOW))


def test_a_small_difference_is_no_drift() -> None:
    assert "is steady" in drift(*two_weeks(weeks(0.40, 0.42), (), NOW))


def test_a_few_outliers_are_no_drift() -> None:
    values = weeks(0.40, 0.40)
    values.share_mean[-40:] = 3.0
    assert "is steady" in drift(*two_weeks(values, (), NOW))


def test_nothing_is_concluded_from_too_little_sound() -> None:
    assert "no drift can be told" in drift(*two_weeks(minute_values(5, 600), (), NOW))
    assert "no drift can be told" in drift(*two_weeks(minute_values(0.01, 600), (), NOW))


def test_the_two_weeks_are_compared_by_what_happened() -> None:
    events = [stored_event(1), stored_event(2), stored_event(24 * 8), stored_event(3, kind="lost")]
    text = comparison(*two_weeks(minute_values(14, 600), events, NOW))
    last, before = text.split(" The 7 days before: ")
    assert last.startswith("Last 7 days: 2 anomalies")
    assert before.startswith("1 anomaly")
    assert "heard" in before
    assert "nothing stored" in comparison(*two_weeks(minute_values(5, 600), (), NOW))
