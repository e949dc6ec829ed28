"""What systemd is told: that the monitor has started, how it is, and no sign of life unless it scores."""

from __future__ import annotations

import shutil
import subprocess
import threading
from collections.abc import Iterator
from pathlib import Path

import pytest

from monitor.bundle.bundle import Bundle
from monitor.core.errors import ConfigError
from monitor.core.events import ScoreRows, State
from monitor.outputs.sink import Sink
from monitor.runtime.builder import build_engine
from monitor.service.systemd_notify import notify, notify_reloading, watchdog_s
from monitor.service.systemd_sink import SystemdSink, systemd_sink
from monitor.service.systemd_unit import template, unit_name, unit_text
from monitor.sources.file_replay import FileReplay
from support.builders import RATE, noise, small_bundle, write_sound
from support.listening import DEADLINE_S, never_alarmed, plan, wait_until
from support.logs import logged
from support.manager import Manager
from support.snapshots import stream


@pytest.fixture
def manager(monkeypatch: pytest.MonkeyPatch) -> Iterator[Manager]:
    with Manager() as made:
        monkeypatch.setenv("NOTIFY_SOCKET", made.address)
        yield made


def test_without_systemd_nothing_is_sent_and_there_is_no_sink(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("NOTIFY_SOCKET", raising=False)
    assert not notify("READY=1")
    assert systemd_sink() is None


@pytest.mark.parametrize("abstract", [False, True])
def test_messages_reach_the_manager_at_both_kinds_of_address(monkeypatch: pytest.MonkeyPatch, abstract: bool) -> None:
    with Manager(abstract=abstract) as manager:
        monkeypatch.setenv("NOTIFY_SOCKET", manager.address)
        assert notify("READY=1", "STATUS=two\nlines")
        assert notify_reloading()
        first, second = manager.messages
    assert first == "READY=1\nSTATUS=two lines"
    assert second.startswith("RELOADING=1\nMONOTONIC_USEC=")


def test_a_manager_that_is_gone_harms_nothing(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv("NOTIFY_SOCKET", str(tmp_path / "gone"))
    assert not notify("READY=1")


@pytest.mark.parametrize(
    ("microseconds", "process", "seconds"),
    [("", "", None), ("60000000", "", 60.0), ("60000000", "1", None), ("0", "", None), ("soon", "", None)],
)
def test_the_watchdog_is_only_fed_where_it_watches_this_process(
    monkeypatch: pytest.MonkeyPatch, microseconds: str, process: str, seconds: float | None
) -> None:
    monkeypatch.setenv("WATCHDOG_USEC", microseconds)
    monkeypatch.setenv("WATCHDOG_PID", process)
    assert watchdog_s() == seconds


def test_ready_is_said_with_the_first_state_and_stopping_at_the_end(manager: Manager) -> None:
    sink = systemd_sink()
    assert sink is not None
    assert manager.messages == []
    sink.snapshot(stream("press", State.LISTENING))
    manager.wait_for("READY=1")
    sink.snapshot(stream("fan", State.LOST))
    manager.wait_for("STATUS=2 streams: 1 LISTENING, 1 LOST")
    sink.close()
    assert manager.assignments[-1] == "STOPPING=1"
    assert manager.assignments.count("READY=1") == 1


def test_a_monitor_that_never_began_is_not_called_ready(manager: Manager) -> None:
    sink = SystemdSink(None)
    sink.close()
    assert manager.assignments == ["STOPPING=1"]


class Stall(Sink):
    """Keeps the engine's thread waiting, as a fault would, from when `wanted` is set until `released` is."""

    def __init__(self) -> None:
        self.wanted, self.stalled, self.released = (threading.Event() for _ in range(3))

    def scores(self, rows: ScoreRows) -> None:
        if self.wanted.is_set():
            self.stalled.set()
            self.released.wait()


def test_the_watchdog_is_fed_while_the_engine_scores_and_never_while_it_stalls(
    manager: Manager, tmp_path: Path
) -> None:
    bundle: Bundle = never_alarmed(small_bundle())
    source = FileReplay([write_sound(tmp_path / "machine.wav", noise(600 * RATE))], RATE)
    stall, sink = Stall(), SystemdSink(1.0)
    engine = build_engine([plan(bundle, source, sinks=[sink, stall])], device="cpu", precision="float32")
    engine.start()
    try:
        manager.wait_for("READY=1")
        manager.wait_for("WATCHDOG=1")
        with logged("monitor.service.systemd_sink") as said:
            stall.wanted.set()
            wait_until(stall.stalled.is_set)
            wait_until(lambda: (sink._progress.published_s_ago() or 0.0) > 0.75)
            before = len(manager.assignments)
            threading.Event().wait(0.6)  # longer than between two feeds; only a feed would be a failure
            assert "WATCHDOG=1" not in manager.assignments[before:]
            assert any("systemd will restart the monitor" in line for line in said)
            manager.wait_for("STATUS=hangs: the engine has not reported")
        stall.wanted.clear()
        stall.released.set()
        manager.wait_for("WATCHDOG=1", since=before)
    finally:
        stall.wanted.clear()
        stall.released.set()
        engine.stop()
    assert "STOPPING=1" in manager.assignments


def test_a_lost_microphone_is_no_reason_to_restart(manager: Manager) -> None:
    sink = SystemdSink(0.2)
    ended = threading.Event()

    def publish() -> None:
        while not ended.wait(0.02):
            sink.snapshot(stream("press", State.LOST))

    publisher = threading.Thread(target=publish)
    publisher.start()
    wait_until(lambda: manager.assignments.count("WATCHDOG=1") >= 10)
    ended.set()
    publisher.join()
    sink.close()


def test_the_unit_file_has_the_paths_of_the_machine_and_none_of_the_template(tmp_path: Path) -> None:
    text = unit_text("press 1", Path("/home/anna/press"), state=Path("/home/anna/press/state"), user="anna")
    assert "/srv/" not in text
    assert "%i" not in text
    assert "\nUser=anna\n" in text
    assert "\nWorkingDirectory=/home/anna/press\n" in text
    assert "\nReadWritePaths=/home/anna/press\n" in text
    assert unit_name("Press 1/ä") == "monitor-press-1.service"
    for line in ("Type=notify", "WatchdogSec=60", "Restart=on-failure", "ProtectSystem=strict"):
        assert f"\n{line}\n" in text
        assert f"\n{line}\n" in template()


def test_learning_that_runs_out_of_memory_does_not_end_the_service() -> None:
    assert "\nOOMPolicy=continue\n" in template()
    assert "\nOOMPolicy=continue\n" in unit_text(
        "press", Path("/home/a/press"), state=Path("/home/a/press/s"), user="a"
    )


@pytest.mark.parametrize("folder", ['/home/"pump"', "/home/pump;reboot", "/home/pump\nUser=root", "/home/$pump"])
def test_a_path_that_would_change_the_unit_file_is_refused(folder: str) -> None:
    with pytest.raises(ConfigError, match="without quotes"):
        unit_text("pump", Path(folder), state=Path("/home/state"), user="anna")
    with pytest.raises(ConfigError, match="not the name of a user"):
        unit_text("pump", Path("/home/pump"), state=Path("/home/state"), user="root\nNice=-20")


@pytest.mark.skipif(shutil.which("systemd-analyze") is None, reason="not installed: systemd-analyze")
def test_systemd_accepts_the_unit_files_also_with_spaces_in_paths(tmp_path: Path) -> None:
    folder = tmp_path / "my 100 % pump"
    folder.mkdir()
    program = folder / "monitor"
    program.write_text("#!/bin/sh\n")
    program.chmod(0o755)
    own = tmp_path / "monitor-pump.service"
    own.write_text(unit_text("pump", folder, state=folder / "state", user="root", command=program))
    shared = tmp_path / "monitor@pump.service"
    shared.write_text(template().replace("/srv/acoustic-monitor/venv/bin/monitor", shutil.which("true")))
    for file in (own, shared):
        done = subprocess.run(
            ("systemd-analyze", "verify", str(file)), capture_output=True, text=True, check=False, timeout=DEADLINE_S
        )
        assert (done.returncode, done.stdout, done.stderr) == (0, "", "")
