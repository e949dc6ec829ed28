"""Hours and days come from the store without a wait, of the stream that is shown, and what is wrong is said."""

from __future__ import annotations

import io
import threading
import time
from dataclasses import replace
from pathlib import Path

import pytest

from monitor.core.errors import MonitorError
from monitor.dashboard import history
from monitor.dashboard.history import BackgroundHistory, stored_history
from monitor.dashboard.render.view import TIME_SPANS, View
from monitor.dashboard.viewer import Viewer
from monitor.store.database import Store
from monitor.store.records import MinuteValues
from support.listening import DEADLINE_S, wait_until
from support.snapshots import RecordedControls, snapshot, stream, terminal
from support.stored import fill, minute_values

HOUR_S, DAY_S, MONTH_S = (span.seconds for span in TIME_SPANS[1:])
VALUES = minute_values(1, 300)


def test_a_store_that_hangs_delays_nothing_and_is_said(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(history, "SLOW_S", 0.0)
    answer = threading.Event()

    def read(name: str, span_s: float, step_s: float) -> MinuteValues:
        answer.wait()
        return VALUES

    reader = BackgroundHistory(read)
    assert reader.request("pump", DAY_S) is None
    wait_until(lambda: "has not answered" in reader.trouble)
    answer.set()
    wait_until(lambda: reader.request("pump", DAY_S) is VALUES)
    assert reader.trouble == ""
    reader.close()


def test_only_the_stream_and_the_time_that_are_shown_are_read() -> None:
    asked: list[tuple[str, float, float]] = []

    def read(name: str, span_s: float, step_s: float) -> MinuteValues:
        asked.append((name, span_s, step_s))
        return replace(VALUES, step_s=step_s)

    reader = BackgroundHistory(read)
    for name, span_s in (("pump", HOUR_S), ("fan", HOUR_S), ("fan", MONTH_S)):
        wait_until(lambda name=name, span_s=span_s: reader.request(name, span_s) is not None)
    assert asked == [("pump", HOUR_S, 60.0), ("fan", HOUR_S, 60.0), ("fan", MONTH_S, 7200.0)]
    reader.close()


def test_values_of_another_stream_are_never_shown() -> None:
    reader = BackgroundHistory(lambda name, span_s, step_s: VALUES)
    wait_until(lambda: reader.request("pump", DAY_S) is not None)
    assert reader.request("fan", DAY_S) is None
    reader.close()


def test_old_values_stay_while_the_store_is_away_and_it_is_tried_again() -> None:
    away = threading.Event()

    def read(name: str, span_s: float, step_s: float) -> MinuteValues:
        if away.is_set():
            raise MonitorError("monitor.sqlite: another program has locked it for more than 5 s.")
        return VALUES

    reader = BackgroundHistory(read, read_every_s=0.01)
    wait_until(lambda: reader.request("pump", DAY_S) is VALUES)
    away.set()
    wait_until(lambda: reader.request("pump", DAY_S) is VALUES and "locked" in reader.trouble)
    away.clear()
    wait_until(lambda: reader.request("pump", DAY_S) is VALUES and not reader.trouble)
    reader.close()


def screen_after(keys: str, url: str, *shown: str, until: str) -> str:
    """Presses keys before streams, and returns the screen's text as soon as it contains `until`."""
    out = io.StringIO()
    reader = stored_history(url, "hall-3", unnamed="pump")
    snapshots = [stream(name) for name in shown] or [snapshot()]
    left = iter(keys)
    deadline = time.monotonic() + DEADLINE_S

    def done() -> bool:
        return until in out.getvalue() or time.monotonic() > deadline

    console = terminal(out, 100, 30)
    viewer = Viewer(lambda: snapshots, RecordedControls(), done, console, View(), Path(), reader)
    failure = viewer.run(lambda seconds: next(left, "") or wait_a_moment(), 50.0)
    reader.close()
    if failure is not None:
        raise failure
    return out.getvalue()


def wait_a_moment() -> str:
    threading.Event().wait(0.01)
    return ""


def test_z_shows_the_hour_the_day_and_the_month_of_the_store(tmp_path: Path) -> None:
    url = f"sqlite:///{tmp_path / 'monitor.sqlite'}"
    with Store.open(url) as store:
        fill(store, {"pump": minute_values(2, 600, until=time.time()), "fan": minute_values(2, 600, until=time.time())})
    assert "last 24 h" in screen_after("zz", url, until="normal")
    assert "last 30 d" in screen_after("zzz", url, until="normal")
    assert "last 1 h" in screen_after("\nz", url, "pump", "fan", until="last 1 h")
    assert "Spectrogram" in screen_after("zzzz", url, until="Spectrogram")


def test_a_stream_without_values_and_a_missing_store_are_said() -> None:
    url = "sqlite:///monitor.sqlite"  # in the test's own folder: a long path would leave no room for the message
    assert "nothing is stored here yet" in screen_after("z", url, until="nothing is stored here yet")
    Store.open(url).close()
    assert "no values of this stream yet" in screen_after("z", url, until="no values of this stream yet")


def test_in_the_table_the_key_says_to_open_a_stream(tmp_path: Path) -> None:
    url = f"sqlite:///{tmp_path / 'monitor.sqlite'}"
    assert "open a stream first" in screen_after("z", url, "pump", "fan", until="open a stream first")
