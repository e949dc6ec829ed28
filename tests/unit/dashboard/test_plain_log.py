"""Log lines in place of the dashboard: each change and each event once, and regular summaries."""

from __future__ import annotations

import io
import math
from collections.abc import Mapping
from dataclasses import replace

from rich.console import Console

from monitor.core.events import Event, State
from monitor.core.snapshot import Snapshot
from monitor.dashboard.app import show
from monitor.dashboard.plain_log import PlainLog
from support.snapshots import ONGOING, START, RecordedControls, countdown, snapshot, stream

Record = tuple[str, Mapping[str, object]]


def records_of(*snapshots: Snapshot, every_s: float = 10.0) -> list[Record]:
    """What a log is given for these snapshots: texts with their facts."""
    records: list[Record] = []
    log = PlainLog(lambda text, facts: records.append((text, facts)), every_s)
    for shown in snapshots:
        log.update(shown)
    return records


def log_of(*snapshots: Snapshot, every_s: float = 10.0) -> list[str]:
    """The lines that a log is given for these snapshots."""
    return [text for text, _ in records_of(*snapshots, every_s=every_s)]


def test_a_log_reports_each_change_and_each_event_once() -> None:
    began = snapshot(State.ANOMALY)
    ended = replace(began, events=(*began.events[:-1], replace(began.events[-1], end_s=499.0)))
    lines = log_of(snapshot(), snapshot(), began, began, ended, ended, snapshot(State.LOST))
    assert all(line.isascii() and "\n" not in line for line in lines)
    assert sum("(was NORMAL)" in line for line in lines) == 1
    why = "sudden; 2.1-2.8 kHz new, 310-420 Hz missing; score up to 355 % of limit"
    assert sum(f"anomaly began at 8:12 in mic: {why}" in line for line in lines) == 1
    assert sum("anomaly ended after 7 s, began at 8:12" in line for line in lines) == 1
    assert sum("LOST (was ANOMALY)" in line for line in lines) == 1
    assert sum("0.4 s not heard at 0:10" in line for line in lines) == 1


def test_the_first_line_says_what_is_listened_to_and_with_which_model_and_limit() -> None:
    first = log_of(snapshot(threshold_note="set by hand"))[0]
    assert first.startswith("listening to microphone: USB Audio ? Ger?t (hw:1,0); model pump-3; ")
    assert first.endswith("method network + spectrum; limit 110 (set by hand)")


def test_a_summary_has_score_and_error_as_shares_of_their_limits() -> None:
    line = log_of(snapshot(State.ANOMALY))[-1]
    assert line.startswith("ANOMALY  score 300, 273 % of limit  error 0.700, 156 % of limit  level -31.4 dB  at 8:20")
    assert line.endswith("computer 4 % busy  5.9 s not heard")


def test_a_summary_has_words_where_there_are_no_figures() -> None:
    silent = snapshot(State.LISTENING, level_dbfs=-math.inf, position_s=0.0, lost_s=0.0)
    assert log_of(silent)[-1] == "LISTENING  no score yet  no sound yet  at 0:00  computer 4 % busy"
    assert "  no sound  at 8:20" in log_of(replace(silent, position_s=500.0))[-1]
    assert "  4 times real time  " in log_of(snapshot(speed=4.0))[-1]


def test_facts_are_numbers_and_null_where_there_are_none() -> None:
    facts = records_of(snapshot(State.LISTENING, level_dbfs=-math.inf))[-1][1]
    assert facts["state"] == "LISTENING"
    assert facts["limit"] == 110.0
    assert facts["not_heard_s"] == 5.9
    assert facts["score"] is None
    assert facts["level_dbfs"] is None


def test_a_log_reports_each_reminder_once() -> None:
    def after(seconds: float, reminders: int) -> Snapshot:
        event = replace(ONGOING, reminders=reminders, peak=300.0 + seconds)
        return snapshot(State.ANOMALY, events=(event,), position_s=492.0 + seconds, uptime_s=1.0)

    lines = log_of(after(1, 0), after(2, 0), after(3603, 1), after(3604, 1), after(7206, 2))
    goes_on = [line for line in lines if "goes on" in line]
    assert [line.partition(",")[0] for line in goes_on] == [
        "anomaly goes on for 1:00:03", "anomaly goes on for 2:00:06",
    ]  # fmt: skip
    assert "began at 8:12 in mic: sudden; 2.1-2.8 kHz new" in goes_on[0]
    assert sum("anomaly began" in line for line in lines) == 1


def test_a_log_reports_when_the_machine_is_off_and_on_again() -> None:
    off = Event("off", 60.0, None, START, "mic")
    lines = log_of(snapshot(State.OFF, events=(off,)), snapshot(State.NORMAL, events=(replace(off, end_s=245.0),)))
    assert sum("machine off at 1:00 in mic" in line for line in lines) == 1
    assert sum("machine on again after 3:05, was off at 1:00 in mic" in line for line in lines) == 1


def test_a_log_reports_when_a_new_mode_begins_and_ends_and_whether_the_end_was_that_of_the_sound() -> None:
    new, what = Event("new mode", 60.0, None, START, "mic"), "an operating mode that was not heard in training"
    for cut_off, until in ((False, ""), (True, ", until the end")):
        ended = replace(new, end_s=245.0, cut_off=cut_off)
        lines = log_of(snapshot(State.NEW_MODE, events=(new,)), snapshot(events=(ended,)))
        assert [line for line in lines if what in line] == [
            f"{what}, at 1:00 in mic", f"{what}, for 3:05{until}, began at 1:00 in mic",
        ]  # fmt: skip
        assert any(line.startswith("NEW MODE  ") for line in lines)


def test_a_log_reports_lost_sound_and_an_adapted_reference() -> None:
    lost = Event("lost", 60.0, None, START, "mic")
    drift = Event("drift", 70.0, 70.0, START, "mic", peak=0.31)
    lines = log_of(snapshot(events=(lost,)), snapshot(events=(replace(lost, end_s=95.0), drift)))
    assert sum(line == "sound lost at 1:00 in mic" for line in lines) == 1
    assert sum(line == "sound is back after 35 s, was lost at 1:00 in mic" for line in lines) == 1
    assert (
        sum(line.startswith("adapted to a slow change of the machine, 31 % of what is allowed") for line in lines) == 1
    )


def test_a_log_summarises_every_so_many_seconds_and_says_when_it_is_over() -> None:
    quiet = [snapshot(events=(), uptime_s=float(s)) for s in range(31)]
    lines = log_of(*quiet, replace(quiet[-1], finished=True), every_s=10.0)
    assert sum(line.startswith("NORMAL  score") for line in lines) == 5
    assert lines[-1] == "ended after 8:20; 1 anomaly"


def test_lines_of_several_streams_have_the_name_of_the_stream_and_one_summary_of_all() -> None:
    out = io.StringIO()
    streams = (stream("press"), stream("fan", State.ANOMALY, 2.0))
    show(lambda: streams, RecordedControls(), countdown(3), console=Console(file=out))
    lines = out.getvalue().splitlines()
    assert sum(line.startswith("press: NORMAL") for line in lines) == 1
    assert sum(line.startswith("fan: anomaly began") for line in lines) == 1
    (summary,) = [line for line in lines if line.startswith("2 streams: 1 ANOMALY, 1 NORMAL")]
    assert "nearest to an alarm: 200 % of limit in fan" in summary
