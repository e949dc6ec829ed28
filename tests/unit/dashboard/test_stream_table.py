"""The table of many streams: the worst is on top, rows do not jump about, and it fits every terminal."""

from __future__ import annotations

import math
from dataclasses import replace

import numpy as np
import pytest
from rich.cells import cell_len

from monitor.core.events import Event, State
from monitor.dashboard.keyboard import DOWN, ENTER, ESCAPE, UP
from monitor.dashboard.layout import Screen, Streams
from monitor.dashboard.render.theme import COLOUR
from monitor.dashboard.render.view import View
from monitor.dashboard.widgets.stream_order import STATES, Ranking
from support.snapshots import NOW, SIZES, START, drawn, press, stream, streams_in_every_state, table_drawn

THREE = (stream("press"), stream("fan"), stream("pump", State.ANOMALY, 2.0))


@pytest.mark.parametrize("count", [2, 9, 40])
@pytest.mark.parametrize(("width", "height"), SIZES)
def test_fills_the_terminal_exactly(count: int, width: int, height: int) -> None:
    odd = stream("プレス機 – Gerät\n" * 4, score=math.nan, level_dbfs=-math.inf, load=math.nan)
    streams = (*streams_in_every_state(count)[:-1], odd)
    for ascii_only in (False, True):
        for overlay in ("", "help", "details"):
            rows = table_drawn(
                streams, width, height, count - 1, ascii=ascii_only, message="saved", paused=True, overlay=overlay
            )
            assert [cell_len(row) for row in rows] == [width] * height
            assert not ascii_only or all(row.isascii() for row in rows)


def test_the_worst_is_on_top_and_the_others_as_in_the_settings() -> None:
    streams = streams_in_every_state(12)
    order = Ranking().order(streams)
    assert [streams[number].state for number in order[:7]] == list(STATES)
    rows = table_drawn(streams, 120, 36)
    places = [next(i for i, row in enumerate(rows) if f"machine {number} " in row) for number in order]
    assert places == sorted(places)


def test_streams_of_one_state_change_places_only_where_one_is_clearly_worse() -> None:
    ranking = Ranking()
    first = (stream("a", share=0.5), stream("b", share=0.5), stream("c", share=0.5))
    assert ranking.order(first) == [0, 1, 2]
    for share in (0.55, 0.6, 0.45):
        assert ranking.order((first[0], stream("b", share=share), first[2])) == [0, 1, 2]
    assert ranking.order((first[0], first[1], stream("c", share=0.9))) == [2, 0, 1]
    assert ranking.order((first[0], first[1], stream("c", share=0.8))) == [2, 0, 1]
    assert ranking.order((first[0], stream("b", State.WARNING), stream("c", share=0.8))) == [1, 2, 0]


@pytest.mark.parametrize("width", [80, 100, 120, 160, 200])
def test_a_row_has_state_level_score_as_share_of_its_limit_and_the_last_event_with_its_age(width: int) -> None:
    rows = table_drawn((stream("press", State.ANOMALY, 3.5, lasting_sum=0.62), stream("fan")), width, 24)
    (row,) = [row for row in rows if "press " in row and "ANOMALY" in row]
    for words in ("ANOMALY", "350 %", "-31 dB", "62 %", "anomaly", "for 42s", "█"):
        assert words in row, words
    assert ("385 / 110" in row) == (width >= 120)


@pytest.mark.parametrize("width", [60, 80, 100, 120, 200])
def test_every_column_has_its_heading_above_its_values(width: int) -> None:
    rows = table_drawn((stream("press", State.ANOMALY, 3.5, lasting_sum=0.62), stream("fan")), width, 24)
    heading = next(i for i, row in enumerate(rows) if row.startswith("  state "))
    head, row = rows[heading : heading + 2]
    for title, value in (("of limit", "350 %"), ("level", "-31 dB"), ("lasting", "62 %")):
        assert head.index(title) + len(title) == row.index(value) + len(value)
    assert head.index("stream") == row.index("press")
    assert "threshold" not in head
    assert "evid" not in head


def test_a_stream_without_sound_or_score_has_words_in_its_row() -> None:
    silent = stream("fan", State.NO_SIGNAL, level_dbfs=-math.inf, score=math.nan)
    (row,) = [row for row in table_drawn((stream("press"), silent)) if "fan" in row and "no sound" in row]
    assert "inf" not in row
    assert "nan" not in row


