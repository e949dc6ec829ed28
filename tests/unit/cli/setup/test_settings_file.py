"""The settings file of a setup is one that the program reads, whatever the names are."""

from __future__ import annotations

from pathlib import Path

import pytest

from monitor.cli.setup.settings_file import settings_text
from monitor.config.loader import load_config


@pytest.mark.parametrize("name", ["Pump 3", "yes", "3", "Größe: #3", "'quoted'", "- item", "null"])
def test_names_stay_what_they_are(tmp_path: Path, name: str) -> None:
    file = tmp_path / "config.yaml"
    answers = {"name": name, "device": name, "channel": 1, "webhook": "https://example.org/hook?a=b&c"}
    file.write_text(settings_text(load_config(Path("/dev/null")), answers, tmp_path))
    config = load_config(file)
    [stream] = config.streams
    assert (stream.name, stream.device, stream.channel) == (name, name if name != "null" else "", 1)
    assert stream.bundle == tmp_path / "model.safetensors"
    assert config.notify.channels[0].webhook == answers["webhook"]
    assert config.state.folder == tmp_path / "state"


def test_settings_of_the_microphone_and_the_alarm_are_kept_and_those_of_the_training_are_not(tmp_path: Path) -> None:
    file = tmp_path / "config.yaml"
    trained = load_config(Path("/dev/null"), overrides=("audio.buffer_s=20", "alarm.sensitivity=low", "train.epochs=3"))
    file.write_text(settings_text(trained, {"name": "pump", "device": "USB", "commission": 7}, tmp_path))
    config = load_config(file)
    assert config.commissioning.days == 7
    assert (config.audio.buffer_s, config.alarm.sensitivity) == (20.0, "low")
    assert "train" not in file.read_text()


def test_a_file_with_an_address_is_named_by_the_stream_wherever_the_settings_file_is(tmp_path: Path) -> None:
    file = tmp_path / "config.yaml"
    address = tmp_path / "elsewhere" / "pump.address"
    before = load_config(Path("/dev/null"), overrides=(f"audio.url_file={address}", "audio.buffer_s=20"))
    file.write_text(settings_text(before, {"name": "pump"}, tmp_path))
    config = load_config(file)
    assert (config.streams[0].device, config.streams[0].url_file) == ("", address)
    assert (config.audio.url_file, config.audio.buffer_s) == (None, 20.0)
