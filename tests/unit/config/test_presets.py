"""Presets: `toyadmos` is the article's recipe, to the letter."""

from __future__ import annotations

import pytest

from monitor.cli.options import PRESETS as OFFERED
from monitor.config.loader import load_config
from monitor.config.presets import PRESETS
from monitor.config.schema import Config
from monitor.core.errors import ConfigError


def test_the_toyadmos_preset_is_the_article() -> None:
    config = load_config(preset="toyadmos")
    features, score, train = config.features, config.score, config.train
    assert (features.sample_rate, features.n_fft, features.hop_length, features.n_mels) == (16000, 512, 160, 64)
    assert (features.scale, features.standardize, features.window_frames) == ("power", False, 20)
    assert (config.model.hidden, config.model.bottleneck, config.model.dropout) == ((512, 256), 128, 0.2)
    assert (score.kind, score.window_s, score.recording, score.cut_frames) == ("error", 0.0, "max", 50)
    assert (train.epochs, train.batch_size, train.learning_rate, train.weight_decay) == (200, 100, 1e-4, 1e-4)
    assert (train.schedule, train.input_noise) == ("hold-then-linear", 0.0)
    assert (train.precision, config.listening.precision) == ("float32", "float32")
    alarm = config.alarm
    assert (alarm.block_s, alarm.k, alarm.n, alarm.lasting) == (0.0, 1, 1, False)
    assert (alarm.warm_up_s, alarm.hold_s, alarm.cool_down_s, alarm.off_below_dbfs) == (0.0, 0.0, 0.0, "never")
    assert (config.calibration.method, config.calibration.fpr) == ("labelled", 0.1)


def test_the_default_preset_changes_nothing() -> None:
    assert load_config(preset="default") == Config()


def test_an_unknown_preset_is_reported_with_those_there_are() -> None:
    with pytest.raises(ConfigError, match="'toy': choose one of default, toyadmos"):
        load_config(preset="toy")


def test_the_command_line_offers_every_preset_there_is() -> None:
    assert set(OFFERED) == set(PRESETS)
