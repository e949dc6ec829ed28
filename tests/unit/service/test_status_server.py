"""The status socket: what a running monitor answers, and that no client can harm it."""

from __future__ import annotations

import base64
import json
import socket
import threading
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest

from monitor.core.errors import EXIT_USAGE, ConfigError, MonitorError
from monitor.core.events import State
from monitor.service.disk_space import WatchedFolder
from monitor.service.socket_file import NAME, connected_socket
from monitor.service.socket_server import LONGEST_REQUEST, MAX_CLIENTS
from monitor.service.status_client import NoMonitor, ask
from monitor.service.status_server import StatusServer
from monitor.service.status_values import LOWEST_DB, STEP_DB
from support.listening import wait_until
from support.snapshots import SLOTS, stream


@pytest.fixture
def server(tmp_path: Path) -> Iterator[StatusServer]:
    made = StatusServer(tmp_path)
    wait_until(made.path.is_socket)
    yield made
    made.close()


def connected(server: StatusServer) -> socket.socket:
    return connected_socket(server.path, 60.0)


def test_the_status_has_the_newest_state_of_each_stream(server: StatusServer, tmp_path: Path) -> None:
    server.snapshot(stream("press", State.NORMAL, 0.4))
    server.snapshot(stream("fan", State.NORMAL))
    server.snapshot(stream("fan", State.ANOMALY, 1.5))
    found = ask(tmp_path, {"command": "status"})
    assert {one["stream"]: one["state"] for one in found["streams"]} == {"press": "NORMAL", "fan": "ANOMALY"}
    press, fan = found["streams"]
    assert (press["share_of_limit"], fan["share_of_limit"]) == (0.4, 1.5)
    assert fan["event"]["kind"] == "anomaly"
    assert press["model"] == "pump-3"
    assert found["version"]


def test_a_stream_that_was_removed_from_the_settings_is_no_problem_any_more(
    server: StatusServer, tmp_path: Path
) -> None:
    for name in ("press", "fan", "saw"):
        server.snapshot(stream(name))
    server.snapshot(stream("fan", finished=True))
    server.snapshot(stream("saw", State.LOST, finished=True, failure="saw: the sound has stopped."))
    assert [one["stream"] for one in ask(tmp_path, {"command": "status"})["streams"]] == ["press", "saw"]
    server.keep({"press"})
    assert [one["stream"] for one in ask(tmp_path, {"command": "status"})["streams"]] == ["press"]


def test_values_that_are_no_numbers_are_null(server: StatusServer, tmp_path: Path) -> None:
    server.snapshot(stream("press", State.LOST, score=float("nan"), level_dbfs=float("-inf")))
    [press] = ask(tmp_path, {"command": "snapshots"})["streams"]
    assert press["score"] is None
    assert press["level_dbfs"] is None


def test_live_values_come_again_and_again_with_the_spectrum_if_it_is_wanted(server: StatusServer) -> None:
    server.snapshot(stream("press"))
    with connected(server) as client, client.makefile("r") as lines:
        client.sendall(b'{"command": "follow", "every_s": 0.1, "spectrum": true}\n')
        first = json.loads(lines.readline())
        assert len(first["streams"][0]["spectrum_db"]) == len(first["streams"][0]["band_hz"]) == 64
        server.snapshot(stream("press", State.ANOMALY))
        while json.loads(lines.readline())["streams"][0]["state"] != "ANOMALY":
            pass


def test_other_parts_add_commands_and_their_errors_reach_the_client(server: StatusServer, tmp_path: Path) -> None:
    def reload(request: dict[str, object]) -> dict[str, object]:
        if request.get("file") == "bad.yaml":
            raise ConfigError("bad.yaml: line 1: no.", "line 2: no.")
        if request.get("file") == "odd.yaml":
            raise ZeroDivisionError("odd")
        return {"changed": ["press"]}

    server.commands["reload"] = reload
    assert ask(tmp_path, {"command": "reload"}) == {"changed": ["press"]}
    with pytest.raises(MonitorError) as caught:
        ask(tmp_path, {"command": "reload", "file": "bad.yaml"})
    assert caught.value.messages == ("bad.yaml: line 1: no.", "line 2: no.")
    assert caught.value.exit_code == EXIT_USAGE
    with pytest.raises(MonitorError, match="odd"):
        ask(tmp_path, {"command": "reload", "file": "odd.yaml"})
    assert ask(tmp_path, {"command": "reload"}), "it goes on"


@pytest.mark.parametrize(
    "request_line",
    [b"\n", b"hello\n", b"[]\n", b'{"command": []}\n', b'{"command": "stop"}\n', b"[" * 60_000 + b"\n", b"\xff\n",
     b'{"command": "follow", "every_s": "x"}\n', b"x" * (LONGEST_REQUEST + 1)],
)  # fmt: skip
def test_a_request_that_makes_no_sense_is_refused_in_a_sentence(server: StatusServer, request_line: bytes) -> None:
    with connected(server) as client, client.makefile("rb") as lines:
        client.sendall(request_line)
        answer = json.loads(lines.readline())
        assert answer["error"].endswith(".")
        assert answer["code"] == EXIT_USAGE


