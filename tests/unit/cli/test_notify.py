"""`monitor notify`, `mute` and `acknowledge`, as they are typed."""

from __future__ import annotations

import json
import time
from pathlib import Path

import pytest

from monitor.cli.main import run
from monitor.cli.times import coming, duration_s
from support.outbox import NOON, Outbox, busy
from support.settings import written
from support.webhook import Receiver, status

SETTINGS = "state: {{folder: state, host: hall}}\nnotify:\n  channels:\n    - {{name: phone, webhook: '{}'}}\n"


@pytest.fixture
def box() -> Outbox:
    """The store of a monitor, in the state folder that the settings name."""
    Path("state").mkdir()
    written(SETTINGS.format("http://anna:word@127.0.0.1:9/t0ken"), "config.yaml")
    return Outbox({"remind_s": 60}, url="sqlite:///state/monitor.sqlite")


def output(capsys: pytest.CaptureFixture[str], *arguments: str, code: int = 0) -> str:
    """What a command prints."""
    capsys.readouterr()
    assert run(list(arguments)) == code
    return "".join(capsys.readouterr())


def test_messages_that_are_not_sent_are_listed_with_why(box: Outbox, capsys: pytest.CaptureFixture[str]) -> None:
    assert output(capsys, "notify") == "No message waits, was given up or was held back.\n"
    box.end(box.begin())
    box.wait()
    box.end(box.begin())
    box.phone.failures = [busy("it answers 500")]
    box.begin("press 2")
    box.wait()
    heading, *rows = output(capsys, "notify").splitlines()
    assert heading.split() == ["due", "stream", "event", "stage", "channel", "state", "why"]
    assert any("press 2" in row and "waiting" in row and row.endswith("it answers 500 (1 attempt)") for row in rows)
    assert any("press 1" in row and "held back" in row and "cool-down of 5 min" in row for row in rows)
    assert "sent" not in "".join(rows)
    assert "sent" in output(capsys, "notify", "--sent")


def test_messages_are_listed_as_json_lines(box: Outbox, capsys: pytest.CaptureFixture[str]) -> None:
    event = box.begin()
    box.wait()
    found = [json.loads(line) for line in output(capsys, "notify", "--sent", "--json").splitlines()]
    began = next(one for one in found if one["stage"] == "began")
    assert (began["event"], began["state"], began["due"]) == (event.id, "sent", "2025-11-27T12:00:02.000Z")
    assert output(capsys, "notify", "--sent", "--json", "--limit", "1").count("\n") == 1


def test_a_test_message_says_of_each_channel_whether_it_works(capsys: pytest.CaptureFixture[str]) -> None:
    with Receiver() as good, Receiver() as bad:
        bad.answer = status(500)
        text = SETTINGS.format(good.url) + f"    - {{name: pager, webhook: '{bad.url}'}}\n"
        written(text, "config.yaml")
        assert output(capsys, "notify", "--test", code=1) == (
            f"phone: delivered.\npager: not delivered: http://127.0.0.1:{bad.port} answers 500 Internal Server Error.\n"
        )
        assert output(capsys, "notify", "--test", "phone") == "phone: delivered.\n"
        [first, _] = [one.content for one in good.taken]
        assert json.loads(output(capsys, "notify", "--test", "pager", "--json", code=1))["delivered"] is False
    assert (first["stage"], first["event"], first["host"]) == ("test", None, "hall")


def test_a_test_without_channels_or_of_an_unknown_one_is_said(box: Outbox, capsys: pytest.CaptureFixture[str]) -> None:
    assert "There is no channel 'fone' in the settings; there are: phone." in output(
        capsys, "notify", "--test", "fone", code=2
    )
    written("state: {folder: state}\n", "config.yaml")
    assert "There are no channels in the settings" in output(capsys, "notify", "--test", code=2)


