"""`monitor check` reports mistakes in settings, prints the settings in force, and writes new settings files."""

from __future__ import annotations

from pathlib import Path

import pytest

from monitor.cli.main import run as command
from monitor.config.loader import load_config
from monitor.config.schema import Config
from monitor.config.template import template
from monitor.core.errors import EXIT_FAILURE, EXIT_OK, EXIT_USAGE
from support.settings import written


def test_check_prints_every_setting_and_marks_those_that_were_changed(capsys: pytest.CaptureFixture[str]) -> None:
    written("features:\n  n_mels: 128\n", "site.yaml")
    assert command(["check", "site.yaml"]) == EXIT_OK
    printed = capsys.readouterr().out
    assert "n_mels: 128    # *" in printed
    assert printed.count("# *") == 1
    for group, values in Config():
        assert f"{group}:" in printed
        assert all(f"  {key}: " in printed for key, _ in values)


def test_what_check_prints_is_a_settings_file(capsys: pytest.CaptureFixture[str]) -> None:
    command(["check", "--preset", "toyadmos"])
    first = capsys.readouterr().out
    file = written(first, "again.yaml")
    assert load_config(file) == load_config(preset="toyadmos")
    assert command(["check", "again.yaml"]) == EXIT_OK
    assert capsys.readouterr().out.partition("\n")[2] == first.partition("\n")[2]


@pytest.mark.parametrize(
    ("setting", "words"),
    [
        ("alarm.sensitivity=normal", "normal: about 1 false alarm a day, with a model calibrated for 1."),
        ("alarm.sensitivity=low", "low: about 0.1 false alarms a day"),
        ("alarm.sensitivity=high", "high: about 10 false alarms a day"),
        ("alarm.threshold=3.5", "no effect: alarm.threshold sets the limit to 3.5."),
    ],
)
def test_check_says_what_the_sensitivity_means_in_false_alarms(
    setting: str, words: str, capsys: pytest.CaptureFixture[str]
) -> None:
    assert command(["check", "--set", setting]) == EXIT_OK
    assert words in capsys.readouterr().out


def test_the_settings_file_in_the_current_folder_counts(capsys: pytest.CaptureFixture[str]) -> None:
    written("train:\n  epochs: 7\n", "config.yaml")
    command(["check"])
    assert "epochs: 7    # *" in capsys.readouterr().out


def test_a_mistake_in_the_settings_names_its_place_and_ends_with_2(capsys: pytest.CaptureFixture[str]) -> None:
    written("train:\n  epochs: many\n", "config.yaml")
    assert command(["check"]) == EXIT_USAGE
    assert "config.yaml:2:3: train.epochs" in capsys.readouterr().err


def test_a_fresh_settings_file_holds_every_setting_and_is_right(capsys: pytest.CaptureFixture[str]) -> None:
    assert command(["check", "--write", "new/site.yaml"]) == EXIT_OK
    assert Path("new/site.yaml").read_text(encoding="utf-8") == template()
    assert "new/site.yaml" in capsys.readouterr().out
    assert command(["check", "new/site.yaml"]) == EXIT_OK
    assert "# *" not in capsys.readouterr().out


def test_a_fresh_settings_file_is_never_written_over_one_that_is_there(capsys: pytest.CaptureFixture[str]) -> None:
    file = written("train:\n  epochs: 7\n", "config.yaml")
    assert command(["check", "--write", "config.yaml"]) == EXIT_USAGE
    assert file.read_text() == "train:\n  epochs: 7\n"
    assert "config.yaml" in capsys.readouterr().err
    assert list(Path().iterdir()) == [file]


def test_a_fresh_settings_file_that_cannot_be_written_is_one_sentence(capsys: pytest.CaptureFixture[str]) -> None:
    written("a file", "file")
    assert command(["check", "--write", "file/config.yaml"]) == EXIT_FAILURE
    error = capsys.readouterr().err
    assert "file/config.yaml" in error
    assert len(error.splitlines()) == 1


def test_more_bands_than_the_spectrum_can_fill_are_refused_with_the_number_that_works(
    capsys: pytest.CaptureFixture[str],
) -> None:
    assert command(["check", "--set", "features.n_mels=500", "--set", "features.fmax=8000"]) == EXIT_USAGE
    printed = capsys.readouterr()
    assert "154 of these bands" in printed.err
    assert "the highest n_mels that works is 192" in printed.err
    assert len(printed.err.splitlines()) == 1
    assert printed.out == ""
