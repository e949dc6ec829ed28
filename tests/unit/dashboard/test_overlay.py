"""Help and details: what a key shows over the panels, and another key closes."""

from __future__ import annotations

import pytest

from monitor.core.events import State
from monitor.dashboard.widgets import status, stream_table
from support.snapshots import KINDS, drawn, press, snapshot, stream, streams_in_every_state, table_drawn

PANELS = ("Share of limit", "Score", "Reconstruction error", "Spectrogram", "What is unusual", "Events", "Lasting")


def words(rows: list[str]) -> str:
    """The text without its line breaks."""
    return " ".join(" ".join(rows).split())


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize(("width", "height"), [(80, 24), (100, 30), (120, 36), (160, 48)])
def test_help_explains_every_panel_and_every_key_on_one_page(kind: str, width: int, height: int) -> None:
    text = words(drawn(snapshot(kind=kind), width, height, overlay="help"))
    for panel in PANELS:
        assert (panel in text) == (panel != "Score" or kind != "error")
    for explained in ("q quits", "space pauses", "+ and - move the limit", "s saves a picture", "i shows details"):
        assert explained in text
    assert "larger window" not in text


def test_help_explains_every_panel_that_a_screen_has() -> None:
    titles = {
        row.split("─ ")[1].split("  ")[0].rstrip("─ ")
        for row in drawn(snapshot(), 60, 40, ascii=False)
        if row.startswith("─ ")
    }
    text = words(drawn(snapshot(), overlay="help"))
    for title in titles:
        assert title.split(" 0")[0].split(" 5")[0] in text


def test_help_for_the_table_explains_its_columns_and_keys() -> None:
    text = words(table_drawn(streams_in_every_state(30), overlay="help"))
    for column in ("of limit", "level", "lasting", "last minute", "last event", "today"):
        assert column in text
    for explained in (
        "arrows choose",
        "Enter shows it alone",
        "Escape goes back",
        "q quits",
        "/ shows only names",
        "o changes the order",
    ):
        assert explained in text


def test_details_say_in_which_precision_the_network_is_computed() -> None:
    shown = snapshot(precision="int8", limits_precision="float32")
    assert "computed in int8 (limits: float32)" in words(drawn(shown, 120, 36, overlay="details"))


def test_the_state_stays_visible_under_help_and_details() -> None:
    for overlay in ("help", "details"):
        for width, height in ((80, 24), (40, 10), (160, 48)):
            shown = snapshot(State.ANOMALY)
            top = drawn(shown, width, height)[: 4 if width == 80 else 1]
            assert drawn(shown, width, height, overlay=overlay)[: len(top)] == top
        streams = streams_in_every_state(30)
        assert table_drawn(streams, overlay=overlay)[0] == table_drawn(streams)[0]


def test_a_small_terminal_shows_the_beginning_and_says_that_there_is_more() -> None:
    rows = drawn(snapshot(), 40, 10, overlay="help")
    assert "q quits" in rows[2]
    assert "more in a larger window" in rows[-2]
    assert rows[-1].startswith("any key closes this")


@pytest.mark.parametrize("key", ["q", " ", "+", "s", "?", "i", "x", "\x1b", "\n"])
def test_any_key_closes_an_overlay_and_does_nothing_else(key: str, tmp_path: object) -> None:
    for opened in "?i":
        shown, _ = press(opened, snapshot())
        assert "any key" in shown
        shown, controls = press(opened + key, snapshot())
        assert "Spectrogram" in shown
        assert "any key" not in shown
        assert not controls.ended
        assert not controls.scaled


def test_a_key_after_the_one_that_closes_help_works_as_usual() -> None:
    assert press("?xq", snapshot())[1].ended
    assert len(press("?x+", snapshot())[1].scaled) == 1


def test_details_have_the_full_length_of_what_a_panel_has_to_shorten() -> None:
    source, note = "microphone: " + "a very long name of a device " * 2, "1 false alarm a day, " + "estimated " * 9
    text = words(drawn(snapshot(source=source, threshold_note=note), overlay="details"))
    assert " ".join(source.split()) in text
    assert " ".join(note.split()) in text


def test_details_in_the_table_are_of_the_stream_that_keys_act_on() -> None:
    streams = (stream("press"), stream("fan"), stream("pump", State.ANOMALY, 2.0))
    assert "pump" in words(table_drawn(streams, overlay="details")[2:])
    assert "fan" in words(table_drawn(streams, chosen=1, overlay="details")[2:])


def test_every_key_in_the_last_row_is_explained() -> None:
    for keys, text in (
        (status.KEYS, words(drawn(snapshot(), overlay="help"))),
        (stream_table.KEYS, words(table_drawn(streams_in_every_state(3), overlay="help"))),
    ):
        explained = {"up down": "arrows", "enter": "Enter", "+ -": "+ and -", "?": "Help"}
        for key, _ in keys:
            assert f"{explained.get(key, key)} " in text, key
