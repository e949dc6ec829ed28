"""The table of many streams: the worst is on top, rows do not jump about, and it fits every terminal."""

from __future__ import annotations

import math
import time
from dataclasses import replace

import numpy as np
import pytest
from rich.cells import cell_len

from monitor.core.events import Event, State
from monitor.dashboard.day_totals import DayTotals
from monitor.dashboard.keyboard import BACK, DOWN, ENTER, ESCAPE, UP
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
    assert [streams[number].state for number in order[: len(STATES)]] == list(STATES)
    rows = table_drawn(streams, 120, 36)
    places = [next(i for i, row in enumerate(rows) if f"machine {number} " in row) for number in order]
    assert places == sorted(places)


def test_streams_of_one_state_keep_their_places_whatever_their_scores_do() -> None:
    ranking = Ranking()
    for shares in ((0.5, 0.5, 0.5), (0.1, 0.9, 0.4), (0.9, 0.1, 0.99)):
        streams = tuple(stream(name, share=share) for name, share in zip("abc", shares, strict=True))
        assert ranking.order(streams) == [0, 1, 2]
    assert ranking.order((stream("a"), stream("b", State.WARNING), stream("c", share=0.8))) == [1, 0, 2]


def test_by_share_streams_change_places_only_where_one_is_clearly_nearer_to_its_alarm() -> None:
    ranking = Ranking()

    def order(*shares: float) -> list[int]:
        return ranking.order(
            tuple(stream(name, share=share) for name, share in zip("abc", shares, strict=True)), "share of limit"
        )

    assert order(0.5, 0.5, 0.5) == [0, 1, 2]
    for share in (0.55, 0.6, 0.45):
        assert order(0.5, share, 0.5) == [0, 1, 2]
    assert order(0.5, 0.5, 0.9) == [2, 0, 1]
    assert order(0.5, 0.5, 0.8) == [2, 0, 1]
    assert order(math.nan, 0.5, 0.8) == [2, 1, 0]


def test_o_changes_the_order_and_the_table_says_by_what() -> None:
    """The anomaly is on top by state, the fan by name, and the pump, which is the nearest to its alarm, by share."""
    for keys, what, first in (("", "state", "pump"), ("o", "name", "fan"), ("oo", "share of limit", "pump")):
        rows = press([*keys, "\x0c"], *THREE)[0]
        assert f"sorted by {what}" in rows
        assert min(("press", "fan", "pump"), key=lambda name: rows.rindex(f"{name}  ")) == first


def test_a_filter_shows_only_streams_with_what_is_typed_in_their_names() -> None:
    streams = (stream("press 1"), stream("press 2", State.ANOMALY, 2.0), stream("fan"))
    typed = press([*"/PRESS", "\x0c"], *streams)[0]
    assert "show names with: PRESS_" in typed
    assert "press 1" in typed
    assert "fan" not in typed
    done = press([*"/prex", BACK, *"ss 1", ENTER, "\x0c"], *streams)[0]
    assert '1 of 3 with "press 1"' in done
    assert "1 ANOMALY" in done, "the heading counts all streams"
    assert "fan" in press([*"/press", ESCAPE, "\x0c"], *streams)[0]
    assert "fan" in press([*"/press", ENTER, ESCAPE, "\x0c"], *streams)[0]
    nothing, controls = press([*"/zzz", ENTER, "+", "i", "a", "\x0c"], *streams)
    assert '0 of 3 with "zzz"' in nothing
    assert not controls.scaled


def test_while_a_filter_is_typed_no_key_does_anything_else() -> None:
    _, controls = press("/q+-s", *THREE)
    assert not controls.ended
    assert not controls.scaled


def test_an_acknowledged_anomaly_is_marked_and_not_on_top_until_it_ends() -> None:
    anomaly = stream("pump", State.ANOMALY, 2.0)
    streams = (stream("press"), stream("fan", State.WARNING, 1.1), anomaly)
    seen = frozenset({anomaly.events[0].id})
    assert Ranking().order(streams) == [2, 1, 0]
    assert Ranking().order(streams, acknowledged=seen) == [1, 2, 0]
    rows = drawn(Streams(streams, (1, 2, 0)), acknowledged=seen)
    assert any("ANOMALY ✓" in row and "pump" in row for row in rows)
    assert "ANOMALY" not in "".join(rows[:4])
    again = stream("pump", State.ANOMALY, 2.0)  # another anomaly
    assert Ranking().order((*streams[:2], again), acknowledged=seen) == [2, 1, 0]


def test_the_table_has_the_totals_of_the_day() -> None:
    assert any(
        "today 5 anomalies, 1:15 not heard" in row for row in table_drawn(THREE, today=((2, 15.0), (3, 60.0), (0, 0.0)))
    )


