"""The whole screen of one stream: it fits every terminal, with and without Unicode and colour, whatever it shows."""

from __future__ import annotations

import math
import re

import numpy as np
import pytest
from rich.cells import cell_len

from monitor.core.events import State
from monitor.dashboard.layout import plan
from monitor.dashboard.render.view import View
from support.snapshots import BANDS, KINDS, SIZES, SLOTS, START, drawn, printed, snapshot

HISTORIES = ("error_history", "score_history", "share_history", "lasting_history")

# What a maintenance engineer should not have to know: the program's inner names, and numbers that are none.
JARGON = re.compile(
    r"threshold|evidence|fused|mahalanobis|latency|dropped|sampl|dBFS|load |\binf\b|nan|%:|[×x]\d|\d[kM]\b|cusum", re.I
)


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("state", list(State))
@pytest.mark.parametrize(("width", "height"), SIZES)
def test_fills_the_terminal_exactly(state: State, kind: str, width: int, height: int) -> None:
    for ascii_only in (False, True):
        for overlay in ("", "help", "details"):
            rows = drawn(
                snapshot(state, kind), width, height, ascii=ascii_only, message="saved", paused=True, overlay=overlay
            )
            assert [cell_len(row) for row in rows] == [width] * height


def test_every_size_is_divided_without_a_row_left_over_or_missing() -> None:
    for outputs in (0, 1, 3):
        for width in range(1, 240, 3):
            for height in range(1, 90):
                at = plan(width, height, outputs)
                below = at.events + 1 if at.events else 0
                used = at.top + at.histories + below + at.status + at.troubles + at.footer
                assert used == height or (height < 6 and used <= height), (width, height, at)


@pytest.mark.parametrize("kind", KINDS)
def test_everything_that_matters_is_on_80_by_24(kind: str) -> None:
    text = "\n".join(drawn(snapshot(State.ANOMALY, kind)))
    for words in (
        "Share of limit",
        "Reconstruction error",
        "Spectrogram",
        "What is unusual",
        "Events",
        "ongoing",
        "USB Audio",
        "pump-3",
    ):
        assert words in text
    for words in ("-60 s", "now", "computer 4 % busy", "5.9 s not heard", "limit: from 40", "-31.4 dB", "% of limit"):
        assert words in text
    for words in ("q quit", "space pause", "? help", "+ - limit", "s save picture", "i details"):
        assert words in text
    assert "unusual for 8 s: new sound at 2.1-2.8 kHz" in text


@pytest.mark.parametrize("kind", ["fused", "mahalanobis", "spectrum", "error"])
@pytest.mark.parametrize("state", list(State))
def test_no_word_on_the_screen_needs_a_programmer(state: State, kind: str) -> None:
    silent = {"level_dbfs": -math.inf, "peak_dbfs": -math.inf, "processing_s": math.nan}
    for changes in ({}, silent, {"lasting_sum": 0.94, "speed": math.inf}):
        shown = snapshot(state, kind, **changes)
        for width, height in ((80, 24), (120, 36), (160, 48), (60, 40), (40, 10)):
            for overlay in ("", "help", "details") if width == 80 else ("",):
                text = "\n".join(drawn(shown, width, height, overlay=overlay))
                assert not JARGON.search(text), JARGON.search(text)


def test_a_name_from_outside_cannot_move_the_cursor_or_break_the_layout() -> None:
    evil = snapshot(source="\x1b[2J\n\r" + "測試" * 40, model="a\tb" * 90)
    for width, height in SIZES:
        for overlay in ("", "help", "details"):
            rows = drawn(evil, width, height, overlay=overlay)
            assert [cell_len(row) for row in rows] == [width] * height
            assert not re.search(r"[\x00-\x1f\x7f]", "".join(rows))