@pytest.mark.parametrize(
    ("event", "words"),
    [
        (Event("gap", 10.0, 10.4, NOW - 42, "mic"), ("not heard", "42s")),
        (Event("lost", 10.0, None, NOW - 42, "mic"), ("no sound", "42s")),
        (Event("off", 10.0, None, NOW - 7200, "mic"), ("off", "for 2h")),
        (Event("drift", 10.0, 10.0, NOW - 7200, "mic", peak=0.3), ("adapted", "2h ago")),
    ],
)
def test_the_last_event_is_named_in_plain_words(event: Event, words: tuple[str, str]) -> None:
    (row,) = [row for row in table_drawn((stream("press"), stream("fan", events=(event,)))) if " fan " in row]
    assert all(word in row for word in words), row


def test_the_heading_counts_the_streams_in_each_state() -> None:
    text = "\n".join(table_drawn(streams_in_every_state(40), 120, 36))
    for state in STATES:
        assert f" {34 if state is State.NORMAL else 1} {state.value} " in text


def test_the_heading_has_the_time_and_how_busy_the_computer_is_where_there_is_room() -> None:
    assert "computer 4 % busy · running 8:21 · " in "\n".join(table_drawn(THREE, 120, 36))
    narrow = next(row for row in table_drawn(THREE, 60, 24) if "Streams" in row)
    assert "busy" not in narrow
    assert ":" in narrow


def test_streams_that_do_not_fit_are_counted_and_the_chosen_one_is_always_shown() -> None:
    streams = streams_in_every_state(40)
    order = Ranking().order(streams)
    rows = table_drawn(streams)
    assert rows[0].startswith("─ Streams")
    assert any("+ 20 more, all NORMAL" in row for row in rows)
    for number in order:
        rows = table_drawn(streams, chosen=number)
        (row,) = [row for row in rows if row.startswith(">")]
        assert f"machine {number} " in row
    assert any("1 ANOMALY" in row for row in table_drawn(streams, chosen=order[-1])[-3:])


def test_few_streams_leave_room_for_the_worst_state_as_a_large_word_with_the_names_of_its_streams() -> None:
    rows = table_drawn((stream("press"), stream("fan", State.LOST), stream("pump")))
    assert "█" in rows[0] + rows[1]
    assert any("fan" in row for row in rows[:4])
    assert any("all 2 streams" in row for row in table_drawn((stream("press"), stream("fan")))[:4])


def test_the_history_has_its_limit_at_half_its_height_and_shows_values_above_it() -> None:
    history = np.repeat([np.nan, 55.0, 330.0], 200).astype(np.float32)
    shown = Streams((stream("press", score_history=history), stream("fan")), (0, 1))
    lines = Screen(shown, View(now=START)).lines(200, 24, COLOUR)
    (row,) = [line for line in lines if any("press" in part.text for part in line)]
    found = {part.text[0]: part.style for part in row if part.text.strip() and part.text[0] in "·▃█"}
    assert found["█"] == COLOUR.alert
    assert found["▃"] == COLOUR.trace


def test_a_stream_that_failed_says_why_in_its_row_and_on_its_own_screen() -> None:
    failed = stream("press", State.LOST, failure="USB Audio: has no channel 40.", finished=True)
    (row,) = [row for row in table_drawn((failed, stream("fan")), 200, 24) if "press" in row and "LOST" in row]
    assert "USB Audio: has no channel 40." in row
    assert "has no channel 40" in drawn(failed)[-1]


def test_enter_shows_the_chosen_stream_alone_and_escape_the_table_again() -> None:
    assert "Spectrogram" in press(ENTER, *THREE)[0]
    assert "pump" in press(ENTER, *THREE)[0]
    alone = press(DOWN + DOWN + ENTER, *THREE)[0]
    assert "press" in alone
    assert "esc" in alone
    for back in (ESCAPE, "t"):
        assert "last event" in press(ENTER + back, *THREE)[0]


def test_the_limit_keys_act_on_the_chosen_stream() -> None:
    scaled = press("+" + DOWN + DOWN + "-" + UP + UP + UP + "+", *THREE)[1].scaled
    assert [number for _, number in scaled] == [2, 0, 2]
    assert [factor > 1 for factor, _ in scaled] == [True, False, True]


def test_a_message_about_a_limit_names_the_stream() -> None:
    assert "limit of pump up 5 % for this run" in press("+", *THREE)[0]
    assert "limit up 5 % for this run" in press("+", replace(THREE[0], stream=""))[0]
