"""Commands of upkeep: they disturb nobody, end with the program, and say why they failed."""

from __future__ import annotations

import os
import subprocess
import sys
import threading
from pathlib import Path

import pytest

from monitor.core.errors import MonitorError
from monitor.service import low_priority
from monitor.service.low_priority import run_command
from support.listening import DEADLINE_S, wait_until


@pytest.fixture(autouse=True)
def _usual_priority(monkeypatch: pytest.MonkeyPatch) -> None:
    """With a low one, commands would not be finished in any time on a busy machine."""
    monkeypatch.setattr(low_priority, "NICENESS", 0)


def test_a_command_has_low_priority_and_one_thread(monkeypatch: pytest.MonkeyPatch) -> None:
    script = (
        "import os, time\n"
        "while not (priority := os.getpriority(os.PRIO_PROCESS, 0)): time.sleep(0.01)\n"
        "print(priority, os.environ['OMP_NUM_THREADS'])"
    )
    monkeypatch.setattr(low_priority, "NICENESS", 15)
    finished = run_command([script], threading.Event(), longest_s=DEADLINE_S, program=(sys.executable, "-c"))
    assert finished is not None
    assert finished.output.split() == ["15", "1"]


def test_a_command_stays_in_the_session_so_that_its_priority_counts() -> None:
    script = "import os; print(os.getsid(0), os.getpgid(0) == os.getpid())"
    finished = run_command([script], threading.Event(), longest_s=DEADLINE_S, program=(sys.executable, "-c"))
    assert finished is not None
    assert finished.output.split() == [str(os.getsid(0)), "True"]


def test_a_command_that_was_killed_says_so() -> None:
    script = "import os, signal, sys; print('half', file=sys.stderr, flush=True); os.kill(os.getpid(), signal.SIGKILL)"
    finished = run_command([script], threading.Event(), longest_s=DEADLINE_S, program=(sys.executable, "-c"))
    assert finished is not None
    assert finished.failure == "it was killed, perhaps because the computer has too little memory."


def test_a_command_ends_when_the_program_is_killed_that_it_belongs_to() -> None:
    command = (
        "import os, pathlib, monitor.cli.main, monitor.cli.beside as beside, time\n"
        "def wait(): pathlib.Path('pid').write_text(str(os.getpid())); time.sleep(600)\n"
        "monitor.cli.main.main = wait\nbeside.main()"
    )
    parent = (
        "import sys, threading; from monitor.service.low_priority import run_command\n"
        f"run_command([{command!r}], threading.Event(), longest_s=600, program=(sys.executable, '-c'))"
    )
    with subprocess.Popen([sys.executable, "-c", parent]) as program:
        wait_until(lambda: Path("pid").exists() and Path("pid").read_text(), "the command")
        assert Path(f"/proc/{Path('pid').read_text()}/oom_score_adj").read_text().strip() == "500", "it goes first"
        program.kill()
    wait_until(lambda: not _runs(int(Path("pid").read_text())), "the end of the command")


def test_when_everything_ends_a_command_and_what_it_has_started_end() -> None:
    script = (
        "import os, subprocess, sys, time, pathlib\n"
        "child = subprocess.Popen([sys.executable, '-c', 'import time; time.sleep(600)'])\n"
        "pathlib.Path('pids').write_text(f'{os.getpid()} {child.pid}')\ntime.sleep(600)"
    )
    ending = threading.Event()
    found: list[object] = [1]

    def run() -> None:
        found[0] = run_command([script], ending, longest_s=600, program=(sys.executable, "-c"))

    thread = threading.Thread(target=run)
    thread.start()
    wait_until(lambda: Path("pids").exists() and Path("pids").read_text(), "the start of both")
    ending.set()
    thread.join()
    assert found == [None]
    for pid in Path("pids").read_text().split():
        wait_until(lambda pid=pid: not _runs(int(pid)), "the end of both")


def test_a_command_that_takes_too_long_is_ended_and_said() -> None:
    with pytest.raises(MonitorError, match="was ended after 0 s"):
        run_command(["import time; time.sleep(600)"], threading.Event(), longest_s=0.2, program=(sys.executable, "-c"))


def test_a_command_that_fails_says_its_message_and_no_traceback() -> None:
    finished = run_command(["improve", "--state", "nowhere"], threading.Event(), longest_s=DEADLINE_S)
    assert finished is not None
    assert finished.code == 2
    assert "nowhere" in finished.failure
    assert "\n" not in finished.failure


def _runs(pid: int) -> bool:
    try:
        return Path(f"/proc/{pid}/stat").read_text().rsplit(")", 1)[1].split()[0] != "Z"
    except (FileNotFoundError, ProcessLookupError):
        return False
