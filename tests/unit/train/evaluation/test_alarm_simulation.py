"""The alarm simulation of `evaluate --stream`: false alarms, missed faults, and delays."""

from __future__ import annotations

import numpy as np
import pytest

from monitor.bundle.bundle import Bundle
from monitor.core.errors import DataError
from monitor.detection.alarm import Alarm
from monitor.detection.cusum import Limits
from monitor.scoring.scorer import rolling_length
from support.model_settings import with_settings
from train.calibration.observations import offline_batch, portions_of
from train.evaluation.alarm_simulation import BEFORE_S, STREAMS, simulate_alarms


def test_faults_far_from_normal_are_all_reported_within_three_seconds(bundle: Bundle, frames) -> None:
    found = simulate_alarms(
        bundle, frames("test_normal"), frames("test_anomaly"), "cpu", hours=0.02, fault_s=20, faults=30
    )["faults"]
    assert found["faults"] + found["alarm_stood_already"] == 30
    assert found["missed"] == 0
    assert found["p95_delay_s"] <= 3


def test_a_stream_of_one_recording_has_the_alarms_of_that_recording(bundle: Bundle, frames) -> None:
    """The simulation has the same scores and decisions as the alarm on the recording itself."""
    [recording, *_] = frames("test_anomaly")
    bundle = with_settings(bundle, "alarm.threshold=1.2", "alarm.release_s=0", "alarm.hold_s=0", "alarm.cool_down_s=0")
    window = rolling_length(bundle.config.score, bundle.config.features)
    alarm = Alarm(bundle.config.alarm, Limits.of(bundle, bundle.config.alarm), 0.01, window)
    with offline_batch(bundle, "cpu") as batch:
        scores = np.concatenate([portion.score for portion in portions_of(batch, recording)])
    begun = [anomaly for anomaly in alarm.push(scores) if anomaly.end is None]
    hours = STREAMS * len(scores) * 0.01 / 3600
    found = simulate_alarms(bundle, [recording], [], "cpu", hours=hours, fault_s=1, faults=1)
    assert begun
    assert found["false_alarms"] == STREAMS * len(begun)
    assert found["hours"] == pytest.approx(hours)
    assert "faults" not in found


def test_an_alarm_that_stood_before_the_fault_does_not_count_as_its_report(bundle: Bundle, frames) -> None:
    bundle = with_settings(bundle, "alarm.threshold=0.000001")
    found = simulate_alarms(
        bundle, frames("test_normal"), frames("test_anomaly"), "cpu", hours=0.05, fault_s=5, faults=7
    )
    assert found["false_alarms"] >= STREAMS
    faults = found["faults"]
    assert faults["alarm_stood_already"] == 7
    assert (faults["reported"], faults["missed"], faults["reported_share"]) == (0, 0, None)


def test_with_a_threshold_out_of_reach_all_faults_are_missed_and_there_is_no_false_alarm(
    bundle: Bundle, frames
) -> None:
    bundle = with_settings(bundle, "alarm.threshold=1e9")
    found = simulate_alarms(
        bundle, frames("test_normal"), frames("test_anomaly"), "cpu", hours=0.05, fault_s=5, faults=7
    )
    assert (found["false_alarms"], found["faults"]["missed"], found["faults"]["median_delay_s"]) == (0, 7, None)
    assert found["false_alarms_per_day_upper"] == pytest.approx(-np.log(0.05) / (found["hours"] / 24), rel=1e-6)


def test_the_same_seed_gives_the_same_figures_and_delays_count_from_the_fault(bundle: Bundle, frames) -> None:
    first, again = (
        simulate_alarms(
            bundle, frames("test_normal"), frames("test_anomaly"), "cpu", hours=0.01, fault_s=9, faults=5, seed=1
        )
        for _ in range(2)
    )
    assert first == again
    assert 0 < first["faults"]["median_delay_s"] < 9 < BEFORE_S


def test_without_normal_recordings_there_is_no_stream(bundle: Bundle, frames) -> None:
    with pytest.raises(DataError, match="normal"):
        simulate_alarms(bundle, [], frames("test_anomaly"), "cpu", hours=1, fault_s=1, faults=1)
