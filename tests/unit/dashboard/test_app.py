"""The loop that draws and acts on keys."""

from __future__ import annotations

import io
import math
from pathlib import Path

import pytest
from rich.console import Console

from monitor.core.events import State
from monitor.core.snapshot import Snapshot
from monitor.dashboard.app import show
from monitor.dashboard.layout import Screen
from monitor.dashboard.render.view import View
from monitor.dashboard.viewer import Viewer
from support.snapshots import RecordedControls, countdown, press, snapshot, terminal


def test_an_output_that_is_no_terminal_gets_plain_lines() -> None:
    out = io.StringIO()
    show(lambda: (snapshot(),), RecordedControls(), countdown(2), console=Console(file=out))
    assert "\x1b" not in out.getvalue()
    assert len(out.getvalue().splitlines()) == 5  # source, three events, state


def test_log_lines_are_content_with_the_snapshots_that_are_made_anyway() -> None:
    """So a service is scored as seldom as a monitor without any screen."""

    def latest() -> tuple[Snapshot, ...]:
        raise AssertionError("nobody looks")

    out = io.StringIO()
    show(latest, RecordedControls(), countdown(2), published=lambda: (snapshot(),), console=Console(file=out))
    assert "NORMAL" in out.getvalue()


def test_a_failure_to_draw_restores_the_screen_and_goes_on_in_plain_lines(monkeypatch: pytest.MonkeyPatch) -> None:
    def broken(*_: object) -> None:
        raise ZeroDivisionError("no width")

    monkeypatch.setattr(Screen, "lines", broken)
    out = io.StringIO()
    show(lambda: (snapshot(),), RecordedControls(), countdown(3), console=terminal(out))
    screen, rest = out.getvalue().split("\x1b[?1049l")
    assert screen.startswith("\x1b[?1049h")
    assert "the dashboard stopped (ZeroDivisionError: no width)" in rest
    assert "NORMAL  score" in rest
    assert "\x1b[?25h" in rest


def test_a_console_that_cannot_encode_blocks_gets_ascii() -> None:
    raw = io.BytesIO()
    out = io.TextIOWrapper(raw, encoding="cp1252")
    show(lambda: (snapshot(),), RecordedControls(), countdown(2), console=terminal(out))
    out.flush()
    assert b"Spectrogram" in raw.getvalue()
    assert raw.getvalue().isascii()


def test_only_rows_that_changed_are_written_again(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("monitor.dashboard.viewer._REPAINT_S", math.inf)
    out = io.StringIO()
    still, later = snapshot(), snapshot(load=0.5)
    frames = iter([still, still, still, later])
    viewer = Viewer(lambda: (next(frames),), RecordedControls(), countdown(4), terminal(out), View(), Path())
    assert viewer.run(lambda _: "", 1000.0) is None
    assert out.getvalue().count("Spectrogram") == 1
    assert out.getvalue().count("USB Audio") == 1
    assert out.getvalue().count("busy") == 2


def test_q_ends_the_monitoring() -> None:
    assert press("q", snapshot())[1].ended
    assert not press("x", snapshot())[1].ended


def test_plus_and_minus_move_the_limit_by_five_per_cent() -> None:
    shown, controls = press("+", snapshot())
    assert controls.scaled == [(1.05, "")]
    assert "limit up 5 %" in shown
    shown, controls = press("+-", snapshot())
    assert controls.factor == pytest.approx(1.0)
    assert "limit down 5 %" in shown


def test_plus_and_minus_say_what_the_new_limit_means_and_how_to_keep_it() -> None:
    shown, _ = press("+", snapshot(threshold=115.53, false_alarms="about 0.7 false alarms a day"))
    assert "limit up 5 %: about 0.7 false alarms a day; to keep: alarm.threshold: 115.5" in shown
    assert "limit up 5 %: false alarms unknown; to keep: alarm.threshold: 110" in press("+", snapshot())[0]


def test_an_acknowledged_anomaly_is_marked_until_it_ends_and_without_one_the_key_says_so() -> None:
    shown, _ = press("a", snapshot(State.ANOMALY))
    assert "anomaly acknowledged until it ends" in shown
    assert "unusual for 8 s, acknowledged: new sound" in shown
    assert "there is no anomaly to acknowledge" in press("a", snapshot())[0]


def test_a_paused_display_says_since_when_and_the_state_now() -> None:
    shown, _ = press(" ", snapshot(State.ANOMALY))
    assert "paused at " in shown
    assert "state now ANOMALY" in shown
    assert "paused" not in press("  ", snapshot())[0]


def test_s_saves_a_picture_and_says_its_name_or_why_it_could_not(tmp_path: Path) -> None:
    shown, _ = press("s", snapshot(), folder=tmp_path)
    (picture,) = tmp_path.glob("monitor-*.svg")
    assert f"saved {picture.name}" in shown
    assert "not saved: No such file or directory" in press("s", snapshot(), folder=tmp_path / "missing")[0]


def test_without_a_store_the_key_for_hours_and_days_says_why_nothing_changes() -> None:
    shown, _ = press("z", snapshot())
    assert "only the last minute is kept" in shown


def test_keys_are_read_on_a_computer_that_is_too_busy_to_draw_in_time() -> None:
    controls, keys = RecordedControls(), iter(["+", "+", "q"])
    viewer = Viewer(lambda: (snapshot(),), controls, countdown(10), terminal(io.StringIO()), View(), Path())
    assert viewer.run(lambda _: next(keys, ""), 1e9) is None  # the next picture is due before this one is drawn
    assert (len(controls.scaled), controls.ended) == (2, True)