@pytest.mark.parametrize(
    "changes",
    [
        {"threshold": math.inf, "error_threshold": math.nan},
        {"threshold": 0.0, "error_threshold": -1.0},
        {"share_history": np.full(SLOTS, np.inf, np.float32), "share_of_limit": math.inf},
        {"share_history": np.zeros(SLOTS, np.float32), "error_history": np.full(SLOTS, -3, np.float32)},
        {"error_history": np.geomspace(1e-6, 1e6, SLOTS).astype(np.float32)},
        {"score": math.inf, "error": -1e30},
        {"level_dbfs": -math.inf, "peak_dbfs": math.inf, "load": math.nan, "speed": math.inf},
        {"level_dbfs": math.nan, "peak_dbfs": math.nan, "load": 1e9, "speed": math.nan},
        {"lost_s": math.inf, "processing_s": math.inf, "algorithmic_delay_s": math.nan, "position_s": 1e9},
        {
            "band_contribution": np.full(BANDS, 1e9, np.float32),
            "spectrogram": np.full((SLOTS, BANDS), -100, np.float32),
        },
        {name: np.zeros(0, np.float32) for name in HISTORIES}
        | {"spectrogram": np.zeros((0, BANDS), np.float32), "first_slot": 0},
        {name: np.ones(7, np.float32) for name in HISTORIES}
        | {"spectrogram": np.ones((7, BANDS), np.float32), "first_slot": 0},
        {
            "band_contribution": np.array([math.inf, -math.inf, math.nan, 1e38] * (BANDS // 4), np.float32),
            "lasting_sum": math.nan,
        },
        {"lasting_sum": math.inf, "score": math.nan, "threshold_note": ""},
        {"slot_s": 1.0},
        {"position_s": 12.0, "duration_s": 60.0, "finished": True},
    ],
)
def test_odd_numbers_are_drawn_and_not_fatal(changes: dict[str, object]) -> None:
    for width, height in ((80, 24), (100, 30), (160, 48)):
        for overlay in ("", "details"):
            rows = drawn(snapshot(**changes), width, height, overlay=overlay)  # type: ignore[arg-type]
            assert [cell_len(row) for row in rows] == [width] * height


@pytest.mark.parametrize("colour", [True, False])
@pytest.mark.parametrize("state", list(State))
def test_ascii_means_nothing_outside_ascii(state: State, colour: bool) -> None:
    for width, height in SIZES:
        for overlay in ("", "help", "details"):
            view = View(ascii=True, colour=colour, paused=True, message="saved – Größe", now=START, overlay=overlay)  # type: ignore[arg-type]
            assert printed(snapshot(state), width, height, view).isascii()


@pytest.mark.parametrize("state", list(State))
def test_no_colour_codes_without_colour(state: State) -> None:
    colours = re.compile(r"\x1b\[(?:[0-9;]*;)?(?:3[0-9]|4[0-9]|9[0-7]|10[0-7])[;m]")
    assert colours.search(printed(snapshot(state)))
    assert not colours.search(printed(snapshot(state), view=View(colour=False)))
    assert not colours.search(printed(snapshot(state), no_color=True))


@pytest.mark.parametrize("state", list(State))
def test_the_state_can_be_recognised_without_colour(state: State) -> None:
    words = {other: "\n".join(row[:48] for row in drawn(snapshot(other))[:4]) for other in State}
    assert sum(word == words[state] for word in words.values()) == 1
    assert state.value in drawn(snapshot(state), 40, 10)[0]


@pytest.mark.parametrize(("width", "height"), [(80, 24), (60, 40), (40, 10), (120, 36)])
def test_an_output_that_does_not_work_is_said_above_the_keys(width: int, height: int) -> None:
    wrong = "events.jsonl: cannot be written: No space left on device (3 lines missing)"
    row = drawn(snapshot(outputs=(wrong,)), width, height)[-2]
    assert wrong in row if width >= 80 else row.startswith("✕ events.jsonl: ") and row.rstrip().endswith("missing)")
    assert wrong not in "\n".join(drawn(snapshot(), width, height))
    many = drawn(snapshot(outputs=tuple(f"{n}.csv: disk full" for n in range(5))), width, height)
    assert any("more)" in row for row in many[-3:-1])


def test_sixteen_colours_get_coloured_words_and_a_shaded_spectrogram() -> None:
    text = printed(snapshot(State.ANOMALY), color_system="standard")
    assert "\x1b[" in text
    assert "▓" in text
