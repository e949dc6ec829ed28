"""Pictures of the screen as SVG files."""

from __future__ import annotations

import re
from pathlib import Path
from xml.etree import ElementTree

import pytest

from monitor.core.events import State
from monitor.dashboard.layout import Streams, save_svg
from monitor.dashboard.render.view import View
from support.snapshots import snapshot, streams_in_every_state


def text_of(path: Path) -> str:
    """All words in an SVG file."""
    root = ElementTree.fromstring(path.read_text(encoding="utf-8"))
    return " ".join(element.text or "" for element in root.iter("{http://www.w3.org/2000/svg}text"))


@pytest.mark.parametrize("colour", [True, False])
def test_a_picture_is_an_svg_with_the_readings_in_it(tmp_path: Path, colour: bool) -> None:
    path = tmp_path / "screen.svg"
    save_svg(snapshot(State.ANOMALY, source="<mic> & co"), View(colour=colour), path, width=80, height=24)
    text = text_of(path)
    assert "Spectrogram" in text
    assert "<mic> & co" in text
    assert not re.search("[\u2800-\u28ff▀▄█]", text), "they are shapes, whatever the font has"


def test_a_picture_of_the_table_is_an_svg_with_the_streams_in_it(tmp_path: Path) -> None:
    path = tmp_path / "table.svg"
    save_svg(Streams(streams_in_every_state(9), tuple(range(9)), 1), View(), path, width=80, height=24)
    assert "machine 3" in text_of(path)
