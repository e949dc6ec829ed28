"""A machine of two speeds: at a third one that its model never heard, with a fault, and changing its speed."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from monitor.cli.main import run as command
from monitor.core.errors import EXIT_ANOMALY, EXIT_OK
from support.builders import RATE
from train.demo.demo import record
from train.demo.machine import Machine, MachineSound
from train.demo.modes import FAST, SLOW, TWO_SPEEDS, UNKNOWN, Mode

pytestmark = pytest.mark.long

SMALL = ("model.hidden=[64,32]", "model.bottleneck=16", "train.epochs=1", "features.n_mels=32")


def sound(seed: int, *modes: Mode, **fault: object) -> MachineSound:
    return MachineSound(Machine(seed=seed, modes=modes, passing_noises=False), **fault)  # type: ignore[arg-type]


@pytest.fixture(scope="module")
def model(tmp_path_factory: pytest.TempPathFactory) -> Path:
    root = tmp_path_factory.mktemp("two speeds")
    for number in range(20):
        record(root / "normal" / f"{number:02d}.wav", sound(number, (SLOW, FAST)[number % 2]), 10, RATE)
    settings = [word for one in SMALL for word in ("--set", one)]
    assert command(["train", str(root / "normal"), "--out", str(root / "run"), *settings]) == EXIT_OK
    return root / "run" / "model.safetensors"


def replayed(model: Path, samples: MachineSound, seconds: float) -> tuple[int, set[str]]:
    """The exit code with --fail-on-anomaly, and the kinds of events."""
    record(Path("x.wav"), samples, seconds, RATE)
    arguments = ("--speed=max", "--headless", "--fail-on-anomaly", "--events=x.jsonl")
    code = command(["replay", str(model), "x.wav", *arguments])
    return code, {json.loads(line)["kind"] for line in Path("x.jsonl").read_text().splitlines()}


def test_a_speed_never_trained_is_a_new_mode_and_no_anomaly(model: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert replayed(model, sound(77, UNKNOWN), 12) == (EXIT_OK, {"new mode"})
    assert "UNKNOWN: an operating mode not heard in training" in capsys.readouterr().out


@pytest.mark.parametrize("mode", TWO_SPEEDS)
def test_a_severe_fault_at_a_trained_speed_is_an_anomaly(model: Path, mode: Mode) -> None:
    fault = sound(78, mode, fault="bearing", onset_s=5.0, ramp_s=2.0)
    assert replayed(model, fault, 20) == (EXIT_ANOMALY, {"anomaly"})


def test_a_change_from_one_trained_speed_to_the_other_is_neither(model: Path) -> None:
    changing = sound(80, *TWO_SPEEDS)
    change = next(changing.changes())
    assert replayed(model, changing, change.start_s + 10) == (EXIT_OK, set())
