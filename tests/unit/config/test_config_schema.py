"""Settings: their defaults make sense, they cannot be changed once made, and no number is infinite."""

from __future__ import annotations

import re

import pytest
from pydantic import ValidationError

from monitor.config.loader import changed, load_config
from monitor.config.schema import GROUPS, Config, Features
from monitor.core.errors import ConfigError
from support.settings import SETTINGS, mistakes, schema_of

NUMBERS = [
    f"{group}.{key}"
    for group, key in SETTINGS
    if any(one.get("type") == "number" for one in schema_of(group, key).get("anyOf", [schema_of(group, key)]))
]


@pytest.mark.parametrize("setting", NUMBERS)
def test_a_number_that_is_not_finite_is_refused_in_every_setting(setting: str) -> None:
    assert {"features.fmax", "score.shrinkage", "train.memory_gb"} < set(NUMBERS)
    group, key = setting.split(".")
    for value in ("nan", ".nan", "inf", "-inf", ".inf", "1e999"):
        assert mistakes(f"{group}:\n  {key}: {value}\n").startswith("settings.yaml:2:3: ")
        with pytest.raises(ConfigError, match=re.escape(f"--set {setting}={value}: ")):
            load_config(overrides=[f"{setting}={value}"])


def test_settings_cannot_be_changed_once_made() -> None:
    for group, key in ((Config(), "train"), (Config().features, "n_fft")):
        with pytest.raises(ValidationError):
            setattr(group, key, None)


def test_what_is_changed_is_what_differs_from_the_defaults() -> None:
    assert changed(Config()) == {}
    config = load_config(overrides=["train.epochs=3", "features.n_mels=64", "features.fmax=4000"])
    assert changed(config) == {"train": {"epochs": 3}, "features": {"fmax": 4000.0}}


@pytest.mark.parametrize("group", GROUPS)
def test_every_group_and_every_setting_says_what_it_is(group: str) -> None:
    model = type(Config.model_fields[group].default)
    assert (model.__doc__ or "").strip().endswith(".")
    for key, field in model.model_fields.items():
        assert len(field.description or "") > 10, key


def test_sizes_that_follow_from_the_settings_are_computed_from_them() -> None:
    features = Features(sample_rate=8000, hop_length=40, n_fft=256, window_frames=10, n_mels=16)
    assert (features.hop_s, features.window_size, features.f_top) == (0.005, 160, 4000.0)
    assert Features(fmax=5000).f_top == 5000.0
