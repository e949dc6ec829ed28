"""Promises of the dashboard to its user. Snapshots are made by hand; no sound and no model is needed."""

from __future__ import annotations

import io
import math
import os
import re
import select
import sys
import time
from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path
from xml.etree import ElementTree

import numpy as np
import pytest
from rich.cells import cell_len
from rich.console import Console

from monitor.dashboard.widgets.chart import GUTTER
from monitor.dashboard.app import Viewer, show
from monitor.dashboard.plain_log import PlainLog
from monitor.dashboard.render.formatting import band_list, band_range, duration, hertz, long_since, number, span
from monitor.dashboard.layout import Screen, plan, render, save_svg
from monitor.dashboard.render.theme import COLOUR, MONO
from monitor.dashboard.render.view import View
from monitor.core.snapshot import Band, Event, Snapshot, State

SIZES = [(80, 24), (120, 36), (200, 60), (60, 40), (40, 10), (100, 15), (12, 4), (1, 1)]
KINDS = ["mahalanobis", "error"]
SLOTS, BANDS = 600, 64
START = 1_760_000_000.0
HISS = (Band(2100.0, 2800.0, 0.6, "new"), Band(310.0, 420.0, 0.2, "missing"))
ONGOING = Event("anomaly", 492.0, None, START + 50, "mic", peak=391.0, threshold=110.0, cause="sudden", bands=HISS)


def snapshot(state: State = State.NORMAL, kind: str = "mahalanobis", **changes: object) -> Snapshot:
    """A minute of a machine that is well, or has been in `state` for the last seconds."""
    t = np.arange(SLOTS)
    score = (50 + 8 * np.sin(t / 70)).astype(np.float32)
    error = (0.3 + 0.03 * np.sin(t / 90)).astype(np.float32)
    levels = (-60 + 20 * np.sin(t[:, None] / 30 + np.arange(BANDS) / 9)).astype(np.float32)
    band_score = np.full(BANDS, 50 / BANDS, np.float32)
    events = [
        Event("gap", 10.0, 10.4, START, "mic", lost_samples=6400),
        Event("anomaly", 20.0, 32.3, START + 10, "mic", peak=311.0, threshold=110.0),
        Event("lost", 40.0, 45.5, START + 30, "mic"),
    ]
    if state in (State.WARNING, State.ANOMALY):
        score[-80:], error[-80:], band_score[40:44] = 300, 0.7, 65
    if state is State.ANOMALY:
        events.append(ONGOING)
    if state is State.LOST:
        score[-80:] = error[-80:] = levels[-80:] = np.nan
        events.append(Event("lost", 492.0, None, START + 50, "mic"))
    if state is State.LISTENING:
        score[:], error[:], levels[:-5], band_score[:], events = np.nan, np.nan, np.nan, np.nan, []
    if kind == "error":
        score = error
    made = Snapshot(
        state=state,
        source="microphone: USB Audio – Gerät (hw:1,0)",
        model="pump-3",
        score_kind=kind,
        threshold=110.0 if kind != "error" else 0.45,
        threshold_note="from 40 held-out recordings, 1 false alarm a day",
        error_threshold=0.45,
        error=float(error[-1]),
        score=float(score[-1]),
        level_dbfs=-31.4,
        peak_dbfs=-12.5,
        position_s=500.0,
        duration_s=None,
        uptime_s=501.0,
        speed=1.0,
        load=0.04,
        dropped_samples=6400,
        slot_s=0.1,
        first_slot=4401,
        error_history=error,
        score_history=score,
        spectrogram=levels,
        band_hz=np.geomspace(40, 7600, BANDS).astype(np.float32),
        band_score=lambda: band_score,
        events=tuple(events),
        anomalies=sum(event.kind == "anomaly" for event in events),
    )
    if "band_score" in changes:
        given = changes["band_score"]
        changes["band_score"] = lambda: given
    return replace(made, **changes)  # type: ignore[arg-type]


def drawn(shown: Snapshot, width: int = 80, height: int = 24, **view: object) -> list[str]:
    """The rows of the screen as text."""
    lines = Screen(shown, View(now=START + 60, **view)).lines(width, height, MONO)  # type: ignore[arg-type]
    return ["".join(segment.text for segment in line) for line in lines]


