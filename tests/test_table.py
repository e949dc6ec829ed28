"""Promises of the table of many streams: the worst is on top, nothing jumps about, and it fits every terminal."""

from __future__ import annotations

import io
import math
import time
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from xml.etree import ElementTree

import numpy as np
import pytest
from rich.cells import cell_len
from rich.console import Console
from test_dashboard import START, Asked, countdown, snapshot

from monitor.dashboard.keyboard import DOWN, ENTER, ESCAPE, UP, typed
from monitor.dashboard.app import Viewer, show
from monitor.dashboard.widgets.stream_order import STATES, Ranking
from monitor.dashboard.layout import Screen, Streams, save_svg
from monitor.dashboard.render.theme import COLOUR, MONO
from monitor.dashboard.render.view import View
from monitor.core.snapshot import Event, Snapshot, State

SIZES = [(80, 24), (120, 36), (200, 60), (60, 40), (40, 10), (100, 15), (12, 4), (1, 1)]


def stream(name: str, state: State = State.NORMAL, times: float = 0.5, **changes: object) -> Snapshot:
    """A stream whose score has been so many times its threshold for a minute."""
    history = np.full(600, 110 * times, np.float32)
    events = ()
    if state is State.ANOMALY:
        events = (Event("anomaly", 492.0, None, START + 18, "mic", peak=391.0, threshold=110.0, stream=name),)
    made = snapshot(state, stream=name, score_history=history, score=110 * times, events=events)
    return replace(made, **changes)  # type: ignore[arg-type]


def hall(count: int) -> tuple[Snapshot, ...]:
    """One of each state, and the rest normal."""
    states = dict(enumerate(reversed(STATES), start=2))
    return tuple(
        stream(f"machine {number}", states.get(number, State.NORMAL), 0.3 + 0.01 * (number % 7))
        for number in range(count)
    )


def drawn(
    snapshots: tuple[Snapshot, ...], width: int = 80, height: int = 24, chosen: int | None = None, **view: object
) -> list[str]:
    shown = Streams(snapshots, tuple(Ranking().order(snapshots)), chosen)
    lines = Screen(shown, View(now=START + 60, **view)).lines(width, height, MONO)  # type: ignore[arg-type]
    return ["".join(segment.text for segment in line) for line in lines]


@pytest.mark.parametrize("count", [2, 9, 40])
@pytest.mark.parametrize(("width", "height"), SIZES)
def test_fills_the_terminal_exactly(count: int, width: int, height: int) -> None:
    wide = (*hall(count)[:-1], stream("プレス機 – Gerät\n" * 4, score=math.nan, level_dbfs=-math.inf))
    for ascii_only in (False, True):
        rows = drawn(wide, width, height, chosen=count - 1, ascii=ascii_only, message="saved", paused=True)
        assert [cell_len(row) for row in rows] == [width] * height
        assert not ascii_only or all(row.isascii() for row in rows)


def test_the_worst_is_on_top_and_the_rest_as_in_the_settings() -> None:
    streams = hall(12)
    order = Ranking().order(streams)
    assert [streams[number].state for number in order[:7]] == list(STATES)
    rows = drawn(streams, 120, 36)
    places = [next(i for i, row in enumerate(rows) if f"machine {number} " in row) for number in order]
    assert places == sorted(places)


def test_streams_of_one_state_change_places_only_where_one_is_clearly_worse() -> None:
    ranking = Ranking()
    first = (stream("a", times=0.5), stream("b", times=0.5), stream("c", times=0.5))
    assert ranking.order(first) == [0, 1, 2]
    for times in (0.55, 0.6, 0.45):
        assert ranking.order((first[0], stream("b", times=times), first[2])) == [0, 1, 2]
    assert ranking.order((first[0], first[1], stream("c", times=0.9))) == [2, 0, 1]
    assert ranking.order((first[0], first[1], stream("c", times=0.8))) == [2, 0, 1]
    assert ranking.order((first[0], stream("b", State.WARNING), stream("c", times=0.8))) == [1, 2, 0]


def test_a_row_says_state_level_score_against_threshold_and_the_last_event_with_its_age() -> None:
    for width in (80, 120, 200):
        rows = drawn((stream("press", State.ANOMALY, 3.5, evidence=0.62), stream("fan")), width, 24)
        (row,) = [row for row in rows if "press " in row and "ANOMALY" in row]
        for words in ("ANOMALY", "×3.50", "-31.4", "62 %", "anomaly", "for 42s", "█"):
            assert words in row, (width, words)
        assert ("385 / 110" in row) == (width >= 120)


def test_the_heading_counts_the_streams_in_each_state() -> None:
    text = "\n".join(drawn(hall(40), 120, 36))
    for state in STATES:
        assert f" {34 if state is State.NORMAL else 1} {state.value} " in text


def test_what_there_is_no_room_for_is_said_and_the_chosen_one_is_always_shown() -> None:
    streams = hall(40)
    order = Ranking().order(streams)
    rows = drawn(streams)
    assert rows[0].startswith("─ Streams")
    assert any("+ 20 more, all NORMAL" in row for row in rows)
    for number in order:
        rows = drawn(streams, chosen=number)
        (row,) = [row for row in rows if row.startswith(">")]
        assert f"machine {number} " in row
    assert any("1 ANOMALY" in row for row in drawn(streams, chosen=order[-1])[-3:])


