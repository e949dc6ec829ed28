"""Values of options are checked, and options set the settings they stand for."""

from __future__ import annotations

import math
from pathlib import Path

import click
import pytest
from hypothesis import given
from hypothesis import strategies as st

from monitor.cli.options import FILE, ChannelChoice, Speed, device_override, view_overrides
from monitor.config.loader import load_config


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


def test_options_of_the_view_and_the_device_stand_for_settings() -> None:
    config = load_config(overrides=(*view_overrides(True, True), *device_override("USB Audio")))
    assert (config.dashboard.ascii, config.dashboard.colour, config.audio.device) == (True, False, "USB Audio")
    assert view_overrides(False, False) == device_override(None) == ()