def printed(shown: Snapshot, width: int = 80, height: int = 24, view: View | None = None, **console: object) -> str:
    """What a terminal gets."""
    options = {"color_system": "truecolor", "no_color": False, "force_terminal": True, **console}
    out = io.StringIO()
    screen = Console(file=out, width=width, height=height, **options)  # type: ignore[arg-type]
    screen.print(render(shown, view or View(now=START + 60)), end="")
    return out.getvalue()


# ---------------------------------------------------------------- fitting


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("state", list(State))
@pytest.mark.parametrize(("width", "height"), SIZES)
def test_fills_the_terminal_exactly(state: State, kind: str, width: int, height: int) -> None:
    for ascii_only in (False, True):
        rows = drawn(snapshot(state, kind), width, height, ascii=ascii_only, message="saved", paused=True)
        assert [cell_len(row) for row in rows] == [width] * height


def test_every_size_is_shared_out_without_a_row_left_or_wanting() -> None:
    for charts in (1, 2):
        for width in range(1, 240, 3):
            for height in range(1, 90):
                at = plan(width, height, charts)
                below = at.events + 1 if at.events else 0
                used = at.top + at.histories + below + at.status + at.footer
                assert used == height or (height < 6 and used <= height), (width, height, at)


@pytest.mark.parametrize("kind", KINDS)
def test_everything_that_matters_is_on_80_by_24(kind: str) -> None:
    text = "\n".join(drawn(snapshot(State.ANOMALY, kind)))
    for words in (
        "Reconstruction error",
        "Spectrogram",
        "What is unusual",
        "Events",
        "ongoing",
        "USB Audio",
        "pump-3",
    ):
        assert words in text
    for words in (
        "-60 s",
        "now",
        "load 4 %",
        "dropped 6 400",
        "threshold from 40",
        "-31.4 dB",
        "q quit",
        "space",
    ):
        assert words in text
    assert ("Anomaly score" in text) == (kind != "error")


def test_a_name_from_outside_cannot_move_the_cursor_or_break_the_layout() -> None:
    evil = snapshot(source="\x1b[2J\n\r" + "測試" * 40, model="a\tb" * 90)
    for width, height in SIZES:
        rows = drawn(evil, width, height)
        assert [cell_len(row) for row in rows] == [width] * height
        assert not re.search(r"[\x00-\x1f\x7f]", "".join(rows))