def test_few_streams_leave_room_for_the_worst_state_as_a_large_word_with_whose_it_is() -> None:
    rows = drawn((stream("press"), stream("fan", State.LOST), stream("pump")))
    assert "█" in rows[0] + rows[1]
    assert any("fan" in row for row in rows[:4])
    assert any("all 2 streams" in row for row in drawn((stream("press"), stream("fan")))[:4])


def test_the_history_has_its_threshold_half_way_up_and_shows_what_is_above_it() -> None:
    history = np.repeat([np.nan, 55.0, 330.0], 200).astype(np.float32)
    shown = Streams((stream("press", score_history=history), stream("fan")), (0, 1))
    lines = Screen(shown, View(now=START)).lines(200, 24, COLOUR)
    (row,) = [line for line in lines if any("press" in part.text for part in line)]
    found = {part.text[0]: part.style for part in row if part.text.strip() and part.text[0] in "·▃█"}
    assert found["█"] == COLOUR.alert
    assert found["▃"] == COLOUR.trace


def test_a_stream_that_failed_says_why_in_its_row_and_in_full() -> None:
    failed = stream("press", State.LOST, failure="USB Audio: has no channel 40.", finished=True)
    (row,) = [row for row in drawn((failed, stream("fan")), 200, 24) if "press" in row and "LOST" in row]
    assert "USB Audio: has no channel 40." in row
    full = Screen(failed, View(now=START)).lines(80, 24, MONO)
    assert "has no channel 40" in "".join(segment.text for segment in full[-1])


def test_a_picture_of_the_table_is_an_svg(tmp_path: Path) -> None:
    save_svg(Streams(hall(9), tuple(range(9)), 1), View(), tmp_path / "t.svg", width=80, height=24)
    text = " ".join(e.text or "" for e in ElementTree.parse(tmp_path / "t.svg").iter())
    assert "machine 3" in text


# ---------------------------------------------------------------- keys


def press(keys: str, streams: tuple[Snapshot, ...]) -> tuple[str, list[tuple[float, int]]]:
    """What the terminal got after the last of some keys, and which thresholds were changed."""
    out = io.StringIO()
    console = Console(file=out, force_terminal=True, width=100, height=30, _environ={"TERM": "xterm"})
    scaled: list[tuple[float, int]] = []

    class Scaled(Asked):
        def scale_threshold(self, factor: float, number: int) -> None:
            scaled.append((factor, number))

    typed_keys: Iterator[str] = iter(keys)

    def wait(seconds: float) -> str:
        if key := next(typed_keys, ""):
            out.seek(0)
            out.truncate()
        else:
            time.sleep(seconds)
        return key

    viewer = Viewer(lambda: streams, Scaled(), countdown(len(keys) + 1), console, View(), Path())
    assert viewer.run(wait, 5.0) is None
    return out.getvalue(), scaled


def test_enter_shows_the_chosen_stream_in_full_and_escape_the_table_again() -> None:
    streams = (stream("press"), stream("fan"), stream("pump", State.ANOMALY, 2.0))
    assert "Spectrogram" in press(ENTER, streams)[0]
    assert "pump" in press(ENTER, streams)[0]
    full = press(DOWN + DOWN + ENTER, streams)[0]
    assert "press" in full
    assert "esc" in full
    for back in (ESCAPE, "t"):
        assert "in full" in press(ENTER + back, streams)[0]


def test_the_threshold_keys_act_on_the_chosen_stream() -> None:
    streams = (stream("press"), stream("fan"), stream("pump", State.ANOMALY, 2.0))
    _, scaled = press("+" + DOWN + DOWN + "-" + UP + UP + UP + "+", streams)
    assert [number for _, number in scaled] == [2, 0, 2]
    assert [factor > 1 for factor, _ in scaled] == [True, False, True]


def test_keys_that_are_sequences_have_names_and_others_are_nothing() -> None:
    assert typed("q\x1b[A\x1bOB\x1b[15~\x1bOS\r") == f"q{UP}{DOWN}{ENTER}"
    assert typed("\x1b") == ESCAPE


# ---------------------------------------------------------------- plain lines


def test_plain_lines_name_the_stream_and_summarise_all_of_them_in_one() -> None:
    out = io.StringIO()
    streams = (stream("press"), stream("fan", State.ANOMALY, 2.0))
    show(lambda: streams, Asked(), countdown(3), console=Console(file=out))
    lines = [line.split(" ", 1)[1] for line in out.getvalue().splitlines()]
    assert sum(line.startswith("press: NORMAL") for line in lines) == 1
    assert sum(line.startswith("fan: anomaly began") for line in lines) == 1
    (summary,) = [line for line in lines if line.startswith("2 streams: 1 ANOMALY, 1 NORMAL")]
    assert "highest score 220 of 110 in fan" in summary
