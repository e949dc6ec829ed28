"""Stored events as text: complete, in order, and harmless."""

from __future__ import annotations

import datetime
import io
import json

import pytest
from rich.cells import cell_len
from rich.console import Console

from monitor.notify.outbox import Delivery
from monitor.report import event_text
from monitor.report.event_table import as_json, print_event, print_table
from monitor.store.records import StoredEvent
from monitor.store.verdicts import StoredVerdict
from support.stored import NOW, stored_event

EVENTS = [
    stored_event(0, stream="pump", clip="a.flac"),
    stored_event(1, kind="lost", peak_share=None, cause="", bands=(), stream="conveyor \x1b[31m 🏭", ended=None),
    stored_event(2, acknowledged=NOW, acknowledged_by="Kim", stream="fan"),
]


def table(events: list[StoredEvent], width: int = 80, *, terminal: bool = False) -> list[str]:
    """The lines of the table, without colours."""
    out = io.StringIO()
    console = Console(file=out, width=width, force_terminal=terminal, color_system=None, highlight=False)
    print_table(console, events, {one.id: one.id[:13] for one in events}, hosts=False)
    return out.getvalue().splitlines()


def test_in_a_pipe_each_event_has_one_line_with_everything() -> None:
    lines = table(EVENTS, width=40)
    assert len(lines) == 1 + len(EVENTS)
    assert "sudden: new sound at 2.1-2.8 kHz, missing sound at 310-420 Hz; acknowledged by Kim" in lines[3]
    for word in ("anomaly", "45 s", "355 %", "yes", "019ac4f0-0000"):
        assert word in lines[1]
    assert "no sound" in lines[2]
    assert "ongoing" in lines[2]


def test_on_80_columns_nothing_is_wider_and_nothing_is_cut() -> None:
    lines = table(EVENTS, 80, terminal=True)
    assert all(cell_len(line) <= 80 for line in lines)
    text = " ".join(" ".join(lines).split())
    assert text.count("new sound at 2.1-2.8 kHz, missing sound at 310-420 Hz") == 2
    assert "acknowledged by Kim" in text


def test_a_name_cannot_control_the_terminal() -> None:
    assert "\x1b" not in "".join(table(EVENTS))


def test_columns_stand_below_each_other_whatever_is_in_the_names() -> None:
    lines = table(EVENTS)
    ends = {cell_len(line[: line.index("019ac4f0")]) for line in lines[1:]}
    assert len(ends) == 1


def test_one_event_is_shown_whole_with_the_paths_of_its_files_and_its_messages() -> None:
    out = io.StringIO()
    event = stored_event(clip="2025/a.flac", picture="2025/a.png", locked=True)
    messages = [
        Delivery("d1", event.id, "hall", "pump", "anomaly", "mail", "began", "given up", NOW, NOW, 5, None, "no route"),
        Delivery("d2", event.id, "hall", "pump", "anomaly", "hook", "began", "sent", NOW, NOW, 1, NOW, ""),
    ]
    said = [StoredVerdict(NOW, "Ann", "real fault", "bearing", "1f0c"), StoredVerdict(NOW + 60, "Ben", "", "", "1f0c")]
    print_event(
        Console(file=out, width=60, highlight=False), event, lambda host, path: f"/{host}/clips/{path}", messages, said
    )
    text = out.getvalue()
    for part in (event.id, "pump on hall-3", "45 s", "355 % of the limit", "up to 391, limit 110",
                 "missing sound at 310-420 Hz",
                 "/hall-3/clips/2025/a.flac", "/hall-3/clips/2025/a.png", "fault, ", "by Ann: bearing",
                 "began, to mail: given up after 5 attempts: no route", "began, to hook: sent "):  # fmt: skip
        assert part in text


def test_json_has_every_field_times_in_utc_and_no_number_that_is_none() -> None:
    event = stored_event(peak=float("nan"), note="\x9b31m")
    line = as_json(event)
    assert line.isprintable()
    facts = json.loads(line)
    assert set(facts) == set(StoredEvent.__slots__)
    assert datetime.datetime.fromisoformat(facts["onset"]).timestamp() == pytest.approx(event.onset, abs=1e-3)
    assert facts["onset"].endswith("Z")
    assert facts["peak"] is None
    assert facts["acknowledged"] is None
    assert facts["bands"][0] == {"low_hz": 2100.0, "high_hz": 2800.0, "share": 0.6, "change": "new"}


def test_the_offset_of_local_time_is_said_once_or_for_both_sides_of_a_change(monkeypatch: pytest.MonkeyPatch) -> None:
    import time

    monkeypatch.setenv("TZ", "Europe/Berlin")
    time.tzset()
    try:
        summer, winter = 1_760_000_000.0, 1_764_000_000.0
        assert event_text.offsets(winter, winter) == "UTC+01:00"
        assert event_text.offsets(summer, winter) == "UTC+02:00 and UTC+01:00"
    finally:
        monkeypatch.undo()
        time.tzset()
