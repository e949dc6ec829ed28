"""`monitor status`, and what systemd is told, with a real `monitor live` on a virtual microphone."""

from __future__ import annotations

import json
import os
import re
import signal
import socket
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from monitor.bundle.bundle_io import save_bundle
from monitor.cli.main import run
from monitor.core.errors import EXIT_ANOMALY, EXIT_BUNDLE, EXIT_OK, EXIT_SOURCE_LOST, EXIT_USAGE
from monitor.core.events import State
from monitor.service.status_server import StatusServer
from support.builders import RATE, noise, small_bundle, small_config, write_sound
from support.listening import DEADLINE_S, never_alarmed, wait_until
from support.manager import Manager
from support.snapshots import stream
from support.virtual_microphone import VirtualMicrophone, why_not

PROMPT = ("alarm.warm_up_s=0", "alarm.block_s=0.1")
needs_microphone = pytest.mark.skipif(bool(why_not()), reason=why_not() or "there is a virtual microphone")
Asked = tuple[int, dict[str, Any]]


@pytest.fixture
def microphone(tmp_path: Path) -> Iterator[VirtualMicrophone]:
    """One that hears a minute of noise again and again."""
    with VirtualMicrophone(RATE) as virtual:
        virtual.play(write_sound(tmp_path / "machine.wav", noise(60 * RATE), subtype="PCM_16"), times=10)
        yield virtual


@pytest.fixture
def manager() -> Iterator[Manager]:
    with Manager() as made:
        yield made


@pytest.fixture
def hall(tmp_path: Path) -> Path:
    """The settings of two streams, with a model that finds everything normal."""
    save_bundle(never_alarmed(small_bundle(small_config(*PROMPT))), tmp_path / "model.safetensors")
    path = tmp_path / "hall.yaml"
    path.write_text(
        f"state: {{folder: {tmp_path / 'state'}}}\nclips: {{enabled: false}}\nstreams:\n"
        "  - {name: press, bundle: model.safetensors, device: testmic}\n"
        "  - {name: fan, bundle: model.safetensors, device: testmic}\n"
    )
    return path


@pytest.fixture
def live(microphone: VirtualMicrophone, manager: Manager, hall: Path) -> Iterator[subprocess.Popen[bytes]]:
    """`monitor live`, as systemd starts it."""
    environment = {**microphone.environment, "NOTIFY_SOCKET": manager.address, "WATCHDOG_USEC": str(60_000_000)}
    with (hall.parent / "live.txt").open("wb") as output:
        process = subprocess.Popen(
            (sys.executable, "-m", "monitor", "live", "--config", str(hall), "--headless"),
            env=environment, stdout=output, stderr=subprocess.STDOUT,
        )  # fmt: skip
    yield process
    process.kill()
    process.wait()


@pytest.fixture
def ask(hall: Path, capsys: pytest.CaptureFixture[str]) -> Callable[..., Asked]:
    def status(*words: str) -> Asked:
        capsys.readouterr()
        code = run(["status", "--json", "--config", str(hall), *words])
        return code, json.loads(capsys.readouterr().out)

    return status


@needs_microphone
def test_a_running_monitor_is_asked_and_systemd_is_told_until_it_is_killed(
    live: subprocess.Popen[bytes],
    microphone: VirtualMicrophone,
    manager: Manager,
    ask: Callable[..., Asked],
    hall: Path,
    capsys: pytest.CaptureFixture[str],
) -> None:
    manager.wait_for("READY=1")
    manager.wait_for("WATCHDOG=1")
    wait_until(lambda: ask()[0] == EXIT_OK and all(one["state"] == "NORMAL" for one in ask()[1]["streams"]))
    _, found = ask()
    assert {one["stream"] for one in found["streams"]} == {"press", "fan"}
    assert all(one["scored_s_ago"] is not None and one["model"] for one in found["streams"])
    assert (found["running"], found["pid"]) == (True, live.pid)
    assert {disk["name"] for disk in found["disks"]} >= {"state"}

    def said() -> str:
        capsys.readouterr()
        code = run(["status", "--config", str(hall), "--stream", "fan"])
        return f"{code} {capsys.readouterr().out}"

    wait_until(lambda: said().startswith(f"{EXIT_OK} OK - fan NORMAL"), "the line")
    manager.wait_for("STATUS=2 streams: 2 NORMAL")

    microphone.unplug()
    lost = ("press LOST", "fan LOST")
    wait_until(lambda: ask()[0] == EXIT_SOURCE_LOST and ask()[1]["problems"][0]["text"] in lost, "the loss")
    manager.wait_for("STATUS=2 streams: 2 LOST")

    os.kill(live.pid, signal.SIGKILL)
    live.wait(DEADLINE_S)
    assert (hall.parent / "state" / "status.sock").is_socket(), "as a killed monitor leaves it"
    code, found = ask()
    assert (code, found["running"]) == (EXIT_SOURCE_LOST, False)
    assert "no monitor runs with the state folder" in found["problems"][0]["text"]