@pytest.mark.parametrize(
    "changes",
    [
        {"threshold": math.inf, "error_threshold": math.nan},
        {"threshold": 0.0, "error_threshold": -1.0},
        {"score_history": np.full(SLOTS, np.inf, np.float32)},
        {"score_history": np.zeros(SLOTS, np.float32), "error_history": np.full(SLOTS, -3, np.float32)},
        {"error_history": np.geomspace(1e-6, 1e6, SLOTS).astype(np.float32)},
        {"level_dbfs": -math.inf, "peak_dbfs": math.inf, "load": math.nan, "speed": math.inf},
        {
            "band_score": np.full(BANDS, 1e9, np.float32),
            "spectrogram": np.full((SLOTS, BANDS), -100, np.float32),
        },
        {name: np.zeros(0, np.float32) for name in ("error_history", "score_history")}
        | {"spectrogram": np.zeros((0, BANDS), np.float32), "first_slot": 0},
        {name: np.ones(7, np.float32) for name in ("error_history", "score_history")}
        | {"spectrogram": np.ones((7, BANDS), np.float32), "first_slot": 0},
        {
            "band_score": np.array([math.inf, -math.inf, math.nan, 1e38] * (BANDS // 4), np.float32),
            "evidence": math.nan,
        },
        {"evidence": math.inf, "score": math.nan, "threshold_note": ""},
        {"slot_s": 1.0},
        {"position_s": 12.0, "duration_s": 60.0, "finished": True},
    ],
)
def test_odd_numbers_are_drawn_and_not_fatal(changes: dict[str, object]) -> None:
    rows = drawn(snapshot(**changes), 100, 30)  # type: ignore[arg-type]
    assert [cell_len(row) for row in rows] == [100] * 30


# ---------------------------------------------------------------- characters and colours


@pytest.mark.parametrize("colour", [True, False])
@pytest.mark.parametrize("state", list(State))
def test_ascii_means_nothing_outside_ascii(state: State, colour: bool) -> None:
    for width, height in SIZES:
        view = View(ascii=True, colour=colour, paused=True, message="saved – Größe", now=START)
        assert printed(snapshot(state), width, height, view).isascii()


@pytest.mark.parametrize("state", list(State))
def test_no_colour_codes_without_colour(state: State) -> None:
    colours = re.compile(r"\x1b\[(?:[0-9;]*;)?(?:3[0-9]|4[0-9]|9[0-7]|10[0-7])[;m]")
    assert colours.search(printed(snapshot(state)))
    assert not colours.search(printed(snapshot(state), view=View(colour=False)))
    assert not colours.search(printed(snapshot(state), no_color=True))


@pytest.mark.parametrize("state", list(State))
def test_the_state_can_be_told_without_colour(state: State) -> None:
    words = {other: "\n".join(row[:48] for row in drawn(snapshot(other))[:4]) for other in State}
    assert sum(word == words[state] for word in words.values()) == 1
    assert state.value in drawn(snapshot(state), 40, 10)[0]


def test_sixteen_colours_get_coloured_words_and_a_shaded_spectrogram() -> None:
    text = printed(snapshot(State.ANOMALY), color_system="standard")
    assert "\x1b[" in text
    assert "▓" in text


# ---------------------------------------------------------------- charts


def test_a_spike_is_drawn_above_the_threshold_in_the_other_colour_and_nothing_else_is() -> None:
    history = np.full(SLOTS, 50, np.float32)
    history[400] = 160
    lines = Screen(snapshot(score_history=history), View()).lines(120, 36, COLOUR)
    title = next(i for i, line in enumerate(lines) if any("Anomaly score" in part.text for part in line))
    line = next(i for i in range(title, 36) if lines[i][0].text.strip() == "110" and lines[i][0].style == COLOUR.line)
    end = next(i for i in range(line, 36) if any("Reconstruction" in part.text for part in lines[i]))

    def dots(rows: range, style: object) -> set[int]:
        columns = set()
        for row in rows:
            x = 0
            for part in lines[row]:
                if part.style == style and x >= 6:
                    columns |= {x + i for i, c in enumerate(part.text) if 0x2800 < ord(c) < 0x2900}
                x += len(part.text)
        return {x for x in columns if x < 80}

    spike = GUTTER + round(401 / 600 * (82 - GUTTER))
    above = dots(range(title + 1, line + 1), COLOUR.alert)
    assert above
    assert all(abs(x - spike) <= 1 for x in above)
    assert not dots(range(line + 1, end), COLOUR.alert)
    assert not dots(range(title + 1, line + 1), COLOUR.trace)
    assert len(dots(range(line + 1, end), COLOUR.trace)) > 70


@pytest.mark.parametrize("size", [1e-4, 1.0, 3e7])
@pytest.mark.parametrize("excess", [0.01, 1.2, 40.0, 1e4])
def test_the_threshold_is_on_the_chart_whatever_the_history_does(size: float, excess: float) -> None:
    history = np.full(SLOTS, 0.4 * size, np.float32)
    history[-100:] = excess * size
    for height in (10, 24, 60):
        shown = snapshot(kind="error", threshold=size, error_threshold=size, error_history=history)
        lines = Screen(shown, View()).lines(80, height, COLOUR)
        assert sum(line[0].style == COLOUR.line and len(line[0].text) == GUTTER - 1 for line in lines) == 1


def test_what_is_lost_leaves_a_hole() -> None:
    rows = drawn(snapshot(State.LOST), 120, 36, colour=False)
    plots = [row[GUTTER:82] for row in rows if row[GUTTER - 1] in "│┤"]
    hole = 80 * (82 - GUTTER) // 600 - 1
    trace = [plot[-hole:].replace("⣀", " ").strip() for plot in plots]
    assert trace == [""] * len(plots)


# ---------------------------------------------------------------- events and readings


def test_the_newest_event_comes_first_and_an_ongoing_one_says_so() -> None:
    rows = [row[50:] for row in drawn(snapshot(State.ANOMALY))]
    first = next(i for i, row in enumerate(rows) if "Events" in row) + 1
    assert "ongoing" in rows[first]
    assert "391/110" in rows[first]
    assert rows[first + 1].split() == ["sudden:", "2.1-2.8", "kHz", "new"]
    assert "no sound" in rows[first + 2]
    assert "12.3 s" in rows[first + 3]
    assert not any("ongoing" in row for row in rows[first + 1 :])


def unusual(shown: Snapshot, width: int = 200, height: int = 60, **view: object) -> list[str]:
    """The rows of the panel that says what is unusual, and of its legend."""
    side = plan(width, height, 2).side
    rows = [row[-side:] for row in drawn(shown, width, height, **view)]
    first = next(i for i, row in enumerate(rows) if "What is unusual" in row) + 1
    return rows[first : first + plan(width, height, 2).spectrogram + 1]


def carried(**bands: float) -> np.ndarray:
    """What each band adds to the score: a little, but for those that are named, as in b40=9.0."""
    made = np.full(BANDS, 0.5, np.float32)
    for band, value in bands.items():
        made[int(band[1:])] = value
    return made


def test_a_band_that_carries_the_score_is_named_by_its_frequency_and_what_it_adds() -> None:
    shown = snapshot(band_score=carried(b40=90.0))
    rows = [row for row in unusual(shown) if "+" in row]
    assert len(rows) == 1
    named = rows[0].split()[0]
    hz = float(named[:-1]) * 1000 if named.endswith("k") else float(named)
    assert hz == pytest.approx(float(shown.band_hz[40]), rel=0.15)
    assert 90 <= float(rows[0].split("+")[1]) < 92


@pytest.mark.parametrize("ascii", [True, False])
def test_new_and_missing_sound_can_be_told_apart_without_colour(ascii: bool) -> None:
    *rows, legend = unusual(snapshot(band_score=carried(b10=-90.0, b40=90.0)), ascii=ascii)
    new, missing = ("+", "-") if ascii else ("█", "░")
    assert [row.count(new * 5) > 0 for row in rows].count(True) == 1
    (more,) = [row for row in rows if new * 5 in row]
    (less,) = [row for row in rows if missing * 5 in row]
    assert rows.index(more) < rows.index(less), "the higher frequency is higher up"
    assert "+9" in more
    assert "-8" in less or "-9" in less
    assert legend.split()[:4] == [new, "new", missing, "missing"]


def test_what_is_new_and_what_is_missing_in_one_row_do_not_cancel() -> None:
    *rows, _ = unusual(snapshot(band_score=carried(b40=60.0, b41=-50.0)), 80, 24)
    (row,) = [row for row in rows if "░" in row]
    assert "█" in row
    assert "+11" in row


@pytest.mark.parametrize(("width", "height"), [(80, 24), (120, 36), (200, 60)])
def test_bars_are_short_and_without_figures_while_all_is_normal(width: int, height: int) -> None:
    normal = np.random.default_rng(0).dirichlet(np.full(BANDS, 4.0)) * 55
    rows = unusual(snapshot(score=55.0, band_score=normal.astype(np.float32)), width, height)[:-1]
    assert not any("+" in row or "█" in row for row in rows)
    assert all("┊" in row for row in rows), "none of them reaches the threshold"


def test_a_bar_as_long_as_the_threshold_reaches_its_mark_whatever_the_scale() -> None:
    for most in (100.0, 300.0, 1500.0):
        shown = snapshot(score=most, band_score=carried(b5=110.5, b40=most))
        *shown_rows, _ = unusual(shown)
        rows = [row for row in shown_rows if "█" in row]
        marks = {row.index("┊") for row in shown_rows if "┊" in row}
        assert len(marks) == 1
        assert any(abs(len(row[: row.rindex("█") + 1]) - min(marks)) <= 1 for row in rows)


def test_the_scale_of_the_bars_grows_at_once_and_shrinks_only_when_a_third_would_do() -> None:
    view = View()
    times = []
    for most in (10.0, 130.0, 105.0, 40.0, 500.0, 400.0, 100.0):
        Screen(snapshot(band_score=carried(b40=most)), view).lines(200, 60, MONO)
        times.append(view.scales.band_high)
    assert times == [1.0, 2.0, 2.0, 1.0, 8.0, 8.0, 1.0]


def test_what_was_an_anomaly_by_evidence_below_the_threshold_is_named_all_the_same() -> None:
    calm = snapshot(score=40.0, band_score=carried(b40=8.0), evidence=0.2)
    assert not any("+" in row for row in unusual(calm))
    assert any("+" in row for row in unusual(replace(calm, state=State.ANOMALY, evidence=1.1)))


@pytest.mark.parametrize(("width", "height"), [(80, 24), (120, 36), (160, 48), (200, 60)])
def test_evidence_that_gathers_is_told_in_per_cent(width: int, height: int) -> None:
    text = "\n".join(drawn(snapshot(State.WARNING, evidence=0.62), width, height))
    assert "62 %" in text
    assert "evidence" in text


def test_evidence_is_amber_from_a_half_and_red_when_it_is_enough() -> None:
    for share, style in ((0.49, COLOUR.value), (0.5, COLOUR.warn), (0.99, COLOUR.warn), (1.0, COLOUR.alert)):
        lines = Screen(snapshot(evidence=share), View()).lines(160, 48, COLOUR)
        (figures,) = [part for line in lines for part in line if part.text.strip() == f"{100 * share:.0f} %"]
        assert figures.style == style


def test_a_state_that_evidence_has_brought_about_says_so() -> None:
    small = snapshot(score=60.0, evidence=1.1)
    for state, words in ((State.WARNING, "for a while"), (State.ANOMALY, "for too long")):
        assert words in "\n".join(drawn(replace(small, state=state), 120, 36))
        assert words not in "\n".join(drawn(snapshot(state), 120, 36))


def test_how_old_the_threshold_is_can_be_read_at_every_common_size() -> None:
    note = "1 false alarm a day, estimated from 150 s, 3 days ago"
    for width, height in ((80, 24), (100, 30), (120, 36), (160, 48), (200, 60)):
        rows = drawn(snapshot(threshold_note=note, evidence=0.7), width, height)
        side = " ".join(" ".join(row[-plan(width, height, 2).side :] for row in rows).split())
        assert "3 days ago" in side or "3 days ago" in "\n".join(rows), (width, height)


def test_a_threshold_set_by_hand_says_so() -> None:
    for width, height in ((80, 24), (120, 36)):
        assert "set by hand" in "\n".join(drawn(snapshot(threshold_note="set by hand"), width, height))


def test_an_anomaly_that_goes_on_says_for_how_long_after_a_reminder() -> None:
    reminded = replace(ONGOING, start_s=492.0 - 3700.0, reminders=1)
    assert "still 1h" in "\n".join(drawn(snapshot(State.ANOMALY, events=(reminded,))))
    assert [long_since(s) for s in (math.nan, 59, 2400, 3700, 90_000, 400_000)] == [
        "0m",
        "0m",
        "40m",
        "1h",
        "25h",
        "4d",
    ]


def test_a_machine_that_is_off_is_an_event_and_no_alarm() -> None:
    off = Event("off", 400.0, None, START, "mic")
    lines = Screen(snapshot(State.OFF, events=(off,)), View(now=START)).lines(120, 36, COLOUR)
    (row,) = [line for line in lines if any("machine off" in part.text for part in line)]
    assert not any(part.style == COLOUR.alert for part in row)
    text = "\n".join("".join(part.text for part in line) for line in lines)
    assert "too quiet to be running" in text
    assert "ongoing" in text


def test_frequencies_are_written_in_hertz_or_kilohertz() -> None:
    def written(low: float, high: float) -> str:
        return band_range(Band(low, high, 1.0, "new"))

    assert [written(310, 420), written(840, 1234), written(2149, 2851), written(2149, 2151), written(9800, 12_300)] == [
        "310-420 Hz", "0.8-1.2 kHz", "2.1-2.9 kHz", "2.1-2.2 kHz", "10-12 kHz",
    ]  # fmt: skip
    assert band_list(HISS, 80) == "2.1-2.8 kHz new, 310-420 Hz missing"
    assert band_list(HISS, 20) == "2.1-2.8 kHz new"
    assert band_list(HISS, 3) == ""


def test_the_meter_grows_with_the_level_and_holds_the_peak() -> None:
    def meter(level: float, peak: float) -> str:
        return drawn(snapshot(level_dbfs=level, peak_dbfs=peak))[3][50:]

    lengths = [meter(level, -math.inf).count("█") for level in (-math.inf, -79, -60, -40, -20, 0)]
    assert lengths == sorted(lengths)
    assert lengths[0] == 0
    assert lengths[-1] > 15
    assert meter(-60, -20).index("┃") > meter(-60, -40).index("┃")


def test_numbers_take_few_characters_and_keep_their_size() -> None:
    rng = np.random.default_rng(0)
    for value in [*(10 ** rng.uniform(-8, 13, 500)), 999.4, 999.5, 999.6, 0.9996, 999_499.0, 999_501.0]:
        text = number(float(value))
        assert len(text) <= 6
        factor = {"k": 1e3, "M": 1e6, "G": 1e9}.get(text[-1], 1.0)
        assert float(text.rstrip("kMG")) * factor == pytest.approx(value, rel=0.006 if 0.01 < value < 999e9 else 0.06)
    assert [number(math.nan), number(0.0), number(2e-5)] == ["-", "0", "2.0e-5"]
    assert [duration(0.31), duration(12.3), duration(185), span(3785), span(183_900)] == [
        "0.31 s", "12.3 s", "3:05", "1:03:05", "2d 03:05",
    ]  # fmt: skip
    assert [hertz(440), hertz(1234), hertz(4000), hertz(12_345)] == ["440", "1.2k", "4k", "12k"]


# ---------------------------------------------------------------- pictures


@pytest.mark.parametrize("colour", [True, False])
def test_a_picture_is_an_svg_with_the_readings_in_it(tmp_path: Path, colour: bool) -> None:
    path = tmp_path / "screen.svg"
    save_svg(snapshot(State.ANOMALY, source="<mic> & co"), View(colour=colour), path, width=80, height=24)
    root = ElementTree.fromstring(path.read_text(encoding="utf-8"))
    text = " ".join(element.text or "" for element in root.iter("{http://www.w3.org/2000/svg}text"))
    assert "Spectrogram" in text
    assert "<mic> & co" in text
    assert not re.search("[\u2800-\u28ff▀▄█]", text)  # they are shapes, whatever the font has


# ---------------------------------------------------------------- plain lines


def log_of(*snapshots: Snapshot, every_s: float = 10.0) -> list[str]:
    """The lines that a log gets for these snapshots."""
    lines: list[str] = []
    log = PlainLog(lines.append, every_s)
    for shown in snapshots:
        log.update(shown)
    return lines


def test_a_log_tells_each_change_and_each_event_once() -> None:
    began = snapshot(State.ANOMALY)
    ended = replace(began, events=(*began.events[:-1], replace(began.events[-1], end_s=499.0)))
    lines = log_of(snapshot(), snapshot(), began, began, ended, ended, snapshot(State.LOST))
    assert all(re.match(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d[+-]\d\d:\d\d ", line) for line in lines)
    assert all(line.isascii() and "\n" not in line for line in lines)
    assert sum("(was NORMAL)" in line for line in lines) == 1
    told = "sudden; 2.1-2.8 kHz new, 310-420 Hz missing; peak 391, threshold 110"
    assert sum(f"anomaly began at 8:12 in mic: {told}" in line for line in lines) == 1
    assert sum("anomaly ended after 7.00 s, began at 8:12" in line for line in lines) == 1
    assert sum("LOST (was ANOMALY)" in line for line in lines) == 1
    assert sum("gap of 6400 samples" in line for line in lines) == 1


def test_a_log_tells_each_reminder_once() -> None:
    def after(seconds: float, reminders: int) -> Snapshot:
        event = replace(ONGOING, reminders=reminders, peak=300.0 + seconds)
        return snapshot(State.ANOMALY, events=(event,), position_s=492.0 + seconds, uptime_s=1.0)

    lines = log_of(after(1, 0), after(2, 0), after(3603, 1), after(3604, 1), after(7206, 2))
    told = [line.split(" ", 1)[1] for line in lines if "goes on" in line]
    assert [line.partition(",")[0] for line in told] == ["anomaly goes on for 1:00:03", "anomaly goes on for 2:00:06"]
    assert "began at 8:12 in mic: sudden; 2.1-2.8 kHz new" in told[0]
    assert sum("anomaly began" in line for line in lines) == 1


def test_a_log_tells_when_the_machine_is_off_and_on_again() -> None:
    off = Event("off", 60.0, None, START, "mic")
    lines = log_of(snapshot(State.OFF, events=(off,)), snapshot(State.NORMAL, events=(replace(off, end_s=245.0),)))
    assert sum("machine off at 1:00 in mic" in line for line in lines) == 1
    assert sum("machine on again after 3:05, was off at 1:00 in mic" in line for line in lines) == 1


def test_a_log_summarises_every_so_many_seconds_and_says_when_it_is_over() -> None:
    quiet = [snapshot(events=(), uptime_s=float(s)) for s in range(31)]
    lines = log_of(*quiet, replace(quiet[-1], finished=True), every_s=10.0)
    assert sum(" NORMAL  score" in line for line in lines) == 5
    assert "ended after 8:20" in lines[-1]


class Asked:
    """Controls that remember what they were asked."""

    def __init__(self) -> None:
        self.factor = 1.0
        self.over = False

    def quit(self) -> None:
        self.over = True

    def scale_threshold(self, factor: float, number: int) -> None:
        self.factor *= factor


def countdown(calls: int) -> Callable[[], bool]:
    """A `done` that is true from so many calls on."""
    left = iter(range(calls))
    return lambda: next(left, None) is None


def test_what_is_no_terminal_gets_plain_lines() -> None:
    out = io.StringIO()
    show(lambda: (snapshot(),), Asked(), countdown(2), console=Console(file=out))
    assert "\x1b" not in out.getvalue()
    assert len(out.getvalue().splitlines()) == 5  # source, three events, state


def test_a_failure_to_draw_restores_the_screen_and_goes_on_in_plain_lines(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    def broken(*_: object) -> None:
        raise ZeroDivisionError("no width")

    monkeypatch.setattr(Screen, "lines", broken)
    out = io.StringIO()
    console = Console(file=out, force_terminal=True, width=80, height=24, _environ={"TERM": "xterm"})
    show(lambda: (snapshot(),), Asked(), countdown(3), console=console)
    screen, rest = out.getvalue().split("\x1b[?1049l")
    assert screen.startswith("\x1b[?1049h")
    assert "the dashboard stopped (ZeroDivisionError: no width)" in rest
    assert "NORMAL  score" in rest
    assert "\x1b[?25h" in rest


def test_a_console_that_cannot_encode_blocks_gets_ascii() -> None:
    raw = io.BytesIO()
    out = io.TextIOWrapper(raw, encoding="cp1252")
    console = Console(file=out, force_terminal=True, width=80, height=24, _environ={"TERM": "xterm"})
    show(lambda: (snapshot(),), Asked(), countdown(2), console=console)
    out.flush()
    assert b"Spectrogram" in raw.getvalue()
    assert raw.getvalue().isascii()


def test_only_rows_that_changed_are_written_again() -> None:
    out = io.StringIO()
    console = Console(file=out, force_terminal=True, width=80, height=24, _environ={"TERM": "xterm"})
    still, later = snapshot(), snapshot(load=0.5)
    frames = iter([still, still, still, later])
    viewer = Viewer(lambda: (next(frames),), Asked(), countdown(4), console, View(), Path())
    assert viewer.run(lambda _: "", 1000.0) is None
    assert out.getvalue().count("Spectrogram") == 1
    assert out.getvalue().count("USB Audio") == 1
    assert out.getvalue().count("load") == 2


# ---------------------------------------------------------------- a terminal with keys

CHILD = """
import sys, termios
sys.path.insert(0, {tests!r})
from pathlib import Path
from test_dashboard import Asked, snapshot
from monitor.dashboard import live
before = termios.tcgetattr(0)
asked = Asked()
def latest():
    return (snapshot(threshold=110.0 * asked.factor),)
def broken(*_):
    raise RuntimeError("broken on purpose")
if {fail}:
    live.Screen.lines = broken
try:
    live.show(latest, asked, lambda: asked.over or {fail}, fps=20, snapshot_dir=Path({out!r}))
finally:
    same = termios.tcgetattr(0) == before
    print("same settings" if same else "other settings", "%.4f" % asked.factor, flush=True)
"""


@pytest.mark.skipif(sys.platform == "win32", reason="there is no pty")
class TestTerminal:
    """A real pseudo-terminal, with a process that has it as its own."""

    @pytest.fixture
    def start(self, tmp_path: Path) -> Iterator[Callable[..., int]]:
        import pty
        import signal

        children = []

        def start(fail: bool = False) -> int:
            code = CHILD.format(tests=str(Path(__file__).parent), out=str(tmp_path), fail=fail)
            pid, fd = pty.fork()
            if pid == 0:
                environment = {k: v for k, v in os.environ.items() if k not in ("COLUMNS", "LINES", "NO_COLOR")}
                environment |= {"TERM": "xterm-256color", "COLORTERM": "truecolor"}
                os.execve(sys.executable, [sys.executable, "-c", code], environment)
            self.resize(fd, 80, 24)
            children.append((pid, fd))
            return fd

        yield start
        for pid, fd in children:
            os.close(fd)
            os.kill(pid, signal.SIGKILL)
            os.waitpid(pid, 0)

    @staticmethod
    def resize(fd: int, width: int, height: int) -> None:
        import fcntl
        import struct
        import termios

        fcntl.ioctl(fd, termios.TIOCSWINSZ, struct.pack("HHHH", height, width, 0, 0))

    @staticmethod
    def until(fd: int, words: str, seconds: float = 20.0) -> str:
        """What the terminal got until `words` were in it."""
        seen, end = b"", time.monotonic() + seconds
        while words.encode() not in seen:
            assert time.monotonic() < end, f"never saw {words!r} in {seen[-2000:]!r}"
            if select.select([fd], [], [], 0.2)[0]:
                try:
                    seen += os.read(fd, 65536)
                except OSError:  # the other side has ended
                    pytest.fail(f"ended without {words!r}: {seen[-2000:]!r}")
        return seen.decode("utf-8", "replace")

    def test_keys_do_what_they_say_and_the_terminal_is_as_before(
        self, start: Callable[..., int], tmp_path: Path
    ) -> None:
        import termios

        fd = start()
        self.until(fd, "save picture")
        os.write(fd, b"+")
        self.until(fd, "threshold up 5 %")
        os.write(fd, b"-")
        self.until(fd, "threshold down 5 %")
        os.write(fd, b"+\x1b[A\x1bOS")  # the arrow and the function key are no keys of ours
        self.until(fd, "threshold up 5 %")
        os.write(fd, b"s")
        saved = self.until(fd, ".svg")
        (picture,) = tmp_path.glob("monitor-*.svg")
        assert re.fullmatch(r"monitor-\d{8}-\d{6}\.svg", picture.name)
        assert picture.name in saved
        os.write(fd, b" ")
        self.until(fd, "resume")
        os.write(fd, b" ")
        self.until(fd, "pause")
        self.resize(fd, 110, 30)
        self.until(fd, "\x1b[30;1H")
        # Ctrl-Z must not stop the monitoring
        assert termios.tcgetattr(fd)[6][termios.VSUSP] == b"\x00"
        os.write(fd, b"q")
        rest = self.until(fd, " settings 1.0500")
        assert "\x1b[?1049l" in rest
        assert "same settings" in rest

    def test_the_terminal_is_as_before_when_drawing_fails(self, start: Callable[..., int]) -> None:
        rest = self.until(start(fail=True), " settings 1.0000")
        assert "same settings" in rest

    def test_the_terminal_is_as_before_when_interrupted(self, start: Callable[..., int]) -> None:
        fd = start()
        self.until(fd, "save picture")
        os.write(fd, b"\x03")
        rest = self.until(fd, " settings 1.0000")
        assert "\x1b[?1049l" in rest
        assert "same settings" in rest
