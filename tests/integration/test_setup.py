"""`monitor setup` on a virtual microphone: from its beginning, continued after a stop, and with other answers."""

from __future__ import annotations

import json
import re
import signal
import subprocess
import sys
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest
import soundfile

from monitor.bundle.bundle_io import load_bundle
from monitor.cli.main import run
from monitor.cli.setup.progress import SetupProgress
from monitor.config.loader import load_config
from monitor.core.errors import EXIT_FAILURE, EXIT_INTERRUPTED, EXIT_OK, EXIT_USAGE
from support.builders import RATE, noise, write_sound
from support.listening import DEADLINE_S, wait_until
from support.virtual_microphone import VirtualMicrophone, why_not

pytestmark = pytest.mark.long

QUICK = ("train.epochs=1", "model.hidden=[16,8]", "model.bottleneck=4", "alarm.threshold=1e9")
SETTINGS = tuple(f"--set={one}" for one in QUICK)
needs_microphone = pytest.mark.skipif(bool(why_not()), reason=why_not() or "there is a virtual microphone")


def started(microphone: VirtualMicrophone, folder: Path, *words: str) -> subprocess.Popen[str]:
    """A setup in a process of its own, which asks nothing."""
    return subprocess.Popen(
        (sys.executable, "-m", "monitor", "setup", "--yes", "--folder", str(folder), *words),
        env=microphone.environment, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True,
    )  # fmt: skip


@dataclass(frozen=True)
class Outcome:
    """How a setup ended, and what it said."""

    folder: Path
    code: int
    said: str
    errors: str

    @classmethod
    def of(cls, process: subprocess.Popen[str], folder: Path) -> Outcome:
        said, errors = process.communicate(timeout=DEADLINE_S)
        return cls(folder, process.returncode, said, errors)


@dataclass(frozen=True)
class Setups:
    """Setups that ran at the same time, because each listens for many seconds."""

    complete: Outcome  # goes on where an earlier one was stopped while it recorded
    changed: Outcome
    silent: Outcome
    interrupted: Outcome


@pytest.fixture(scope="module")
def setups(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Setups]:
    root = tmp_path_factory.mktemp("setup")
    wav = write_sound(root / "machine.wav", noise(60 * RATE), subtype="PCM_16")
    complete, silent, interrupted = (root / name for name in ("complete", "silent", "interrupted"))
    kept = complete / "recordings"
    kept.mkdir(parents=True)
    SetupProgress(complete, {"device": "testmic"}).finish("microphone", {"device": "testmic", "channel": None})
    for number in range(17):  # ten seconds of three minutes are missing
        sound = noise(10 * RATE, seed=number + 1)
        soundfile.write(kept / f"normal_20260105T080000Z_{number:04d}.flac", sound, RATE, subtype="PCM_16")
    with VirtualMicrophone(RATE) as machine, VirtualMicrophone(RATE) as silence:
        machine.play(wav, times=10)
        answers = ("--name", "Pump 3", "--minutes", "3", "--listen", "5", "--user", "anna")
        processes = [
            started(machine, complete, *answers, *SETTINGS),
            started(silence, silent, *SETTINGS),
            started(machine, interrupted, *SETTINGS),
        ]
        try:
            state = interrupted / "setup.json"
            wait_until(lambda: state.exists() and json.loads(state.read_text())["answers"].get("device"))
            processes[2].send_signal(signal.SIGINT)
            first = Outcome.of(processes[0], complete)
            changed = started(machine, complete, "--webhook", "http://127.0.0.1:9/hook")
            processes.append(changed)
            yield Setups(
                first,
                Outcome.of(changed, complete),
                Outcome.of(processes[1], silent),
                Outcome.of(processes[2], interrupted),
            )
        finally:
            for process in processes:
                process.kill()
                process.communicate()


@needs_microphone
def test_a_setup_goes_on_where_it_was_stopped_and_recordings_that_are_there_are_not_made_again(setups: Setups) -> None:
    done = setups.complete
    assert done.code == EXIT_OK, done.said + done.errors
    assert "1. Microphone: done before." in done.said
    assert "17 files of ten seconds are there already" in done.said
    assert len(list((done.folder / "recordings").iterdir())) == 18
    load_bundle(done.folder / "model.safetensors")
    config = load_config(done.folder / "config.yaml")
    [stream] = config.streams
    assert (stream.name, stream.device, stream.bundle) == ("Pump 3", "testmic", done.folder / "model.safetensors")
    assert config.state.folder == done.folder / "state"
    assert config.commissioning.days == 7
    unit = (done.folder / "monitor-pump-3.service").read_text()
    assert "\nUser=anna\n" in unit
    assert f"\nWorkingDirectory={done.folder}\n" in unit


@needs_microphone
def test_each_step_says_the_command_that_does_the_same(setups: Setups) -> None:
    said = setups.silent.said + setups.complete.said
    commands = [line.split()[2] for line in said.splitlines() if line.startswith("  $ monitor ")]
    assert commands == ["devices", "record", "train", "calibrate", "check", "live", "live", "status"]


@needs_microphone
def test_another_answer_makes_only_the_steps_that_depend_on_it_again(setups: Setups) -> None:
    again = setups.changed
    assert again.code == EXIT_OK, again.said + again.errors
    redone = {line[3:] for line in again.said.splitlines() if re.match(r"\d\. ", line) and "done before" not in line}
    assert redone == {"Settings"}
    assert load_config(again.folder / "config.yaml").notify.channels[0].webhook == "http://127.0.0.1:9/hook"


@needs_microphone
def test_a_silent_microphone_is_refused_before_anything_is_recorded(setups: Setups) -> None:
    assert setups.silent.code == EXIT_FAILURE
    assert "nothing can be learnt from this sound: it is silent" in setups.silent.errors
    assert "Traceback" not in setups.silent.errors
    assert {path.name for path in setups.silent.folder.iterdir()} == {"setup.json"}


@needs_microphone
def test_ctrl_c_keeps_what_is_done_and_says_how_to_go_on(setups: Setups) -> None:
    stopped = setups.interrupted
    assert stopped.code == EXIT_INTERRUPTED
    assert f"To go on: monitor setup --folder {stopped.folder}" in stopped.errors
    assert SetupProgress.load(stopped.folder).answers["device"]


def test_without_a_terminal_and_answers_it_says_what_to_do(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("sys.stdin", open("/dev/null"))  # noqa: SIM115, PTH123
    assert run(["setup", "--folder", str(tmp_path / "pump")]) == EXIT_USAGE
    said = capsys.readouterr().err
    assert "has a question" in said
    assert "--yes" in said
    assert said.count("\n") == 1


@pytest.mark.parametrize(
    ("words", "sentence"),
    [
        (["--minutes", "2"], "3 or more"),
        (["--minutes", "soon"], "3 or more"),
        (["--calibrate", "5"], "10 or more, or 0"),
        (["--webhook", "example.org"], "http://"),
        (["--name", "a/b"], "without slashes"),
        (["--minutes", "10", "--recordings", "x"], "give one of them"),
        (["--user", "root; rm"], "not the name of a user"),
    ],
)
def test_what_cannot_work_is_refused_before_anything_begins(
    words: list[str], sentence: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert run(["setup", "--yes", "--folder", str(tmp_path / "pump"), *words]) == EXIT_USAGE
    assert sentence in capsys.readouterr().err
    assert not (tmp_path / "pump" / "setup.json").exists()
