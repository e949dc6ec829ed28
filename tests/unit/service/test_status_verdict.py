"""The line and the exit code of `monitor status`: the worst problem decides, and a check understands it."""

from __future__ import annotations

import re
from typing import Any

import pytest

from monitor.core.errors import EXIT_ANOMALY, EXIT_FAILURE, EXIT_OK, EXIT_SOURCE_LOST, ConfigError
from monitor.core.events import State
from monitor.service.status_values import stream_values
from monitor.service.status_verdict import verdict
from support.snapshots import stream


def status(*states: State, **changes: Any) -> dict[str, Any]:
    """The status of streams that are called a, b, …"""
    values = [stream_values(stream("abcdefgh"[n], state)) for n, state in enumerate(states)]
    streams = [{**one, "scored_s_ago": 0.2, "stalled": False} for one in values]
    beside: dict[str, Any] = {"outputs": [], "disks": [], "deliveries": None, "facts_s_ago": 1.0, "hung": ""}
    return {"streams": streams, **beside, **changes}


DISK = {"name": "clips", "folder": "/x", "free_bytes": 2_500_000, "least_free_bytes": 1_000_000_000, "low": True}


@pytest.mark.parametrize(
    ("states", "code", "beginning"),
    [
        ([State.NORMAL], EXIT_OK, "OK - a NORMAL, 50 % of the limit, scored 0 s ago, model pump-3"),
        ([State.LISTENING], EXIT_OK, "OK - a LISTENING"),
        ([State.OFF, State.NORMAL, State.NORMAL], EXIT_OK, "OK - of 3 streams 2 NORMAL, 1 OFF"),
        ([State.WARNING], EXIT_OK, "OK - a WARNING"),
        ([State.NEW_MODE], EXIT_OK, "OK - a NEW MODE"),
        ([State.NORMAL, State.LOST], EXIT_SOURCE_LOST, "LOST - b LOST; of 2 streams 1 NORMAL"),
        ([State.NO_SIGNAL], EXIT_SOURCE_LOST, "LOST - a NO SIGNAL"),
        ([State.OVERLOADED], EXIT_SOURCE_LOST, "LOST - a OVERLOADED"),
        ([State.LOST, State.NORMAL, State.ANOMALY], EXIT_ANOMALY, "ANOMALY - c ANOMALY for "),
    ],
)
def test_the_worst_state_decides(states: list[State], code: int, beginning: str) -> None:
    found = verdict(status(*states))
    assert (found.code, found.line[: len(beginning)]) == (code, beginning)


def test_the_line_says_in_which_precision_the_network_is_computed_and_the_limits_were_made() -> None:
    one, two, other = (stream_values(stream(name, precision="int8")) for name in "abc")
    assert (
        verdict(status() | {"streams": [one | {"scored_s_ago": 0.2}]})
        .line.split(" | ")[0]
        .endswith("model pump-3, computed in int8 (limits: float32)")
    )
    other |= {"limits_precision": "int8"}
    assert (
        "; 2 computed in int8 (limits: float32); 1 computed in int8 |"
        in verdict(status() | {"streams": [one, two, other]}).line
    )
    older = {name: value for name, value in one.items() if not name.endswith("precision")}
    assert "computed" not in verdict(status() | {"streams": [older, older]}).line  # of a monitor that does not say it


def test_the_line_has_the_form_of_monitoring_plugins() -> None:
    found = verdict(status(State.NORMAL, State.LOST, disks=[DISK]))
    text, data = found.line.split(" | ")
    assert re.match(r"[A-Z]+ - ", text)
    label = r"'[^'=|]+'"
    number = r"(-?\d+(\.\d+)?(%|MB)?|U)"
    assert re.fullmatch(rf"({label}={number};\d*:?;\d*;\d+ ?)+", data)
    assert "'a'=50.0%;;100;0" in data
    assert "'free for clips'=2MB;1000:;;0" in data


def test_a_name_cannot_break_the_line() -> None:
    hostile = status(State.ANOMALY)
    hostile["streams"][0]["stream"] = "a|b'=\n\x1b[2J"
    line = verdict(hostile).line
    assert line.isprintable()
    assert line.count("|") == 1
    assert line.split(" | ")[1].count("'") == 2


def test_what_surrounds_the_monitoring_is_said_and_ends_with_1() -> None:
    found = verdict(
        status(
            State.NORMAL,
            outputs=["events.jsonl: cannot be written: no space left on device."],
            disks=[DISK],
            deliveries={"stuck": 3, "last_error": "webhook: timed out."},
        )
    )
    assert found.code == EXIT_FAILURE
    assert found.line.startswith("WARNING - events.jsonl: cannot be written")
    assert "disk low: 2 MB free for clips in /x" in found.line
    assert "3 notifications stuck: webhook: timed out;" in found.line
    assert verdict(status(State.ANOMALY, disks=[DISK])).code == EXIT_ANOMALY
    assert verdict(status(State.LOST, disks=[DISK])).code == EXIT_SOURCE_LOST


def test_a_channel_that_says_itself_why_its_messages_are_stuck_is_said_once() -> None:
    found = verdict(
        status(
            State.NORMAL,
            outputs=["Messages to control room have been stuck since 14:05: HTTP 500."],
            deliveries={"stuck": 3, "last_error": "HTTP 500"},
        )
    )
    assert [one.text for one in found.problems] == ["Messages to control room have been stuck since 14:05: HTTP 500"]
    unsaid = verdict(status(State.NORMAL, outputs=["another trouble."], deliveries={"stuck": 3, "last_error": ""}))
    assert "3 notifications stuck" in unsaid.line


def test_notifications_that_were_given_up_are_said() -> None:
    found = verdict(status(State.NORMAL, deliveries={"waiting": 0, "stuck": 0, "given_up": 2, "last_error": ""}))
    assert (found.code, "2 notifications given up" in found.line) == (EXIT_FAILURE, True)


def test_a_store_that_does_not_answer_is_said() -> None:
    assert "has not answered for 5 min" in verdict(status(State.NORMAL, facts_s_ago=300.0)).line
    failed = verdict(status(State.NORMAL, deliveries={"failure": "the database is locked"}))
    assert (failed.code, "the database is locked" in failed.line) == (EXIT_FAILURE, True)


def test_an_engine_that_hangs_counts_as_lost_though_its_last_state_was_normal() -> None:
    found = verdict(status(State.NORMAL, hung="the engine has not reported for 20 s"))
    assert (found.code, found.word) == (EXIT_SOURCE_LOST, "LOST")
    assert "the monitor hangs: the engine has not reported for 20 s" in found.line


def test_one_stream_can_be_asked_for_alone() -> None:
    several = status(State.NORMAL, State.ANOMALY, disks=[DISK])
    assert verdict(several, stream="a").code == EXIT_OK
    assert verdict(several, stream="b").code == EXIT_ANOMALY
    with pytest.raises(ConfigError, match="no stream 'c' here: there are a, b"):
        verdict(several, stream="c")


def test_many_problems_make_a_line_that_can_be_read() -> None:
    line = verdict(status(*[State.LOST] * 8)).line
    assert "3 more" in line.split(" | ")[0]
