"""Sensitivities: limits for other rates of false alarms, and what a changed limit means."""

from __future__ import annotations

import math
from dataclasses import replace

import pytest

from monitor.bundle.bundle import Bundle
from monitor.detection.cusum import Limits
from monitor.detection.sensitivity import false_alarms, false_alarms_per_day, limit_note
from support.builders import small_bundle, small_config


def calibrated() -> Bundle:
    """A bundle that knows its limits for ten times, and for a tenth of, one false alarm a day."""
    bundle = small_bundle()
    found = {"score": (8.0, 10.0, 14.0), "cusum": (9.0, 12.0, 15.0), "error": (1.0, 1.25, 1.5)}
    return replace(
        bundle,
        thresholds=bundle.thresholds
        | {
            name: bundle.thresholds[name].model_copy(update={"tenfold": low, "value": value, "tenth": high})
            for name, (low, value, high) in found.items()
        },
    )


BUNDLE = calibrated()


def limits(*settings: str, bundle: Bundle = BUNDLE) -> Limits:
    """The limits of a bundle with these settings."""
    return Limits.of(bundle, small_config(*settings).alarm)


@pytest.mark.parametrize(("sensitivity", "score", "cusum", "per_day"), [
    ("low", 14.0, 15.0, 0.1), ("normal", 10.0, 12.0, 1.0), ("high", 8.0, 9.0, 10.0),
])  # fmt: skip
def test_a_sensitivity_sets_both_limits_by_the_calibration(
    sensitivity: str, score: float, cusum: float, per_day: float
) -> None:
    found = limits(f"alarm.sensitivity={sensitivity}")
    assert (found.threshold, found.cusum) == (score, cusum)
    assert false_alarms_per_day(BUNDLE, found) == pytest.approx(per_day)


def test_a_model_of_an_older_version_has_fixed_factors_and_promises_no_rate() -> None:
    old = small_bundle()
    low, normal, high = (limits(f"alarm.sensitivity={one}", bundle=old) for one in ("low", "normal", "high"))
    assert (low.threshold / normal.threshold, high.threshold / normal.threshold) == (1.25, 0.8)
    assert (low.cusum / normal.cusum, high.cusum / normal.cusum) == (1.25, 0.8)
    assert false_alarms(old, low) == ""
    assert "no rate of false alarms known" in limit_note(old, small_config("alarm.sensitivity=low").alarm, low)


def test_a_limit_by_hand_goes_before_the_sensitivity() -> None:
    assert limits("alarm.threshold=11", "alarm.sensitivity=low").threshold == 11
    note = limit_note(BUNDLE, small_config("alarm.threshold=11").alarm, limits("alarm.threshold=11"))
    assert note.startswith("set by hand, about 0.")


def test_the_more_a_limit_is_raised_the_fewer_false_alarms_are_promised() -> None:
    normal = limits()
    rates = [
        false_alarms_per_day(BUNDLE, Limits(normal.threshold * factor, normal.cusum * factor, normal.normal_scores))
        for factor in (0.5, 0.8, 0.95, 1.0, 1.05, 1.2, 2.0)
    ]
    assert rates == sorted(rates, reverse=True)
    assert rates[3] == pytest.approx(1.0)


def test_a_changed_limit_says_what_it_means_and_no_more_than_the_calibration_knows() -> None:
    settings, normal = small_config().alarm, limits()

    def note(factor: float) -> str:
        changed = Limits(normal.threshold * factor, normal.cusum * factor, normal.normal_scores)
        return limit_note(BUNDLE, settings, changed)

    assert note(1.0).startswith("1 false alarm a day")
    assert note(1.05).startswith("changed by key, about 0.")
    assert note(3.0) == "changed by key, fewer than 0.1 false alarms a day"
    assert note(0.3) == "changed by key, more than 10 false alarms a day"


def test_without_lasting_anomalies_only_their_half_of_the_budget_is_spent() -> None:
    assert false_alarms_per_day(BUNDLE, limits("alarm.lasting=false")) == pytest.approx(0.5)
    assert limits("alarm.lasting=false").cusum == math.inf
