"""Normal sound is gathered while a machine is listened to, and recorded over days, with nobody's work."""

from __future__ import annotations

import datetime
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest
import soundfile
from click.testing import CliRunner

from monitor.cli.main import cli, run
from monitor.normal_sound.pieces import nearest, pieces_of, read_piece
from monitor.normal_sound.quarantine import EVENT_MARGIN_S, QUARANTINE, read_anomalies, survey, usable_pieces
from monitor.sources.recording_plan import RecordingPlan
from monitor.store import queries, verdicts
from monitor.store.database import Store
from support import virtual_microphone
from support.builders import RATE, noise, write_sound
from support.listening import DEADLINE_S
from support.virtual_microphone import VirtualMicrophone
from train.demo.machine import Machine, MachineSound

pytestmark = pytest.mark.long

FAULT_S, LASTS_S = 200.0, 80.0
HOLD_H = 0.03
BEGAN = datetime.datetime(2026, 11, 25, 10, 0, tzinfo=datetime.UTC).timestamp()


@pytest.fixture(scope="module")
def faulty(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Five minutes of the demo's machine, whose belt fails after three, with the time at which they were made."""
    path = tmp_path_factory.mktemp("sound") / "day.flac"
    healthy, fault = (
        MachineSound(Machine(sample_rate=RATE, seed=100, passing_noises=False), fault=kind).read(
            round((FAULT_S + LASTS_S) * RATE)
        )
        for kind in (None, "belt")
    )
    healthy[round(FAULT_S * RATE) :] = fault[round(FAULT_S * RATE) :]
    with soundfile.SoundFile(path, "w", RATE, 1, "PCM_16") as file:
        file.date = datetime.datetime.fromtimestamp(BEGAN, datetime.UTC).isoformat()
        file.write(healthy)
    return path


def replay(model: Path, recording: Path, state: Path, *settings: str) -> None:
    """Replays a recording as fast as possible, with a state folder."""
    arguments = ["replay", str(model), str(recording), "--speed", "max", "--headless", "--state", str(state)]
    chosen = ("clips.enabled=false", "clips.min_free_gb=0", "normal.every_s=10", *settings)
    result = CliRunner().invoke(cli, [*arguments, *(part for one in chosen for part in ("--set", one))])
    assert result.exit_code == 0, result.output


def test_a_replay_keeps_pieces_from_before_the_fault_only_and_a_verdict_decides_on_those_near_it(
    tmp_path: Path, model: Path, faulty: Path
) -> None:
    replay(model, faulty, tmp_path, "normal.wait_s=30", f"normal.hold_h={HOLD_H}")
    [folder] = (tmp_path / "normal").iterdir()
    pieces, held = pieces_of(folder), pieces_of(folder / QUARANTINE)
    [anomaly] = read_anomalies(folder)
    assert anomaly.onset == pytest.approx(BEGAN + FAULT_S, abs=5)
    assert pieces
    assert held
    assert max(piece.began + piece.seconds for piece in pieces) < anomaly.onset - HOLD_H * 3600
    assert max(piece.began + piece.seconds for piece in held) < anomaly.onset
    assert all(piece.share < 1 for piece in pieces)
    # They are the sound that was heard at the time that they state.
    heard, _ = soundfile.read(faulty, dtype="float32")
    first = round((pieces[0].began - BEGAN) * RATE)
    found = read_piece(pieces[0])
    assert any(
        np.array_equal(found[:RATE], heard[at : at + RATE]) for at in range(first - RATE // 5, first + RATE // 5)
    )
    assert nearest(pieces, pieces[0].spectrum_db) is pieces[0]
    with Store.open(f"sqlite:///{tmp_path / 'monitor.sqlite'}") as store:
        [event] = queries.events(store, kinds=["anomaly"])
        assert event.id == anomaly.event_id
        assert len(usable_pieces(folder, store, hold_h=HOLD_H)) == len(pieces)
        assert usable_pieces(folder, store, hold_h=24) == []  # the default: a fault may have grown for hours
        verdicts.record(store, event.id, "disturbance", by="anna")
        released = usable_pieces(folder, store, hold_h=HOLD_H)
        assert len(released) > len(pieces)
        assert max(piece.began + piece.seconds for piece in released) < anomaly.onset - EVENT_MARGIN_S
        verdicts.record(store, event.id, "real fault", by="anna")
        assert len(survey(folder, store, hold_h=HOLD_H).refused) == len(held)


def test_it_can_be_turned_off(tmp_path: Path, model: Path) -> None:
    heard = write_sound(tmp_path / "short.wav", noise(5 * RATE))
    replay(model, heard, tmp_path, "normal.enabled=false")
    assert not (tmp_path / "normal").exists()


needs_microphone = pytest.mark.skipif(bool(virtual_microphone.why_not()), reason=virtual_microphone.why_not())


@pytest.fixture
def microphone() -> Iterator[VirtualMicrophone]:
    with VirtualMicrophone(RATE) as virtual:
        yield virtual


SPREAD = """
import sys, time
from pathlib import Path
from monitor.config.loader import load_config
from monitor.sources.recording_plan import RecordingPlan
from monitor.sources.recording_session import capture_pieces
from monitor.sources.spread_recording import SpreadRecorder
folder, pieces = Path(sys.argv[1]), int(sys.argv[2])
config = load_config(Path("/dev/null"))
plan = RecordingPlan.load(folder) or RecordingPlan.new(4, 6.0, 0.5, time.time())
capture = lambda n: capture_pieces(config.audio, 16000, 0, n * 0.5 / 60, lambda *_: None, lead_s=0.1, piece_s=0.5)
for number, path in enumerate(SpreadRecorder(plan, folder, capture, sample_rate=16000).record(), 1):
    print(path.name, flush=True)
    if number == pieces:
        break
"""


@needs_microphone
def test_a_recording_is_spread_over_a_period_and_goes_on_after_a_kill(
    tmp_path: Path, microphone: VirtualMicrophone
) -> None:
    microphone.play(write_sound(tmp_path / "machine.wav", noise(60 * RATE), subtype="PCM_16"), times=5)
    folder = tmp_path / "recordings"

    def record(pieces: int) -> list[str]:
        command = (sys.executable, "-c", SPREAD, folder, str(pieces))
        found = subprocess.run(command, env=microphone.environment, capture_output=True, text=True, timeout=DEADLINE_S)
        assert found.returncode == 0, found.stderr
        return found.stdout.split()

    assert len(record(2)) == 2
    assert len(record(99)) == 2
    assert record(99) == []
    files = sorted(folder.glob("*.flac"))
    assert len(files) == 4
    assert all(soundfile.info(file).frames == RATE // 2 for file in files)
    assert all(np.abs(soundfile.read(file)[0]).max() > 0.05 for file in files)


@pytest.mark.parametrize("minutes", ["120", "1e308"])
def test_a_period_that_is_shorter_than_the_minutes_is_a_wrong_command(
    tmp_path: Path, minutes: str, capsys: pytest.CaptureFixture[str]
) -> None:
    assert run(["record", "--minutes", minutes, "--over", "90min", "--out", str(tmp_path)]) == 2
    assert "--over is shorter than --minutes" in capsys.readouterr().err
    assert not list(tmp_path.iterdir())


def test_a_recording_into_a_file_is_a_wrong_command(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (tmp_path / "recordings").touch()
    assert run(["record", "--minutes", "10", "--over", "3d", "--out", str(tmp_path / "recordings")]) == 1
    assert "recordings: is no folder" in capsys.readouterr().err


def test_a_recording_that_is_complete_says_how_another_is_begun(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    write_sound(tmp_path / "normal_20261124T120000Z.flac", noise(RATE), subtype="PCM_16")
    plan = RecordingPlan.new(60, 259_200.0, 10.0, BEGAN)
    plan.done = 60
    plan.save(tmp_path)
    assert run(["record", "--minutes", "10", "--over", "3d", "--out", str(tmp_path)]) == 0
    assert "this recording is complete: to record again, choose another --out" in capsys.readouterr().out


def test_the_days_of_a_folder_are_compared(tmp_path: Path) -> None:
    for day in (23, 24, 25):
        gain = 0.2 if day == 24 else 0.1
        write_sound(tmp_path / f"normal_202611{day}T120000Z.flac", noise(RATE, amplitude=gain), subtype="PCM_16")
    result = CliRunner().invoke(cli, ["record", "--compare", str(tmp_path)])
    assert result.exit_code == 0, result.output
    assert "Of 3 days Tue 2026-11-24 differs most from their mean: it is 4.0 dB louder" in result.output
