"""What is in force where a settings file, a preset, the command line and a model all have something to say."""

from __future__ import annotations

import os
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from monitor.config.loader import MODEL_GROUPS, SettingsSource, load_config
from monitor.config.schema import GROUPS, Alarm, Config, Dashboard, Features, Score, Train
from monitor.core.errors import ConfigError
from support.settings import SHIPPED, written


def for_model(trained: Config, text: str = "", *, alarm: dict[str, object] | None = None, **options) -> Config:
    """The settings in force with a model that was trained so, and this settings file."""
    return SettingsSource.read(written(text), **options).for_model(trained, "pump.safetensors", alarm)


# Without a model


def test_without_a_word_all_is_the_default() -> None:
    assert load_config() == Config()


def test_the_command_line_wins_over_the_preset_over_the_file_over_the_default() -> None:
    file = written("train:\n  epochs: 7\n  batch_size: 7\n  seed: 7\n")
    config = load_config(file, preset="toyadmos", overrides=["train.epochs=3"])
    assert (config.train.epochs, config.train.batch_size, config.train.seed) == (3, 100, 7)
    assert config.train.held_out == Config().train.held_out
    assert load_config(file).train.epochs == 7
    assert load_config(file, preset="toyadmos").train.epochs == 200
    assert load_config(file, overrides=["train.epochs=3", "train.epochs=4"]).train.epochs == 4


def test_config_yaml_in_the_current_folder_is_taken_where_none_is_named() -> None:
    written("train:\n  epochs: 5\n", "config.yaml")
    assert load_config().train.epochs == 5
    assert load_config(written("train:\n  seed: 1\n")).train.epochs == Config().train.epochs
    Path("config.yaml").unlink()
    assert load_config() == Config()


def test_lists_and_values_with_an_equals_sign_can_be_set_on_the_command_line() -> None:
    config = load_config(overrides=["model.hidden=[64, 32]", "train.cache_dir=/tmp/a=b", " features.n_fft = 1024 "])
    assert config.model.hidden == (64, 32)
    assert config.train.cache_dir == Path("/tmp/a=b")
    assert config.features.n_fft == 1024


def test_paths_of_streams_count_from_the_folder_of_the_settings_file() -> None:
    file = written("streams:\n  - {name: a, bundle: m.safetensors, file: [x.wav, /y.wav]}\n", "hall/hall.yaml")
    [stream] = load_config(file).streams
    assert (stream.bundle, stream.file) == (Path("hall/m.safetensors"), (Path("hall/x.wav"), Path("/y.wav")))


# With a trained model


def test_a_value_that_the_file_states_counts_even_where_it_equals_the_default() -> None:
    trained = Config(alarm=Alarm(k=1))
    assert Config().alarm.k == 2
    assert for_model(trained, "alarm:\n  k: 2\n").alarm.k == 2
    assert for_model(trained).alarm.k == 1


def test_where_nothing_is_stated_the_models_settings_are_in_force() -> None:
    trained = Config(features=Features(n_mels=32, scale="power"), score=Score(kind="error"), alarm=Alarm(hold_s=9))
    config = for_model(trained, "train:\n  epochs: 9\n")
    for group in MODEL_GROUPS:
        assert getattr(config, group) == getattr(trained, group)
    assert config.train.epochs == 9


def test_the_shipped_file_leaves_every_model_as_it_is() -> None:
    trained = Config(features=Features(n_mels=32), alarm=Alarm(k=1), score=Score(window_s=5))
    assert SettingsSource.read(SHIPPED).for_model(trained, "pump.safetensors") == trained


def test_how_a_model_was_trained_and_shown_is_no_business_of_who_listens_with_it() -> None:
    trained = Config(train=Train(epochs=9, device="cuda"), dashboard=Dashboard(fps=3))
    config = for_model(trained)
    for group in set(GROUPS) - set(MODEL_GROUPS):
        assert getattr(config, group) == getattr(Config(), group)


@pytest.mark.parametrize("setting", ["features.n_mels=128", "model.bottleneck=64", "score.kind=error"])
def test_settings_that_contradict_the_model_are_refused_with_both_values(setting: str) -> None:
    name, value = setting.split("=")
    group, key = name.split(".")
    stored = str(getattr(getattr(Config(), group), key))
    for text, overrides in ((f"{group}:\n  {key}: {value}\n", []), ("", [setting])):
        with pytest.raises(ConfigError) as caught:
            for_model(Config(), text, overrides=overrides)
        for word in (name, value, stored, "pump.safetensors"):
            assert word in str(caught.value)


