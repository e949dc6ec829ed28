"""The list `streams` of a settings file: its mistakes are reported at their place, and it stands in a file only."""

from __future__ import annotations

import pytest

from monitor.config.loader import load_config
from monitor.core.errors import ConfigError
from support.settings import mistakes


@pytest.mark.parametrize(
    ("streams", "place", "words"),
    [
        ("  - name: a\n    bundle: m\n    bundel: m\n", "4:5", ["unknown setting streams[0].bundel", "bundle"]),
        ("  - name: a\n", "2:5", ["streams[0].bundle is missing"]),
        ("  - name: a\n    bundle: m\n  - name: a\n    bundle: m\n", "4:5", ["streams[1].name", "streams[0]"]),
        ("  - name: a/b\n    bundle: m\n", "2:5", ["streams[0].name", "slash"]),
        ("  - name: ''\n    bundle: m\n", "2:5", ["streams[0].name"]),
        ("  - name: a\n    bundle: m\n    channel: left\n", "4:5", ["streams[0].channel", "mix"]),
        ("  - name: a\n    bundle: m\n    device: x\n    file: y.wav\n", "2:5", ["streams[0]", "not both"]),
        ("  - name: a\n    bundle: m\n    alarm:\n      k: many\n", "5:7", ["streams[0].alarm.k", "integer"]),
        ("  - name: a\n    bundle: m\n    alarm:\n      kk: 1\n", "5:7", ["streams[0].alarm.kk", "cool_down_s"]),
        ("  - name: a\n    bundle: m\n    alarm: {k: 7}\n", "4:5", ["streams[0].alarm", "k is 7", "n is only 3"]),
        ("  - name: a\n    bundle: m\n    alarm: loud\n", "4:5", ["streams[0].alarm", "group"]),
        ("  a: m\n", "1:1", ["streams has to be a list"]),
        ("  - a\n", "2:5", ["streams[0]", "group"]),
    ],
)
def test_a_mistake_in_a_stream_is_reported_with_file_line_and_column(
    streams: str, place: str, words: list[str]
) -> None:
    found = mistakes(f"streams:\n{streams}")
    for line in found.splitlines():
        assert line.startswith(f"settings.yaml:{place}: ")
    for word in words:
        assert word in found


def test_streams_cannot_be_set_on_the_command_line() -> None:
    with pytest.raises(ConfigError, match="settings file"):
        load_config(overrides=["streams.name=x"])
