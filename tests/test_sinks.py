"""What sinks write can be read back; a slow or full disk stops neither the engine nor its own counting."""

from __future__ import annotations

import contextlib
import csv
import dataclasses
import datetime
import json
import os
import threading
from collections.abc import Callable, Iterator
from pathlib import Path

import numpy as np
import pytest

from monitor.core.errors import MonitorError
from monitor.outputs.sink import EventLog, ScoreLog, ScoreRows
from monitor.core.snapshot import Band, Event, State

FULL = Path("/dev/full")
needs_full_disk = pytest.mark.skipif(not FULL.exists(), reason="there is no /dev/full here")
needs_pipe = pytest.mark.skipif(not hasattr(os, "mkfifo"), reason="there are no named pipes here")


def rows(first: int = 0, count: int = 3, *, source: str = "pump.wav") -> ScoreRows:
    at = np.arange(first, first + count)
    return ScoreRows(source, first, 0.01, at / 7, at * 1e3 / 3, 12.5, State.NORMAL)


def event(start_s: float = 1.5, end_s: float | None = 4.0) -> Event:
    return Event("anomaly", start_s, end_s, 1_700_000_000.25, "pump.wav", 33.25, 21.5, 12.5)


def read_csv(path: Path) -> list[dict[str, str]]:
    with path.open(encoding="utf-8", newline="") as file:
        return list(csv.DictReader(file))


# What is written


def test_scores_parse_back_as_csv(tmp_path: Path) -> None:
    path = tmp_path / "new" / "scores.csv"
    log = ScoreLog(path)
    log.scores(rows(0, 3))
    log.scores(rows(3, 1000, source="other.wav"))
    log.close()
    table = read_csv(path)
    assert list(table[0]) == ["source", "time_s", "error", "score", "threshold"]
    assert [row["source"] for row in table] == ["pump.wav"] * 3 + ["other.wav"] * 1000
    for number, row in enumerate(table):
        assert float(row["time_s"]) == pytest.approx(number * 0.01, abs=1e-9)
        assert float(row["error"]) == pytest.approx(number / 7, rel=1e-8)
        assert float(row["score"]) == pytest.approx(number * 1e3 / 3, rel=1e-8)
        assert float(row["threshold"]) == 12.5
    assert (log.error, log.dropped) == (None, 0)


@pytest.mark.parametrize("source", ["a,b.wav", 'say "hum".wav', "two\nlines.wav", " größe µ.wav ", "", "=1+1.wav"])
def test_a_name_with_anything_in_it_parses_back(tmp_path: Path, source: str) -> None:
    log = ScoreLog(tmp_path / "scores.csv")
    log.scores(rows(source=source))
    log.close()
    assert [row["source"] for row in read_csv(tmp_path / "scores.csv")] == [source] * 3


def test_a_name_that_is_no_text_harms_neither_the_log_nor_the_engine(tmp_path: Path, monkeypatch) -> None:
    """A file called b"\\xff.wav" is "\\udcff.wav" in Python, which UTF-8 cannot write."""
    monkeypatch.setattr(threading, "excepthook", lambda _: None)
    log = ScoreLog(tmp_path / "scores.csv")
    log.scores(rows(source=os.fsdecode(b"\xff.wav")))
    log.scores(rows(source="next.wav"))
    log.close()
    text = (tmp_path / "scores.csv").read_bytes()
    assert log.error is not None or b"next.wav" in text


def test_a_score_that_is_not_there_yet_is_empty(tmp_path: Path) -> None:
    log = ScoreLog(tmp_path / "scores.csv")
    log.scores(ScoreRows("x", 0, 0.01, np.array([1.0, 2]), np.array([np.nan, 3]), 1.0, State.LISTENING))
    log.close()
    assert [row["score"] for row in read_csv(tmp_path / "scores.csv")] == ["", "3"]


def test_small_and_large_scores_keep_nine_digits(tmp_path: Path) -> None:
    values = np.array([1.23456789e-12, 1.23456789e17, 0.0])
    log = ScoreLog(tmp_path / "scores.csv")
    log.scores(ScoreRows("x", 0, 0.01, values, values, 1.0, State.NORMAL))
    log.close()
    assert [float(row["score"]) for row in read_csv(tmp_path / "scores.csv")] == values.tolist()


def test_events_parse_back_as_json_lines(tmp_path: Path) -> None:
    path = tmp_path / "new" / "events.jsonl"
    log = EventLog(path)
    gap = Event("gap", 9.0, 9.5, 1_700_000_009.0, "mic", lost_samples=8000)
    for one in (event(end_s=None), event(), gap):
        log.event(one)
    log.close()
    began, ended, lost = (json.loads(line) for line in path.read_text(encoding="utf-8").splitlines())
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
    time = datetime.datetime.fromisoformat(ended["time"])
    assert time == datetime.datetime(2023, 11, 14, 22, 13, 20, 250_000, tzinfo=datetime.UTC)
    assert (lost["kind"], lost["lost_samples"]) == ("gap", 8000)


def test_the_bands_of_an_anomaly_are_a_list_of_objects(tmp_path: Path) -> None:
    bands = (Band(2100.0, 2800.0, 0.625, "new"), Band(310.0, 420.0, 0.25, "missing"))
    log = EventLog(tmp_path / "events.jsonl")
    log.event(dataclasses.replace(event(end_s=None), cause="sudden", bands=bands, model_id="0123abcd", reminders=1))
    log.close()
    told = json.loads((tmp_path / "events.jsonl").read_text(encoding="utf-8"))
    assert list(told) == ["time", *(field.name for field in dataclasses.fields(Event)), "duration_s"]
    assert told["bands"] == [
        {"low_hz": 2100.0, "high_hz": 2800.0, "share": 0.625, "change": "new"},
        {"low_hz": 310.0, "high_hz": 420.0, "share": 0.25, "change": "missing"},
    ]
    assert (told["cause"], told["model_id"], told["reminders"]) == ("sudden", "0123abcd", 1)


