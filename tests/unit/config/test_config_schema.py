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
    assert (features.hop_s, features.window_size, features.f_top) == (0.005, 160, 3500.0)
    assert (Features().f_top, Features(fmax=5000).f_top, Features(fmax=None).f_top) == (7000.0, 5000.0, 8000.0)


@pytest.mark.parametrize("setting", NUMBERS)
def test_a_number_beyond_all_reason_is_refused_in_every_setting(setting: str) -> None:
    """Where 0 is allowed, the smallest numbers that there are may be allowed as well."""
    group, key = setting.split(".")
    model = type(Config.model_fields[group].default)

    def refused(number: float) -> bool:
        try:
            model.model_validate({key: number})
        except ValidationError as error:
            return any(one["loc"][:1] == (key,) for one in error.errors())
        return False

    for value in (1e300, -1e300, 5e-324, -5e-324, 10**30):
        assert refused(value) or (abs(value) < 1 and not refused(0)), value


@pytest.mark.parametrize("path", ["a\0b", "~nosuch/x", "a/" * 3000, "b" * 300, " ", "\ud83d"])
def test_a_path_that_cannot_be_is_refused_where_it_is_written(path: str) -> None:
    for settings in ({"train": {"cache_dir": path}}, {"streams": [{"name": "a", "bundle": path}]},
                     {"streams": [{"name": "a", "bundle": "b", "file": ["x.wav", path]}]}):  # fmt: skip
        with pytest.raises(ValidationError):
            Config.model_validate(settings)


@pytest.mark.parametrize(
    "features",
    [
        {"n_fft": 65536, "hop_length": 1},
        {"n_mels": 512, "window_frames": 512},
        {"n_fft": 16, "hop_length": 1, "sample_rate": 384_000, "n_mels": 16, "window_frames": 512},
    ],
)
def test_features_that_no_computer_could_score_are_refused(features: dict[str, int]) -> None:
    with pytest.raises(ValidationError, match=r"hop_length"):
        Features(**features)  # type: ignore[arg-type]