def test_a_default_that_is_stated_contradicts_a_model_that_was_trained_otherwise() -> None:
    trained = Config(features=Features(n_mels=32))
    with pytest.raises(ConfigError, match=r"features.n_mels is 64 .* trained with 32"):
        for_model(trained, "features:\n  n_mels: 64\n")
    assert for_model(trained, "features:\n  n_mels: 32\n").features == trained.features


def test_the_articles_recipe_contradicts_a_model_of_the_default_one() -> None:
    with pytest.raises(ConfigError, match=r"features\.fmax is null .* trained with auto"):
        for_model(Config(), preset="toyadmos")


def test_settings_that_agree_with_the_model_pass_whatever_the_others_are() -> None:
    config = for_model(Config(), overrides=["alarm.release_s=9", "train.epochs=1", "features.n_mels=64"])
    assert (config.alarm.release_s, config.train.epochs) == (9, 1)


def test_a_stated_setting_that_makes_no_sense_with_the_models_is_reported_with_its_place() -> None:
    with pytest.raises(ConfigError, match=r"settings\.yaml:1:1: .*k is 5, but n is only 4"):
        for_model(Config(alarm=Alarm(k=5, n=5)), "alarm:\n  n: 4\n")


def test_a_streams_own_alarm_goes_before_that_of_all_and_the_rest_is_common() -> None:
    trained = Config(alarm=Alarm(k=1, n=1, hold_s=1))
    text, own = "alarm:\n  hold_s: 2\n  remind_s: 2\n", {"hold_s": "3"}
    alarm = for_model(trained, text, alarm=own).alarm
    assert (alarm.k, alarm.remind_s, alarm.hold_s) == (1, 2, 3)
    assert for_model(trained, text, alarm=own, overrides=["alarm.hold_s=4"]).alarm.hold_s == 4


def test_the_settings_of_one_stream_list_no_streams() -> None:
    assert for_model(Config(), "streams:\n  - {name: a, bundle: m}\n").streams == ()


@given(layers=st.lists(st.none() | st.floats(0, 86400), min_size=4, max_size=4), article=st.booleans())
def test_of_all_who_state_a_setting_the_one_nearest_to_the_user_counts(
    layers: list[float | None], article: bool
) -> None:
    """The model, the file, the stream, the preset, the command line, in this order; a default from nobody."""
    model, file, stream, command_line = layers
    trained = Config() if model is None else Config(alarm=Alarm(hold_s=model))
    if article:  # which says 0, and how such a model is trained
        trained = load_config(Path("/dev/null"), preset="toyadmos").model_copy(update={"alarm": trained.alarm})
    found = for_model(
        trained,
        "" if file is None else f"alarm:\n  hold_s: {file}\n",
        alarm=None if stream is None else {"hold_s": str(stream)},
        preset="toyadmos" if article else "default",
        overrides=[] if command_line is None else [f"alarm.hold_s={command_line}"],
    )
    stated = [value for value in (model, file, stream, 0.0 if article else None, command_line) if value is not None]
    assert found.alarm.hold_s == [Config().alarm.hold_s, *stated][-1]


def test_files_and_command_lines_that_use_the_older_name_of_a_setting_count_and_a_line_says_so(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    file = tmp_path / "old.yaml"
    file.write_text("alarm: {evidence: false}\nstreams: [{name: a, bundle: m, alarm: {evidence: true}}]\n")
    config = load_config(file)
    assert config.alarm.lasting is False
    assert Alarm.model_validate(config.streams[0].alarm).lasting is True
    assert "alarm.evidence is now called alarm.lasting" in caplog.text
    assert load_config(Path(os.devnull), overrides=("alarm.evidence=false",)).alarm.lasting is False


def test_a_mistake_under_an_older_name_is_shown_at_its_place(tmp_path: Path) -> None:
    file = tmp_path / "old.yaml"
    file.write_text("alarm:\n  evidence: perhaps\n")
    with pytest.raises(ConfigError, match=r"old\.yaml:2:\d+: alarm\.lasting"):
        load_config(file)
