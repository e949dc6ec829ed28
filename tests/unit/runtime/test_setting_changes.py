"""Which changes of settings are applied while streams are monitored, which need a restart, and how they are called."""

from __future__ import annotations

import os
from pathlib import Path

import pytest
from hypothesis import given

from monitor.config.loader import load_config
from monitor.config.schema import Alarm, Config
from monitor.runtime.setting_changes import FIXED, OUTPUTS, changed_alarm, changed_outputs, needing_restart, with_fixed
from support.settings import configs

NOT_USED_LIVE = {"features", "model", "score", "calibration", "web"}  # they belong to the model, or to the page
PER_STREAM = {"alarm"}


def config(*overrides: str) -> Config:
    return load_config(Path(os.devnull), overrides=overrides)


def test_every_group_of_settings_is_known_to_be_changeable_or_not() -> None:
    """A new group must not be forgotten: then a change of it would be neither applied nor reported."""
    groups = set(Config.model_fields) - {"streams"}
    assert groups == set(FIXED) | set(OUTPUTS) | NOT_USED_LIVE | PER_STREAM


@pytest.mark.parametrize(
    ("setting", "restart", "outputs"),
    [
        ("audio.latency_s=0.5", ["audio.latency_s"], []),
        ("audio.device=USB", [], []),
        ("train.device=cpu", ["train.device"], []),
        ("train.epochs=3", [], []),
        ("state.host=hall", ["state.host"], []),
        ("store.url=postgresql://db/monitor", ["store.url"], []),
        ("drift.enabled=true", ["drift.enabled"], []),
        ("mqtt.broker=localhost", [], ["mqtt.broker"]),
        ("clips.before_s=5", [], ["clips.before_s"]),
        ("metrics.port=9000", [], ["metrics.port"]),
    ],
)
def test_a_setting_is_applied_or_needs_a_restart(setting: str, restart: list[str], outputs: list[str]) -> None:
    before, after = config(), config(setting)
    assert needing_restart(before, after) == restart
    assert changed_outputs(before, after) == outputs


@given(configs(), configs())
def test_what_needs_a_restart_stays_as_it_was(before: Config, after: Config) -> None:
    mixed = with_fixed(before, after)
    assert needing_restart(before, mixed) == []
    assert changed_outputs(after, mixed) == []
    assert mixed.alarm == after.alarm


@pytest.mark.parametrize(
    ("before", "after", "text"),
    [
        ({}, {}, ""),
        ({}, {"threshold": 4.0}, "alarm.threshold 4 (was null)"),
        ({"threshold": 3.5, "k": 1}, {"lasting": False}, "alarm.threshold null (was 3.5), alarm.k 2 (was 1), "
         "alarm.lasting false (was true)"),
    ],
)  # fmt: skip
def test_changed_settings_of_an_alarm_are_told_with_both_values(
    before: dict[str, object], after: dict[str, object], text: str
) -> None:
    assert changed_alarm(Alarm.model_validate(before), Alarm.model_validate(after)) == text
