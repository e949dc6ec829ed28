"""Hours, days and weeks on the screen: what happened is seen, at the right time, with and without colour."""

from __future__ import annotations

import re
from dataclasses import replace

import numpy as np
import pytest
from rich.cells import cell_len

from monitor.core.events import State
from monitor.dashboard.layout import Screen
from monitor.dashboard.render.theme import ASCII, COLOUR, MONO, UNICODE, Glyphs
from monitor.dashboard.render.time_grid import NOTHING, STATES, on_grid
from monitor.dashboard.render.view import TIME_SPANS, View
from monitor.dashboard.widgets.chart import GUTTER
from monitor.dashboard.widgets.long_term import long, long_charts
from monitor.store.records import MinuteValues
from support.snapshots import SIZES, drawn, snapshot
from support.stored import NOW, minute_values

HOUR, DAY, MONTH = TIME_SPANS[1:]
WIDTH = 107  # a hundred columns beside the labels


def quiet(span_s: float, step_s: float) -> MinuteValues:
    """A machine at a third of its limit, heard all the time, up to NOW."""
    steps = int(span_s / step_s)
    values = minute_values(span_s / 86_400, step_s)
    flat = np.full(steps, 0.33)
    seconds = {state: np.full(steps, step_s if state == "normal" else 0.0) for state in STATES}
    return replace(values, share_mean=flat, share_max=flat + 0.1, level=flat * 0 - 40, seconds=seconds)


def put(values: MinuteValues, ago_s: float, state: str, share: float) -> None:
    """One step of another state, so many seconds before NOW."""
    at = int(np.searchsorted(values.time, NOW - ago_s, side="right")) - 1
    for name, numbers in values.seconds.items():
        numbers[at] = values.step_s if name == state else 0.0
    values.share_mean[at] = values.share_max[at] = share


def shown(
    values: MinuteValues | None, width: int = WIDTH, rows: int = 20, glyphs: Glyphs = UNICODE, note: str = ""
) -> list[str]:
    """The rows of the last 24 hours as text."""
    lines = long_charts(values, note, DAY.name, DAY.seconds, NOW, width, rows, MONO, glyphs)
    return ["".join(segment.text for segment in line) for line in lines]


def row(rows: list[str], label: str) -> str:
    """The cells of the row with a label at its left."""
    return next(one for one in rows if one.startswith(label))[GUTTER:]


@pytest.mark.parametrize("glyphs", [UNICODE, ASCII], ids=["unicode", "ascii"])
def test_a_short_anomaly_of_the_day_is_seen_in_the_column_of_its_time(glyphs: Glyphs) -> None:
    values = quiet(DAY.seconds, DAY.step_s)
    put(values, 6 * 3600, "anomaly", 1.4)
    rows = shown(values, glyphs=glyphs)
    sign = "A" if glyphs.ascii else "█"
    states = row(rows, "states")
    columns = {i for i, cell in enumerate(states) if cell == sign}
    assert columns
    assert all(abs(i - 75) <= 1 for i in columns)  # three quarters of 100 columns
    limit = next(i for i, one in enumerate(rows) if one.startswith(" limit"))
    above = {i - GUTTER for one in rows[1:limit] for i, cell in enumerate(one) if i >= GUTTER and cell not in " │┤|+"}
    assert above
    assert all(abs(i - 75) <= 1 for i in above)


def test_an_anomaly_shorter_than_a_column_is_not_lost_in_a_month() -> None:
    values = minute_values(30, 7200)
    for name, numbers in values.seconds.items():
        numbers[:] = 7200.0 if name == "normal" else 0.0
    values.seconds["anomaly"][100], values.seconds["normal"][100] = 2.0, 7198.0
    grid = on_grid(values, NOW - MONTH.seconds, NOW, 60)
    assert (grid.state == list(STATES).index("anomaly")).sum() == 1


