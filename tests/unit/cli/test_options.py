"""Values of options are checked, and options set the settings they stand for."""

from __future__ import annotations

import math
import re
from pathlib import Path
from typing import get_args

import click
import pytest
from hypothesis import given
from hypothesis import strategies as st

from monitor.cli.commands.events import KINDS
from monitor.cli.main import run as command
from monitor.cli.options import FILE, ChannelChoice, Number, Speed, settings_in_force, view_overrides
from monitor.config.loader import load_config
from monitor.config.plant import EventKind
from monitor.core.errors import EXIT_OK, EXIT_USAGE
from support.builders import RATE, noise, write_sound


@pytest.mark.parametrize(("text", "speed"), [("1", 1.0), ("0.5", 0.5), ("1e3", 1000.0), ("max", math.inf)])
def test_a_speed_is_a_number_or_max(text: str, speed: float) -> None:
    assert Speed().convert(text, None, None) == speed


@pytest.mark.parametrize("text", ["0", "-1", "nan", "fast", ""])
def test_an_impossible_speed_is_refused(text: str) -> None:
    with pytest.raises(click.BadParameter, match="not a speed"):
        Speed().convert(text, None, None)


@given(text=st.text(max_size=4) | st.integers(-2, 200).map(str))
def test_a_channel_is_what_the_settings_take_for_one(text: str) -> None:
    try:
        channel = ChannelChoice().convert(text, None, None)
    except click.BadParameter:
        return
    assert load_config(overrides=[f"features.channel={channel}"]).features.channel == channel


@pytest.mark.parametrize("text", ["mix", "0", "127"])
def test_channels_are_numbers_counted_from_0_or_mix(text: str) -> None:
    assert str(ChannelChoice().convert(text, None, None)) == text


@pytest.mark.parametrize("text", ["128", "-1", "left", "", "1.0"])
def test_a_channel_that_cannot_be_is_refused(text: str) -> None:
    with pytest.raises(click.BadParameter, match="not a channel"):
        ChannelChoice().convert(text, None, None)


def test_a_path_is_taken_as_it_is_and_nothing_is_none() -> None:
    assert FILE.convert("a b/c.wav", None, None) == Path("a b/c.wav")
    for text in ("", "a\0b"):
        with pytest.raises(click.BadParameter, match="empty"):
            FILE.convert(text, None, None)


def test_options_of_the_view_stand_for_settings() -> None:
    config = load_config(overrides=view_overrides(True, True))
    assert (config.dashboard.ascii, config.dashboard.colour) == (True, False)
    assert view_overrides(False, False) == ()


@pytest.mark.parametrize(
    "name", ["USB Audio", "[USB] Mic", "null", "~", "none", "3", "{a: b}", "a: b", " x ", '"quoted"']
)
def test_the_name_of_a_microphone_is_text_whatever_it_looks_like(name: str) -> None:
    assert settings_in_force(None, (), device=name).audio.device == name


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (["replay", "x.wav"], "x.wav: is a recording. The model comes first: monitor replay MODEL x.wav"),
        (["replay", "x.FLAC", "y.wav"], "x.FLAC: is a recording"),
        (["replay", "x.wav", "pump.safetensors"], "monitor replay pump.safetensors x.wav"),
        (["replay", "pump.safetensors", "x.wav", "fan.safetensors"], "fan.safetensors: is a model"),
        (["live", "x.opus"], "monitor replay MODEL x.opus"),
    ],
)
def test_a_recording_in_the_place_of_the_model_and_the_reverse_are_told_what_comes_first(
    arguments: list[str], words: str, capsys: pytest.CaptureFixture[str]
) -> None:
    assert command(arguments) == EXIT_USAGE
    assert words in capsys.readouterr().err


def test_a_sensitivity_is_a_setting_and_has_to_be_one_of_three(
    model: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    sound = write_sound(tmp_path / "a.wav", noise(3 * RATE))
    limits = {}
    for sensitivity in ("low", "normal", "high"):
        assert (
            command(["replay", str(model), str(sound), "--headless", "--speed", "max", "--sensitivity", sensitivity])
            == EXIT_OK
        )
        said = capsys.readouterr().out
        found = re.search(r"limit ([\d.]+) \(", said)
        assert found is not None
        limits[sensitivity] = float(found[1])
        assert (f"sensitivity {sensitivity}, about" in said) == (sensitivity != "normal")
    assert limits["high"] < limits["normal"] < limits["low"]
    assert command(["replay", str(model), str(sound), "--sensitivity", "medium"]) == EXIT_USAGE


def test_a_sensitivity_beside_a_limit_by_hand_is_refused_because_it_would_change_nothing(
    model: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    sound = write_sound(tmp_path / "a.wav", noise(RATE))
    arguments = ["replay", str(model), str(sound), "--sensitivity", "low", "--set", "alarm.threshold=3"]
    assert command(arguments) == EXIT_USAGE
    assert "--sensitivity low has no effect, because alarm.threshold sets the limit to 3" in capsys.readouterr().err


def test_events_can_be_chosen_by_every_kind_that_there_is() -> None:
    assert get_args(EventKind) == KINDS


@pytest.mark.parametrize("text", ["nan", "-nan", "0", "-1", "one"])
def test_what_is_no_number_in_the_range_of_an_option_is_refused(text: str) -> None:
    with pytest.raises(click.BadParameter):
        Number(0, min_open=True).convert(text, None, None)


@pytest.mark.parametrize("option", [
    ["trend", "--days"], ["report", "--out", "x.html", "--max-mb"], ["live", "MODEL", "--duration"],
    ["record", "x", "--minutes"], ["calibrate", "MODEL", "--minutes"], ["evaluate", "MODEL", "x", "--hours"],
])  # fmt: skip
def test_no_option_takes_nan_for_a_number(option: list[str], capsys: pytest.CaptureFixture[str]) -> None:
    assert command([*option, "nan"]) == EXIT_USAGE
    assert "'nan' is not a number." in capsys.readouterr().err


@pytest.mark.parametrize("option", ["--events", "--scores"])
def test_no_output_is_written_into_the_store(
    model: Path, tmp_path: Path, option: str, capsys: pytest.CaptureFixture[str]
) -> None:
    sound = write_sound(tmp_path / "a.wav", noise(RATE))
    store = tmp_path / "monitor.sqlite"
    store.write_bytes(b"the store")
    options = ["--state", str(tmp_path), option, str(store)]
    assert command(["replay", str(model), str(sound), "--headless", "--speed", "max", *options]) == EXIT_USAGE
    assert "is an input file and would be overwritten" in capsys.readouterr().err
    assert store.read_bytes() == b"the store"
