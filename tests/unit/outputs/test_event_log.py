"""Events can be read back as JSON lines, while the program runs and after it."""

from __future__ import annotations

import dataclasses
import datetime
import json
from pathlib import Path
from typing import Any

from monitor.core.events import Band, Event
from monitor.outputs.event_log import EventLog
from support.listening import wait_until
from support.outputs import anomaly, score_rows


def read_lines(path: Path) -> list[dict[str, Any]]:
    return [json.loads(line) for line in path.read_text(encoding="utf-8").splitlines()]


def test_events_parse_back_as_json_lines(tmp_path: Path) -> None:
    path = tmp_path / "events.jsonl"
    log = EventLog(path)
    gap = Event("gap", 9.0, 9.5, 1_700_000_009.0, "mic", lost_samples=8000)
    lasting = anomaly(end_s=None)
    for one in (lasting, dataclasses.replace(lasting, end_s=4.0), gap):
        log.event(one)
    log.close()
    began, ended, lost = read_lines(path)
    assert began["end_s"] is None
    assert began["duration_s"] is None
    assert {key: began[key] for key in ("kind", "start_s", "source", "peak", "mean", "threshold")} == {
        "kind": "anomaly",
        "start_s": 1.5,
        "source": "pump.wav",
        "peak": 33.25,
        "mean": 21.5,
        "threshold": 12.5,
    }
    assert (ended["end_s"], ended["duration_s"]) == (4.0, 2.5)
    assert began["id"] == ended["id"] != lost["id"]
    time = datetime.datetime.fromisoformat(ended["time"])
    assert time == datetime.datetime(2023, 11, 14, 22, 13, 20, 250_000, tzinfo=datetime.UTC)
    assert (lost["kind"], lost["lost_samples"]) == ("gap", 8000)


def test_a_line_has_all_that_is_known_of_an_event_and_its_bands_are_objects(tmp_path: Path) -> None:
    bands = (Band(2100.0, 2800.0, 0.625, "new"), Band(310.0, 420.0, 0.25, "missing"))
    log = EventLog(tmp_path / "events.jsonl")
    log.event(anomaly(end_s=None, bands=bands, model_id="0123abcd", reminders=1, reported_s=2.5))
    log.close()
    [line] = read_lines(tmp_path / "events.jsonl")
    assert list(line) == ["time", *(field.name for field in dataclasses.fields(Event)), "duration_s"]
    assert line["bands"] == [
        {"low_hz": 2100.0, "high_hz": 2800.0, "share": 0.625, "change": "new"},
        {"low_hz": 310.0, "high_hz": 420.0, "share": 0.25, "change": "missing"},
    ]
    assert (line["cause"], line["model_id"], line["reminders"], line["reported_s"]) == ("sudden", "0123abcd", 1, 2.5)


def test_events_of_another_run_are_appended_and_scores_are_not_among_them(tmp_path: Path) -> None:
    for _ in range(2):
        log = EventLog(tmp_path / "events.jsonl")
        log.event(anomaly())
        log.scores(score_rows())
        log.close()
    assert [line["kind"] for line in read_lines(tmp_path / "events.jsonl")] == ["anomaly", "anomaly"]


def test_who_follows_the_file_sees_an_event_before_the_end(tmp_path: Path) -> None:
    path = tmp_path / "events.jsonl"
    log = EventLog(path)
    log.event(anomaly())
    wait_until(lambda: path.read_text(encoding="utf-8").endswith("\n"), "the event in the file")
    log.close()