def test_what_was_not_heard_is_hatched_and_what_is_unknown_is_empty() -> None:
    values = quiet(DAY.seconds / 2, DAY.step_s)  # nothing is stored of the first half of the day
    for ago in range(3600, 3 * 3600, 300):
        put(values, ago, "not_heard", np.nan)
    rows = shown(values)
    states = row(rows, "states")
    assert set(states[:49]) == {" "}
    assert states.count("╱") in (8, 9)
    assert all(one[GUTTER + 92] == "╱" for one in rows[1:15])
    grid = on_grid(values, NOW - DAY.seconds, NOW, 100)
    assert set(grid.state[:49]) == {NOTHING}


def test_how_long_each_state_took_is_said() -> None:
    values = quiet(DAY.seconds, DAY.step_s)
    for ago in range(3600, 4 * 3600, 300):
        put(values, ago, "off", np.nan)
    legend = shown(values)[-1]
    assert "▁ normal 21 h" in legend
    assert "· off 3 h" in legend
    assert "anomaly" not in legend
    assert "level -40 dB" in legend


def test_digital_silence_does_not_flatten_the_level() -> None:
    values = quiet(DAY.seconds, DAY.step_s)
    values.level[:10] = -200.0
    assert "level -100 to -40 dB" in shown(values)[-1]


@pytest.mark.parametrize(("width", "height"), SIZES)
@pytest.mark.parametrize("span", TIME_SPANS[1:], ids=lambda span: span.name)
def test_every_span_fills_every_terminal_exactly(span: object, width: int, height: int) -> None:
    values = minute_values(30, 7200)
    for ascii_only in (False, True):
        for stored, overlay in ((values, ""), (None, ""), (values, "help")):
            rows = drawn(
                snapshot(State.ANOMALY), width, height,
                ascii=ascii_only, now=NOW, time_span=span, stored=stored, stored_note="reading", overlay=overlay,
            )  # fmt: skip
            assert [cell_len(one) for one in rows] == [width] * height
            assert not ascii_only or all(one.isascii() for one in rows[4:] if "Gerät" not in one)


def test_while_nothing_is_read_the_screen_says_so_and_the_state_stays() -> None:
    text = "\n".join(drawn(snapshot(State.ANOMALY), time_span=DAY, stored_note="reading the last 24 h from the store"))
    assert "reading the last 24 h from the store" in text
    assert "unusual for 8 s" in text
    assert "Events" in text


def test_an_empty_time_says_so_instead_of_an_empty_chart() -> None:
    values = minute_values(1, 300, until=NOW - 3 * DAY.seconds)
    assert "nothing is stored of the last 24 h yet" in "\n".join(shown(values))


def test_old_values_are_marked_as_such() -> None:
    values = quiet(DAY.seconds, DAY.step_s)
    assert "the store has not answered" in shown(values, note="the store has not answered")[0]
    long_path = f"/{'folder/' * 30}monitor.sqlite: another program has locked it"
    assert "has locked it" in shown(values, note=long_path)[0]
    assert "has locked it" in " ".join(" ".join(shown(None, note=long_path)).split())


def test_a_picture_can_be_saved_of_a_month(tmp_path: object) -> None:
    view = View(now=NOW, time_span=MONTH, stored=minute_values(30, 7200))
    from monitor.dashboard.svg_export import svg

    text = svg(Screen(snapshot(), view).lines(120, 36, COLOUR), 120)
    assert "last 30 d" in re.sub(r"<[^>]+>", " ", text)


@pytest.mark.parametrize(
    ("seconds", "text"),
    [(0, "0 s"), (40, "40 s"), (99.6, "2 min"), (3599, "1 h"), (12_000, "3 h 20 min"), (86_400, "24 h"),
     (532_800, "6 d 4 h"), (15_552_000, "180 d")],
)  # fmt: skip
def test_a_length_of_time_has_two_units_at_most(seconds: float, text: str) -> None:
    assert long(seconds) == text