@pytest.fixture
def without_model(hall: Path) -> None:
    """A third stream, whose model is missing."""
    with hall.open("a") as file:
        file.write("  - {name: saw, bundle: missing.safetensors, device: testmic}\n")


@needs_microphone
def test_a_stream_that_could_not_be_started_is_lost_and_at_the_end_there_is_no_socket(
    without_model: None, live: subprocess.Popen[bytes], manager: Manager, hall: Path, ask: Callable[..., Asked]
) -> None:
    manager.wait_for("READY=1")
    wait_until(lambda: len(ask()[1].get("streams", ())) == 3)
    wait_until(lambda: ask("--stream", "press")[0] == EXIT_OK, "a stream that is heard")
    code, found = ask("--stream", "saw")
    assert code == EXIT_SOURCE_LOST
    assert re.search(r"saw LOST: .*missing\.safetensors", found["problems"][0]["text"])
    live.send_signal(signal.SIGTERM)
    assert live.wait(DEADLINE_S) == EXIT_BUNDLE, (hall.parent / "live.txt").read_text()
    assert "STOPPING=1" in manager.assignments
    assert not (hall.parent / "state" / "status.sock").exists()


@pytest.fixture
def server(tmp_path: Path) -> Iterator[StatusServer]:
    """A monitor that answers, with states that the test chooses."""
    made = StatusServer(tmp_path / "state")
    wait_until(made.path.is_socket)
    yield made
    made.close()


@pytest.mark.parametrize(
    ("states", "code", "plugin"),
    [
        ([State.NORMAL, State.OFF], EXIT_OK, 0),
        ([State.ANOMALY, State.LOST], EXIT_ANOMALY, 2),
        ([State.LOST, State.NORMAL], EXIT_SOURCE_LOST, 3),
    ],
)
def test_the_exit_code_is_that_of_the_worst_state_in_both_countings(
    server: StatusServer, states: list[State], code: int, plugin: int, capsys: pytest.CaptureFixture[str]
) -> None:
    for number, state in enumerate(states):
        server.snapshot(stream(f"machine {number}", state))
    assert run(["status", "--state", str(server.folder)]) == code
    assert capsys.readouterr().out.count("\n") == 1
    assert run(["status", "--state", str(server.folder), "--plugin"]) == plugin


def test_a_stream_that_is_not_there_is_said_with_those_that_are(
    server: StatusServer, capsys: pytest.CaptureFixture[str]
) -> None:
    server.snapshot(stream("press"))
    assert run(["status", "--state", str(server.folder), "--stream", "pres"]) == EXIT_USAGE
    assert "There is no stream 'pres' here: there are press." in capsys.readouterr().err


def test_a_monitor_that_cannot_be_asked_is_lost(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (tmp_path / "status.sock").touch()
    too_long = "/".join(["folder"] * 1000)
    for folder in (str(tmp_path / "status.sock"), too_long):
        assert run(["status", "--state", folder]) == EXIT_SOURCE_LOST
        assert capsys.readouterr().out.startswith("LOST - ")
    with socket.socket(socket.AF_UNIX) as other:  # it answers something else
        (tmp_path / "status.sock").unlink()
        other.bind(str(tmp_path / "status.sock"))
        other.listen()

        def answer() -> None:
            with other.accept()[0] as client:
                client.recv(1000)  # or closing would discard the answer
                client.sendall(b"220 mail\n")

        answering = threading.Thread(target=answer)
        answering.start()
        assert run(["status", "--state", str(tmp_path), "--json"]) == EXIT_SOURCE_LOST
        assert "is not a monitor" in json.loads(capsys.readouterr().out)["problems"][0]["text"]
        answering.join()


def test_a_plugin_that_is_set_up_wrongly_knows_nothing(
    server: StatusServer, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    server.snapshot(stream("press"))
    (tmp_path / "wrong.yaml").write_text("state: 5\nmqtt: 5\n")
    for options in (
        ["--state", str(server.folder), "--stream", "pres"],
        ["--config", str(tmp_path / "wrong.yaml")],
        ["--state", "a", "--config", "b.yaml"],
    ):
        assert run(["status", "--plugin", *options]) == 3
        assert capsys.readouterr().out.count("\n") == 1


def test_two_places_for_the_state_folder_are_refused(capsys: pytest.CaptureFixture[str]) -> None:
    assert run(["status", "--state", "a", "--config", "b.yaml"]) == EXIT_USAGE
    assert "give one of them" in capsys.readouterr().err


def test_a_check_loads_no_heavy_library(server: StatusServer) -> None:
    """It runs every minute, perhaps for forty machines."""
    script = (
        "import sys\nfrom monitor.cli.main import run\n"
        f"code = run(['status', '--state', {str(server.folder)!r}])\n"
        "print(code, sorted({'numpy', 'torch', 'sqlalchemy', 'rich', 'scipy'} & set(sys.modules)))\n"
    )
    server.snapshot(stream("press"))
    began = time.monotonic()
    command = (sys.executable, "-c", script)
    done = subprocess.run(command, capture_output=True, text=True, check=True, timeout=DEADLINE_S)
    assert done.stdout.splitlines()[-1] == "0 []", f"{time.monotonic() - began:.1f} s"
