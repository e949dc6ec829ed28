"""What the program says while it works: plain lines for people, JSON lines for programs, never a broken line."""

from __future__ import annotations

import json
import logging
import os
from datetime import datetime
from pathlib import Path

import pytest

from monitor.cli.logs import event_writer, report_error, set_up_logs
from monitor.cli.output import say
from monitor.core.text import printable

log = logging.getLogger("monitor.somewhere")


def test_a_line_is_the_message_alone_or_with_the_time_before_it(capsys: pytest.CaptureFixture[str]) -> None:
    set_up_logs()
    log.info("the microphone is %s", "back")
    assert capsys.readouterr().err == "the microphone is back\n"
    set_up_logs(timed=True)
    log.info("the microphone is back")
    time, message = capsys.readouterr().err.split(" ", 1)
    assert message == "the microphone is back\n"
    assert datetime.fromisoformat(time).tzinfo is not None


def test_a_message_is_one_line_whatever_is_in_it(capsys: pytest.CaptureFixture[str]) -> None:
    for as_json in (False, True):
        set_up_logs(as_json=as_json)
        log.warning("%s", "two\nlines, \x1b[2J and a tab\t")
        assert capsys.readouterr().err.count("\n") == 1


def test_json_has_time_level_source_message_and_further_facts(capsys: pytest.CaptureFixture[str]) -> None:
    set_up_logs(as_json=True)
    log.warning("Größe %d\n", 3, extra={"facts": {"kind": "state", "score": 1.5}})
    line = json.loads(capsys.readouterr().err)
    assert datetime.fromisoformat(line.pop("time")).tzinfo is not None
    assert line == {
        "level": "warning",
        "logger": "monitor.somewhere",
        "message": "Größe 3\n",
        "kind": "state",
        "score": 1.5,
    }


def test_details_are_not_shown_unless_they_are_asked_for(capsys: pytest.CaptureFixture[str]) -> None:
    set_up_logs()
    log.debug("a detail")
    assert capsys.readouterr().err == ""
    set_up_logs(level=logging.DEBUG)
    log.debug("a detail")
    assert capsys.readouterr().err == "a detail\n"


def test_setting_up_logs_again_doubles_no_line(capsys: pytest.CaptureFixture[str]) -> None:
    for _ in range(3):
        set_up_logs()
    log.info("once")
    logging.getLogger("train.somewhere").info("once, too")
    assert capsys.readouterr().err == "once\nonce, too\n"


def test_events_are_lines_on_standard_output_and_nowhere_else(capsys: pytest.CaptureFixture[str]) -> None:
    set_up_logs()
    event_writer(as_json=False)("NORMAL", {"kind": "state"})
    event_writer(as_json=True)("NORMAL", {"kind": "state"})
    printed = capsys.readouterr()
    plain, as_json = printed.out.splitlines()
    assert plain.endswith(" NORMAL")
    assert json.loads(as_json)["message"] == "NORMAL"
    assert json.loads(as_json)["kind"] == "state"
    assert printed.err == ""


def test_the_error_that_ends_a_command_is_json_where_the_other_lines_are(capsys: pytest.CaptureFixture[str]) -> None:
    set_up_logs()
    report_error("two", "messages")
    assert capsys.readouterr().err == "monitor: two\nmessages\n"
    set_up_logs(as_json=True)
    report_error("two", "messages")
    [line] = capsys.readouterr().err.splitlines()
    assert (json.loads(line)["level"], json.loads(line)["message"]) == ("error", "two\nmessages")


HOSTILE = [
    "a\nmonitor: all is well",
    "\x1b[2J",
    "\x1b]0;x\x07",
    "\u202egnp",
    "\x9b31m",
    "\r",
    "\u2028",
    "\x85",
    "\ud800",
]


@pytest.mark.parametrize("name", HOSTILE, ids=ascii)
@pytest.mark.parametrize("as_json", [False, True])
def test_no_name_in_an_error_a_log_line_or_a_result_forges_a_line_or_controls_the_terminal(
    capsys: pytest.CaptureFixture[str], name: str, as_json: bool
) -> None:
    set_up_logs(as_json=as_json)
    log.warning("%s.wav: is silent", name)
    report_error(f"{name}.wav: cannot be read.")
    event_writer(as_json=as_json)(f"anomaly in {name}.wav", {"recording": name})
    say(printable(f"{name}.wav: score 3"))
    printed = capsys.readouterr()
    for text in (printed.err, printed.out):
        assert text.count("\n") == 2
        assert text.replace("\n", "").isprintable()


def test_the_line_breaks_of_the_program_itself_stay(capsys: pytest.CaptureFixture[str]) -> None:
    say("one\ntwo \x1b[1m")
    assert capsys.readouterr().out == "one\ntwo ?[1m\n"


def test_standard_output_that_nobody_reads_ends_the_writing(monkeypatch: pytest.MonkeyPatch) -> None:
    read, write = os.pipe()
    os.close(read)
    with os.fdopen(write, "w", buffering=1, closefd=False) as nobody_reads:
        monkeypatch.setattr("sys.stdout", nobody_reads)
        with pytest.raises(BrokenPipeError):
            event_writer(as_json=False)("NORMAL", {})
        # What could not be written is not to be written when it is closed.
        os.dup2(os.open(os.devnull, os.O_WRONLY), write)
    os.close(write)


def test_standard_error_that_nobody_reads_harms_nothing(monkeypatch: pytest.MonkeyPatch) -> None:
    read, write = os.pipe()
    os.close(read)
    with os.fdopen(write, "w", buffering=1, closefd=False) as nobody_reads:
        monkeypatch.setattr("sys.stderr", nobody_reads)
        set_up_logs()
        log.info("to nobody")
        report_error("to nobody")
        os.dup2(os.open(os.devnull, os.O_WRONLY), write)
    os.close(write)


def test_in_the_journal_each_line_has_its_level_and_no_time_of_its_own(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    journal = tmp_path / "journal"
    with journal.open("w", buffering=1) as file:
        found = os.fstat(file.fileno())
        monkeypatch.setattr("sys.stderr", file)
        monkeypatch.setattr("sys.stdout", file)
        monkeypatch.setenv("JOURNAL_STREAM", f"{found.st_dev}:{found.st_ino}")
        set_up_logs(timed=True)
        log.info("the microphone is back")
        log.warning("late")
        write = event_writer(as_json=False)
        write("NORMAL", {"kind": "state", "state": "NORMAL"})
        write("ANOMALY", {"kind": "state", "state": "ANOMALY"})
        write("sound lost", {"kind": "event", "event": {"kind": "lost", "end_s": None}})
        event_writer(as_json=True)("NORMAL", {})
        report_error("two", "messages")
    lines = journal.read_text().splitlines()
    as_json = lines.pop(5)
    assert lines == [
        "<6>the microphone is back", "<4>late", "<6>NORMAL", "<4>ANOMALY", "<4>sound lost", "<3>monitor: two",
        "<3>messages",
    ]  # fmt: skip
    assert as_json.startswith("<6>{")
    assert json.loads(as_json[3:])["message"] == "NORMAL"


def test_what_a_service_writes_to_a_file_has_times_and_no_levels(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """The variable of the journal is inherited also by processes that write elsewhere."""
    monkeypatch.setenv("JOURNAL_STREAM", "8:12345")
    set_up_logs(timed=True)
    log.warning("late")
    assert datetime.fromisoformat(capsys.readouterr().err.split(" ")[0]).tzinfo is not None