def test_clients_that_say_nothing_or_read_nothing_keep_no_other_waiting(server: StatusServer, tmp_path: Path) -> None:
    server.snapshot(stream("press"))
    idle = [connected(server) for _ in range(MAX_CLIENTS - 2)]
    greedy = connected(server)
    greedy.sendall(b'{"command": "follow", "every_s": 0.1, "spectrum": true}\n')
    assert ask(tmp_path, {"command": "status"}, timeout_s=60.0)["streams"]
    idle.append(greedy)
    more = [connected(server) for _ in range(4)]
    with more[-1].makefile("rb") as lines:
        assert "clients are connected already" in json.loads(lines.readline())["error"]
    for one in idle + more:
        one.close()

    def answers() -> bool:
        try:
            return bool(ask(tmp_path, {"command": "status"}, timeout_s=60.0)["streams"])
        except MonitorError:
            return False

    wait_until(answers, "room for a new client")


def test_a_socket_that_was_deleted_comes_back(server: StatusServer, monkeypatch: pytest.MonkeyPatch) -> None:
    server.path.unlink()
    server._server.look()
    wait_until(server.path.is_socket)
    ask(server.folder, {"command": "status"})


def test_a_socket_that_cannot_be_made_is_said_and_tried_again(tmp_path: Path) -> None:
    (tmp_path / NAME).write_text("notes")
    made = StatusServer(tmp_path)
    wait_until(lambda: "is not a socket" in made.trouble)
    assert made.error is None, "the monitoring itself is complete"
    (tmp_path / NAME).unlink()
    made._server.look()
    wait_until(lambda: not made.trouble and made.path.is_socket())
    made.close()


def test_at_its_end_the_socket_is_gone_and_clients_are_disconnected(server: StatusServer, tmp_path: Path) -> None:
    client = connected(server)
    ask(tmp_path, {"command": "status"})
    server.close()
    with client:
        assert client.recv(10) == b""
    assert not server.path.exists()
    with pytest.raises(NoMonitor, match="no monitor runs"):
        ask(tmp_path, {"command": "status"})


def test_a_monitor_that_does_not_answer_is_not_waited_for(tmp_path: Path) -> None:
    with socket.socket(socket.AF_UNIX) as frozen:
        frozen.bind(str(tmp_path / NAME))
        frozen.listen()
        with pytest.raises(NoMonitor, match="does not answer"):
            ask(tmp_path, {"command": "status"}, timeout_s=0.05)


def test_a_disk_or_a_database_that_hangs_does_not_keep_the_status_waiting(tmp_path: Path) -> None:
    release = threading.Event()

    def deliveries() -> dict[str, object]:
        release.wait()
        return {"waiting": 2}

    made = StatusServer(tmp_path, folders=[WatchedFolder("state", tmp_path)], deliveries=deliveries)
    try:
        wait_until(made.path.is_socket)
        assert ask(tmp_path, {"command": "status"})["deliveries"] is None
        release.set()
        wait_until(lambda: ask(tmp_path, {"command": "status"})["deliveries"] == {"waiting": 2})
        assert ask(tmp_path, {"command": "status"})["disks"][0]["free_bytes"] > 0
    finally:
        release.set()
        made.close()


def test_a_live_chart_gets_the_last_minute_at_first_and_then_only_what_is_new(
    server: StatusServer, tmp_path: Path
) -> None:
    server.snapshot(stream("press"))
    first = ask(tmp_path, {"command": "recent", "stream": "press"})
    slots = first["slots"]
    assert (first["values"]["stream"], first["values"]["false_alarms"]) == ("press", "")
    assert len(slots["score"]) == len(slots["share"]) == SLOTS
    levels = np.frombuffer(base64.b64decode(slots["spectrogram"]), np.uint8).reshape(SLOTS, slots["bands"])
    shown = stream("press").spectrogram
    assert np.abs(LOWEST_DB + STEP_DB * levels - shown).max() <= STEP_DB / 2
    newest = slots["first"] + SLOTS - 1
    later = ask(tmp_path, {"command": "recent", "stream": "press", "after": newest - 3})["slots"]
    assert (later["first"], len(later["error"])) == (newest - 2, 3)
    assert not ask(tmp_path, {"command": "recent", "stream": "press", "after": newest})["slots"]["score"]
    begun_anew = ask(tmp_path, {"command": "recent", "stream": "press", "after": newest + 5000})["slots"]
    assert len(begun_anew["score"]) == SLOTS, "the stream has begun anew"
    for request in ({"stream": "nobody"}, {"stream": 1}, {"stream": "press", "after": "x"}):
        with pytest.raises(MonitorError) as refused:
            ask(tmp_path, {"command": "recent", **request})
        assert refused.value.exit_code == EXIT_USAGE