def test_totals_begin_again_at_midnight() -> None:
    totals, noon = DayTotals(), time.mktime((2025, 5, 6, 12, 0, 0, 0, 0, -1))
    first, later = stream("press", anomalies=3, lost_s=8.0), stream("press", anomalies=4, lost_s=10.0)
    assert totals.update((first,), noon) == ((3, 8.0),)
    assert totals.update((later,), noon + 3600) == ((4, 10.0),)
    assert totals.update((later,), noon + 86400) == ((0, 0.0),)
    assert totals.update((replace(later, anomalies=6, lost_s=11.0),), noon + 90000) == ((2, 1.0),)


def test_a_name_is_shown_in_full_before_any_other_column_is() -> None:
    for length in range(1, 33):
        long = "n" * length
        for width in (60, 80, 100, 120):
            rows = table_drawn((stream(long, State.ANOMALY, 3.5), stream("fan")), width, 24)
            assert any(f" {long} " in row for row in rows), (length, width)


def test_an_output_that_does_not_work_is_said_once_above_the_keys() -> None:
    wrong = "events.jsonl: cannot be written: No space left on device (3 lines missing)"
    rows = table_drawn((stream("press", outputs=(wrong,)), stream("fan", outputs=(wrong,))))
    assert wrong in rows[-2]
    assert sum(wrong in row for row in rows) == 1


@pytest.mark.parametrize("width", [80, 100, 120, 160, 200])
def test_a_row_has_state_level_score_as_share_of_its_limit_and_the_last_event_with_its_age(width: int) -> None:
    rows = table_drawn((stream("press", State.ANOMALY, 3.5, lasting_sum=0.62), stream("fan")), width, 24)
    (row,) = [row for row in rows if "press " in row and "ANOMALY" in row]
    for words in ("ANOMALY", "350 %", "-31 dB", "62 %", "anomaly", "for 42s", "█"):
        assert words in row, words
    assert ("385 / 110" in row) == (width >= 160)


@pytest.mark.parametrize("width", [60, 80, 100, 120, 200])
def test_every_column_has_its_heading_above_its_values(width: int) -> None:
    rows = table_drawn((stream("press", State.ANOMALY, 3.5, lasting_sum=0.62), stream("fan")), width, 24)
    heading = next(i for i, row in enumerate(rows) if row.startswith("  state "))
    head, row = rows[heading : heading + 2]
    for title, value in (("of limit", "350 %"), ("level", "-31 dB"), ("lasting", "62 %")):
        if title == "lasting" and width == 60:  # no room for it
            continue
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
        (Event("new mode", 10.0, None, NOW - 7200, "mic"), ("new mode", "for 2h")),
        (Event("drift", 10.0, 10.0, NOW - 7200, "mic", peak=0.3), ("adapted", "2h ago")),
    ],
)
def test_the_last_event_is_named_in_plain_words(event: Event, words: tuple[str, str]) -> None:
    (row,) = [row for row in table_drawn((stream("press"), stream("fan", events=(event,)))) if " fan " in row]
    assert all(word in row for word in words), row


def test_the_heading_counts_the_streams_in_each_state() -> None:
    text = "\n".join(table_drawn(streams_in_every_state(40), 120, 36))
    for state in STATES:
        assert f" {40 - len(STATES) + 1 if state is State.NORMAL else 1} {state.value} " in text


def test_the_heading_has_the_time_and_how_busy_the_computer_is() -> None:
    for width in (60, 80, 120):
        text = "\n".join(table_drawn(THREE, width, 36))
        assert "computer 4 % busy" in text
        assert ("running 8:21" in text) == (width > 80)
        assert ":" in next(row for row in table_drawn(THREE, width, 24) if "Streams" in row)


def test_streams_that_do_not_fit_are_counted_and_the_chosen_one_is_always_shown() -> None:
    streams = streams_in_every_state(40)
    order = Ranking().order(streams)
    rows = table_drawn(streams)
    assert rows[0].startswith("─ Streams")
    assert any("+ 21 more, all NORMAL" in row for row in rows)
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
    history = np.repeat([np.nan, 0.5, 3.0], 200).astype(np.float32)
    shown = Streams((stream("press", share_history=history), stream("fan")), (0, 1))
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
    assert [name for _, name in scaled] == ["pump", "press", "pump"]
    assert [factor > 1 for factor, _ in scaled] == [True, False, True]


def test_a_message_about_a_limit_names_the_stream() -> None:
    assert "limit of pump up 5 %" in press("+", *THREE)[0]
    assert "limit up 5 %" in press("+", replace(THREE[0], stream=""))[0]