def test_streams_are_muted_listed_and_unmuted(box: Outbox, capsys: pytest.CaptureFixture[str]) -> None:
    for stream in ("press 1", "press 2", "fan"):
        box.begin(stream)
    assert output(capsys, "mute", "--list") == "No stream is muted.\n"
    assert output(capsys, "mute", "press *", "--for", "2h").startswith("press 1, press 2: muted until ")
    listed = output(capsys, "mute", "--list").splitlines()
    assert [line.partition(":")[0] for line in listed] == ["press 1", "press 2"]
    assert output(capsys, "mute", "press 1", "--off") == "press 1: not muted.\n"
    assert output(capsys, "mute", "--list").startswith("press 2: ")
    assert "until 2099-01-01 06:30:00" in output(capsys, "mute", "fan", "--until", "2099-01-01T06:30")


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (["press 1"], "Give streams with --for, --until or --off"),
        (["press 1", "--for", "2h", "--off"], "Give streams with --for, --until or --off"),
        (["--for", "2h"], "Give streams with --for, --until or --off"),
        (["press 1", "--for", "2 days ago"], "is not a duration: give 90min, 2h, 7d or 4w"),
        (["press 1", "--for", "0h"], "is not a duration"),
        (["press 1", "--until", "2001-01-01"], "is over already"),
        (["press 1", "--until", "soon"], "is not a time: give 14:30"),
        (["pump", "--for", "2h"], "There is no stream 'pump' in the store; there are: press 1."),
    ],
)
def test_what_cannot_be_muted_is_said(
    box: Outbox, capsys: pytest.CaptureFixture[str], arguments: list[str], said: str
) -> None:
    box.begin("press 1")
    assert said in output(capsys, "mute", *arguments, code=2)


def test_events_are_acknowledged_by_id_by_stream_and_all_at_once(
    box: Outbox, capsys: pytest.CaptureFixture[str]
) -> None:
    first, *_ = (box.begin(f"press {number}") for number in range(1, 5))
    box.wait()
    assert output(capsys, "acknowledge", first.id[:18]) == "1 event acknowledged.\n"
    assert output(capsys, "acknowledge", first.id) == "There is nothing to acknowledge.\n"
    assert output(capsys, "acknowledge", "press 2") == "1 event acknowledged.\n"
    assert output(capsys, "acknowledge", "--all") == "2 events acknowledged.\n"
    assert output(capsys, "acknowledge", "--all") == "There is nothing to acknowledge.\n"
    box.wait(200, step_s=20)
    assert box.states().count("held back") == 4
    assert len(box.phone.sent) == 4


def test_what_cannot_be_acknowledged_is_said(box: Outbox, capsys: pytest.CaptureFixture[str]) -> None:
    box.begin()
    assert "Give events or streams, or --all" in output(capsys, "acknowledge", code=2)
    assert "There is no stream 'pump'" in output(capsys, "acknowledge", "pump", code=2)
    assert "there is no event 01a21d2d-9d69" in output(capsys, "acknowledge", "01a21d2d-9d69", code=1)


@pytest.mark.parametrize("command", [["notify"], ["mute", "--list"], ["acknowledge", "--all"]])
def test_without_a_store_it_is_said_who_writes_one(capsys: pytest.CaptureFixture[str], command: list[str]) -> None:
    Path("state").mkdir()
    written("state: {folder: state}\n", "config.yaml")
    assert "nothing is stored here yet: `monitor live` writes it" in output(capsys, *command, code=1)


def test_a_time_of_day_is_the_next_one() -> None:
    now = time.mktime((2025, 11, 27, 12, 0, 0, 0, 0, -1))
    assert coming("14:30", now) == now + 2.5 * 3600
    assert coming("9:15", now) == now + 21.25 * 3600
    assert coming("2025-11-27T12:00:01", now) == now + 1
    with pytest.raises(ValueError, match="is not a time"):
        coming("25:00", NOON)


def test_durations_have_units() -> None:
    assert [duration_s(text) for text in ("90s", "90min", "1.5h", "2d", "1w")] == [90, 5400, 5400, 172_800, 604_800]
