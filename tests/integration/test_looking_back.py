"""`monitor events`, `trend` and `report` on stores in a file and on a server, also while a monitor writes."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import time
from collections.abc import Sequence
from pathlib import Path
from typing import get_args

import pytest

from monitor.cli.commands.events import KINDS
from monitor.cli.main import run
from monitor.config.plant import EventKind
from monitor.core.events import Event
from monitor.report import details
from monitor.store.database import Store
from monitor.store.writer import StoreWriter
from support.listening import wait_until
from support.stored import fill, minute_values, stored_event

Captured = pytest.CaptureFixture[str]


@pytest.fixture
def stored(store_url: str, monkeypatch: pytest.MonkeyPatch) -> str:
    """A store with two days of two streams and some events, which the commands find."""
    now = time.time()
    events = [
        stored_event(0, onset=now - 600, reported=now - 598, ended=now - 500, stream="pump 1", cause="sudden"),
        stored_event(1, onset=now - 7200, reported=now - 7200, ended=now - 7000, stream="pump 2", kind="off"),
        stored_event(2, onset=now - 3 * 86_400, reported=now, ended=now - 2.9 * 86_400, stream="fan"),
    ]
    with Store.open(store_url) as store:
        fill(store, {name: minute_values(2, 600, until=now) for name in ("pump 1", "pump 2", "fan")}, events)
    monkeypatch.setenv("MONITOR_STORE_URL", store_url)
    return store_url


def lines(capsys: Captured, *arguments: str) -> Sequence[str]:
    """The lines that a command prints."""
    assert run(list(arguments)) == 0
    return capsys.readouterr().out.splitlines()


def streams_of(text: Sequence[str]) -> list[str]:
    return [json.loads(line)["stream"] for line in text]


def test_events_are_listed_newest_first_and_chosen_by_time_stream_and_kind(stored: str, capsys: Captured) -> None:
    assert streams_of(lines(capsys, "events", "--json")) == ["pump 1", "pump 2", "fan"]
    assert streams_of(lines(capsys, "events", "--json", "--since", "1h")) == ["pump 1"]
    assert streams_of(lines(capsys, "events", "--json", "--until", "1d")) == ["fan"]
    assert streams_of(lines(capsys, "events", "--json", "--stream", "PUMP*")) == ["pump 1", "pump 2"]
    assert streams_of(lines(capsys, "events", "--json", "--stream", "pump 2", "--stream", "fan")) == ["pump 2", "fan"]
    assert streams_of(lines(capsys, "events", "--json", "--kind", "off", "--kind", "lost")) == ["pump 2"]
    assert streams_of(lines(capsys, "events", "--json", "--limit", "1")) == ["pump 1"]
    table = lines(capsys, "events", "--limit", "2")
    assert len(table) == 4
    assert "--limit" in table[-1]


def test_the_same_name_on_another_computer_takes_no_place_in_the_list(stored: str, capsys: Captured) -> None:
    newer = [stored_event(10 + n, onset=time.time() - 60.0 - n, host="yard", stream="fan") for n in range(3)]
    with Store.open(stored) as store:
        fill(store, {}, newer, host="yard")
    found = lines(capsys, "events", "--json", "--stream", "hall-3/fan", "--limit", "1")
    assert [json.loads(line)["host"] for line in found] == ["hall-3"]


def test_two_halls_with_a_stream_of_the_same_name_have_two_streams_in_every_view(
    stored: str, tmp_path: Path, capsys: Captured
) -> None:
    now = time.time()
    with Store.open(stored) as store:
        event = stored_event(20, onset=now - 50.0, ended=now - 20.0, host="yard", stream="fan")
        fill(store, {"fan": minute_values(1, 600, until=now)}, [event], host="yard")
    assert run(["trend", "fan"]) == 2
    assert "stands for several streams; there are: hall-3/fan, yard/fan." in capsys.readouterr().err
    assert "yard/fan, share of limit" in "\n".join(lines(capsys, "trend", "yard/fan"))
    assert "yard/fan" in "\n".join(lines(capsys, "events", "--since", "1h"))
    out = tmp_path / "report.html"
    assert "2 streams" in lines(capsys, "report", "--stream", "fan", "--out", str(out))[0]
    assert all(name in out.read_text() for name in ("hall-3/fan", "yard/fan"))
    assert lines(capsys, "mute", "yard/*", "--for", "2h")[0].startswith("yard/fan: muted until")


def test_every_kind_of_event_can_be_asked_for() -> None:
    assert set(KINDS) == set(get_args(EventKind))


def test_every_id_in_the_table_shows_its_event_whole(stored: str, capsys: Captured) -> None:
    for row in lines(capsys, "events")[1:-1]:
        short = next(word for word in row.split() if word.startswith("019ac4f0"))
        [event] = lines(capsys, "events", short, "--json")
        assert json.loads(event)["id"].startswith(short)
        assert any(line.startswith("stream") for line in lines(capsys, "events", short))
    assert run(["events", "019ac4f0"]) == 1
    assert "several events begin with" in capsys.readouterr().err
    assert run(["events", "ffff"]) == 1
    assert "there is no event ffff" in capsys.readouterr().err


def test_ids_are_as_short_as_they_can_be_among_all_events(stored: str) -> None:
    ids = [stored_event(number).id for number in range(3)]
    with Store.open(stored, create=False) as store:
        assert details.short_ids(store, ids[:1]) == {ids[0]: "019ac4f0-0000"}
        assert details.short_ids(store, []) == {}


def test_a_trend_is_drawn_in_unicode_and_in_ascii(stored: str, capsys: Captured) -> None:
    text = "\n".join(lines(capsys, "trend", "fan", "--days", "2"))
    for part in ("fan, share of limit", "alarm above 100 %", "states", "level", "Last 7 days: 1 anomaly", "drift"):
        assert part in text
    assert "\n".join(lines(capsys, "trend", "fan", "--days", "2", "--ascii")).isascii()


def test_a_stream_that_is_unknown_or_ambiguous_is_answered_with_the_names(stored: str, capsys: Captured) -> None:
    for arguments in (
        ["trend", "saw"],
        ["events", "--stream", "saw"],
        ["report", "--stream", "saw", "--out", "x.html"],
    ):
        assert run(arguments) == 2
        assert "no stream 'saw' in the store; there are: fan, pump 1, pump 2." in capsys.readouterr().err
    assert run(["trend", "pump"]) == 2
    assert "'pump' stands for several streams; there are: pump 1, pump 2." in capsys.readouterr().err
    assert run(["trend"]) == 2
    assert "Name one of the streams" in capsys.readouterr().err


def test_a_report_is_written_whole_from_either_database(stored: str, tmp_path: Path, capsys: Captured) -> None:
    out = tmp_path / "report.html"
    assert "3 streams, 2 anomalies" in lines(capsys, "report", "--out", str(out))[0]
    text = out.read_text(encoding="utf-8")
    assert text.endswith("</html>\n")
    assert "3 streams were listened to" in text
    assert run(["report", "--out", str(tmp_path)]) == 1
    assert "cannot be written" in capsys.readouterr().err


def test_an_empty_name_is_not_taken_for_all_streams(stored: str, capsys: Captured) -> None:
    for command in (["mute", "", "--for", "2h"], ["acknowledge", ""], ["events", "--stream", " "]):
        assert run(command) == 2
        assert "The name of a stream is empty; * stands for all; there are: fan, pump 1" in capsys.readouterr().err
    assert lines(capsys, "mute", "--list") == ["No stream is muted."]


def test_a_list_of_any_length_can_be_asked_for(stored: str, capsys: Captured) -> None:
    assert len(lines(capsys, "events", "--json", "--limit", "10000000")) == 3
    for command in ("events", "notify"):
        assert run([command, "--limit", str(2**63)]) == 2
        assert "is not in the range" in capsys.readouterr().err


def test_a_report_never_takes_the_place_of_the_store(tmp_path: Path, capsys: Captured) -> None:
    file = tmp_path / "monitor.sqlite"
    with Store.open(f"sqlite:///{file}") as store:
        fill(store, {"fan": minute_values(1, 600)}, [stored_event(0, stream="fan")])
        for name in ("monitor.sqlite", "monitor.sqlite-wal"):
            assert run(["report", "--state", str(tmp_path), "--out", str(tmp_path / name)]) == 2
            assert "is an input file and would be overwritten" in capsys.readouterr().err
    assert len(lines(capsys, "events", "--state", str(tmp_path), "--json")) == 1


def test_looking_back_works_while_a_monitor_writes(stored: str, capsys: Captured) -> None:
    writer = StoreWriter(stored, "hall-3")
    try:
        for number in range(20):
            writer.event(Event("gap", float(number), number + 0.1, time.time(), "mic", stream="pump 1"))
            assert len(lines(capsys, "events", "--kind", "off")) == 3
        wait_until(lambda: len(lines(capsys, "events", "--kind", "gap")) == 22)
        assert "pump 1" in "\n".join(lines(capsys, "trend", "pump 1"))
    finally:
        writer.close()


def test_without_a_store_there_is_one_sentence(tmp_path: Path, capsys: Captured) -> None:
    for command in (["events"], ["trend"], ["report", "--out", "x.html"]):
        assert run([*command, "--state", str(tmp_path)]) == 1
        said = capsys.readouterr().err
        assert "nothing is stored here yet" in said
        assert len(said.splitlines()) == 1
        assert run([*command, "--state", str(tmp_path / "missing")]) == 2
        assert "no such folder" in capsys.readouterr().err
    assert not list(tmp_path.iterdir())


def test_a_range_of_time_that_cannot_be_is_refused(capsys: Captured) -> None:
    assert run(["events", "--since", "soon"]) == 2
    assert "'soon' is not a time" in capsys.readouterr().err
    assert run(["report", "--since", "1h", "--until", "2h", "--out", "x.html"]) == 2
    assert "--until is not after --since" in capsys.readouterr().err


def test_a_terminal_without_unicode_gets_question_marks(tmp_path: Path) -> None:
    with Store.open(f"sqlite:///{tmp_path / 'monitor.sqlite'}") as store:
        fill(
            store, {"pümp 🏭": minute_values(1, 600, until=time.time())}, [stored_event(stream="pümp 🏭", cut_off=True)]
        )
    for command in (["events"], ["events", "--json"], ["trend"]):
        done = subprocess.run(
            [sys.executable, "-m", "monitor", *command, "--state", "."],
            cwd=tmp_path, env={**os.environ, "PYTHONIOENCODING": "ascii"}, capture_output=True, text=True, check=True,
        )  # fmt: skip
        assert "mp " in done.stdout
        assert done.stdout.isascii()


def test_listing_events_loads_no_heavy_library(tmp_path: Path) -> None:
    url = f"sqlite:///{tmp_path / 'monitor.sqlite'}"
    with Store.open(url) as store:
        fill(store, {}, [stored_event()])
    code = (
        "import sys; from monitor.cli.main import run; assert run(['events', '--state', '.']) == 0;"
        "heavy = {'torch', 'matplotlib', 'scipy', 'sklearn', 'sounddevice', 'jinja2'};"
        "print(*heavy & set(sys.modules), file=sys.stderr)"
    )
    done = subprocess.run([sys.executable, "-c", code], cwd=tmp_path, capture_output=True, text=True, check=True)
    assert done.stderr.strip() == ""
    assert "anomaly" in done.stdout