def test_events_are_appended_and_scores_begin_anew(tmp_path: Path) -> None:
    for _ in range(2):
        events, scores = EventLog(tmp_path / "events.jsonl"), ScoreLog(tmp_path / "scores.csv")
        events.event(event())
        events.scores(rows())
        scores.scores(rows())
        scores.event(event())
        events.close()
        scores.close()
    assert len((tmp_path / "events.jsonl").read_text().splitlines()) == 2
    assert len(read_csv(tmp_path / "scores.csv")) == 3


@pytest.mark.parametrize("wait", [True, False])
def test_closing_writes_what_is_waiting(tmp_path: Path, wait: bool) -> None:
    log = ScoreLog(tmp_path / "scores.csv", wait=wait)
    for number in range(200):
        log.scores(rows(10 * number, 10))
    log.close()
    assert len(read_csv(tmp_path / "scores.csv")) == 2000


def test_who_follows_the_file_sees_an_event_before_the_end(tmp_path: Path) -> None:
    log = EventLog(tmp_path / "events.jsonl")
    log.event(event())
    in_time(lambda: wait_for_line(tmp_path / "events.jsonl"))
    log.close()


def wait_for_line(path: Path) -> None:
    while not path.read_text(encoding="utf-8").endswith("\n"):
        threading.Event().wait(0.01)


def in_time(action: Callable[[], object]) -> None:
    """Does something that a mistake would make last for ever."""
    thread = threading.Thread(target=action, daemon=True)
    thread.start()
    thread.join(60)
    assert not thread.is_alive(), "it does not end"


# When the disk is slow: a pipe that nobody reads yet stands for it


@contextlib.contextmanager
def pipe(path: Path) -> Iterator[int]:
    """A named pipe that can be written to, and is not read."""
    os.mkfifo(path)
    descriptor = os.open(path, os.O_RDONLY | os.O_NONBLOCK)
    os.set_blocking(descriptor, True)
    try:
        yield descriptor
    finally:
        os.close(descriptor)


def drained(descriptor: int, into: list[bytes]) -> threading.Thread:
    """A thread that reads all there is and will be."""

    def read() -> None:
        while block := os.read(descriptor, 65536):
            into.append(block)

    thread = threading.Thread(target=read)
    thread.start()
    return thread


LINES = 20  # of each portion
PORTIONS = 3000  # more than the pipe and the queue hold


@needs_pipe
def test_a_full_queue_drops_the_oldest_and_counts_them(tmp_path: Path) -> None:
    with pipe(tmp_path / "slow") as descriptor:
        log = ScoreLog(tmp_path / "slow", wait=False)
        for number in range(PORTIONS):
            log.scores(rows(number * LINES, LINES))
        dropped_before_any_was_read = log.dropped
        content: list[bytes] = []
        thread = drained(descriptor, content)
        log.close()
        thread.join()
    times = [round(float(line.split(b",")[1]) * 100) for line in b"".join(content).splitlines() if b"pump" in line]
    portions = [at // LINES for at in times[::LINES]]
    assert times == [number * LINES + i for number in portions for i in range(LINES)], "whole portions, in order"
    assert dropped_before_any_was_read > PORTIONS / 2
    assert log.dropped in (PORTIONS - len(portions), PORTIONS - len(portions) + 1), "the header line may be one of them"
    assert portions[-100:] == list(range(PORTIONS - 100, PORTIONS)), "the newest are all there"
    assert log.error is None


@needs_pipe
def test_where_the_sink_waits_nothing_is_dropped(tmp_path: Path) -> None:
    with pipe(tmp_path / "slow") as descriptor:
        log = ScoreLog(tmp_path / "slow", wait=True)

        def push() -> None:
            for number in range(PORTIONS):
                log.scores(rows(number * LINES, LINES))

        engine = threading.Thread(target=push)
        engine.start()
        engine.join(0.2)
        assert engine.is_alive(), "it waits: neither pipe nor queue holds so much"
        content: list[bytes] = []
        thread = drained(descriptor, content)
        engine.join()
        log.close()
        thread.join()
    lines = b"".join(content).splitlines()
    assert lines[0] == b"source,time_s,error,score,threshold"
    assert [round(float(line.split(b",")[1]) * 100) for line in lines[1:]] == list(range(PORTIONS * LINES))
    assert log.dropped == 0


# When it cannot be written


@needs_full_disk
@pytest.mark.parametrize("wait", [True, False])
def test_a_full_disk_is_kept_as_an_error_and_raises_nothing(wait: bool) -> None:
    log = ScoreLog(FULL, wait=wait)

    def push() -> None:
        for number in range(2000):
            log.scores(rows(number * 100, 100))
        log.close()

    in_time(push)
    assert isinstance(log.error, MonitorError)
    assert str(log.error) == "/dev/full: cannot be written any more: No space left on device."


@needs_full_disk
def test_events_on_a_full_disk_are_kept_as_an_error() -> None:
    log = EventLog(FULL)
    log.event(event())
    log.close()
    assert isinstance(log.error, MonitorError)


@pytest.mark.parametrize("sink", [ScoreLog, EventLog])
def test_a_file_that_cannot_be_made_is_told_before_anything_starts(tmp_path: Path, sink: type) -> None:
    (tmp_path / "file").touch()
    before = threading.active_count()
    for path in (tmp_path, tmp_path / "file" / "x"):
        with pytest.raises(MonitorError, match="cannot be written") as caught:
            sink(path)
        assert "\n" not in str(caught.value)
    assert threading.active_count() == before
