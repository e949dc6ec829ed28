"""Where sound comes from: what is wrong with it is told with line and column, and nothing secret is shown."""

from __future__ import annotations

from pathlib import Path

import pytest

from monitor.config.loader import SettingsSource
from monitor.config.template import as_yaml
from monitor.core.errors import ConfigError

SECRET = "rtsp://admin:password@camera/1"


def settings(tmp_path: Path, text: str, **options: object) -> SettingsSource:
    file = tmp_path / "config.yaml"
    file.write_text(text)
    return SettingsSource.read(file, **options)  # type: ignore[arg-type]


@pytest.mark.parametrize(
    ("text", "place", "reason"),
    [
        ("audio:\n  device: rtsp://u:password/@camera/1\n", "2:3: audio.device", "host or the port"),
        ("audio:\n  device: rtmp://u:password@camera/1\n", "2:3: audio.device", "begins with one of rtsp://"),
        ("audio:\n  device: 'udp://0.0.0.0:5004?rate=16000'\n", "2:3: audio.device", "format of the samples"),
        ("audio:\n  device: USB\n  url_file: a\n", "3:3: audio.url_file", "instead of device"),
        ("streams:\n- name: a\n  bundle: m\n  device: http://u:password@h:0/\n", "4:3: streams[0].device", "port"),
        ("streams:\n- name: a\n  bundle: m\n  file: x.wav\n  url_file: a\n", "5:3: streams[0].url_file", "instead of"),
    ],
)
def test_a_wrong_address_is_told_with_line_and_column_and_without_its_password(
    tmp_path: Path, text: str, place: str, reason: str
) -> None:
    with pytest.raises(ConfigError) as caught:
        settings(tmp_path, text)
    [message] = caught.value.messages
    assert message.startswith(f"{tmp_path}/config.yaml:{place}: ")
    assert reason in message
    assert "password" not in message.replace("user:password@", "").replace("in a password", "")


def test_an_address_of_the_command_line_is_told_without_its_password() -> None:
    with pytest.raises(ConfigError, match=r"^--device http://h:0/: audio.device: ") as caught:
        SettingsSource.from_options((), device="http://u:word@h:0/").config  # noqa: B018
    assert "u:word" not in str(caught.value)


def test_settings_in_force_and_their_texts_show_no_password(tmp_path: Path) -> None:
    source = settings(
        tmp_path, f"audio:\n  device: {SECRET}\nstreams:\n- name: a\n  bundle: m\n  device: {SECRET}?token=x\n"
    )
    shown = as_yaml(source.config)
    assert 'device: "rtsp://camera/1"' in shown
    assert 'device: "rtsp://camera/1?token=***"' in shown
    for text in (shown, repr(source.config), str(source.config), repr(source.config.streams[0])):
        assert "password" not in text.replace("_password", "").replace("password_file", "")


def test_the_file_of_a_stream_is_beside_its_settings_file(tmp_path: Path) -> None:
    source = settings(tmp_path, "streams:\n- name: a\n  bundle: m\n  url_file: camera.address\n")
    assert source.config.streams[0].url_file == tmp_path / "camera.address"


def test_a_device_of_the_command_line_replaces_the_file_of_the_settings(tmp_path: Path) -> None:
    source = settings(tmp_path, "audio:\n  url_file: camera.address\n", device="USB")
    assert (source.config.audio.device, source.config.audio.url_file) == ("USB", None)


def test_variables_are_not_looked_up_before_the_address_is_used(tmp_path: Path) -> None:
    """So that settings can be checked where they are not set."""
    audio = settings(tmp_path, "audio:\n  device: rtsp://$NO_SUCH:$VARIABLE@camera/1\n").config.audio
    assert audio.device == "rtsp://$NO_SUCH:$VARIABLE@camera/1"
