"""`monitor demo`: with nothing at hand it trains, hears a fault set in, and says what to do next."""

from __future__ import annotations

from pathlib import Path

import pytest

from monitor.bundle.bundle_io import load_bundle
from monitor.cli.main import run as command
from monitor.core.errors import EXIT_ANOMALY, EXIT_OK, EXIT_USAGE
from train.demo.demo import RAMP_S, record
from train.demo.machine import FAULTS, Machine, MachineSound

RATE = 16000
SMALL = ("--set", "model.hidden=[64,32]", "--set", "model.bottleneck=16")  # trains in seconds
REPLAY = ("--speed=max", "--headless", "--fail-on-anomaly")


@pytest.fixture(autouse=True)
def little_training(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("train.demo.demo.RECORDINGS", 20)
    monkeypatch.setattr("train.demo.demo.EPOCHS", 4)


def test_the_demo_reports_its_fault_without_a_false_alarm_and_says_what_comes_next(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """And its model, that of a healthy machine, reports the other faults too, and nothing at another moment."""
    assert command(["demo", "--headless", "--out", "demo", "--fault", "bearing", *SMALL]) == EXIT_OK
    printed = capsys.readouterr().out
    assert "The monitor called it an anomaly" in printed
    assert "no false alarm" in printed
    assert "monitor train recordings/" in printed
    model = tmp_path / "demo" / "model.safetensors"
    for fault in FAULTS:
        sound = MachineSound(Machine(seed=2000, passing_noises=False), fault=fault, onset_s=10, ramp_s=RAMP_S)
        record(tmp_path / f"{fault}.wav", sound.read(35 * RATE), RATE)
        assert command(["replay", str(model), f"{fault}.wav", *REPLAY]) == EXIT_ANOMALY, fault
    record(tmp_path / "healthy.wav", MachineSound(Machine(seed=3000)).read(60 * RATE), RATE)
    assert command(["replay", str(model), "healthy.wav", *REPLAY]) == EXIT_OK


def test_an_unknown_fault_is_refused_before_anything_is_made(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert command(["demo", "--fault", "rust", "--out", "demo"]) == EXIT_USAGE
    assert "bearing, imbalance, belt, gear" in capsys.readouterr().err
    assert not (tmp_path / "demo").exists()


def test_false_alarms_are_counted_in_hours_of_sound_before_and_after_relearning(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    """Real sound, model and engine. With 8 bands four minutes are enough for new references."""
    monkeypatch.setattr("train.demo.demo.RECORDINGS", 6)
    monkeypatch.setattr("train.demo.false_alarms.RELEARN_S", 252.0)
    monkeypatch.setattr("train.demo.false_alarms.PIECE_S", 63.0)
    assert command(["demo", "--hours", "0.02", "--out", "demo", *SMALL, "--set", "features.n_mels=8"]) == EXIT_OK
    printed = capsys.readouterr().out
    assert printed.count("in 0.02 hours") == 2
    assert printed.count("the budget is 1") == 2
    assert load_bundle(tmp_path / "demo" / "model.safetensors").provenance["calibrations"][0]["relearnt"]
