"""Promises of `monitor demo`: with nothing at hand it trains, hears a fault set in, and says what to do next."""

from __future__ import annotations

from pathlib import Path

import pytest

from monitor.bundle.bundle import load_bundle
from monitor.cli.main import run as command
from monitor.core.errors import EXIT_ANOMALY, EXIT_OK, EXIT_USAGE
from train.demo.synthetic import FAULTS
from train.demo.demo import ONSET_S, RAMP_S, Machine, MachineSound, record


def test_the_demo_finds_each_fault_and_tells_what_comes_next(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert command(["demo", "--headless", "--out", "d", "--fault", "bearing"]) == EXIT_OK
    printed = capsys.readouterr().out
    assert "The monitor called it an anomaly" in printed
    assert "no false alarm" in printed
    assert "monitor train recordings/" in printed
    model = tmp_path / "d" / "model.safetensors"
    load_bundle(model)
    for fault in FAULTS:
        sound = MachineSound(Machine(seed=2000, passing_noises=False), fault=fault, onset_s=10, ramp_s=RAMP_S)
        record(tmp_path / f"{fault}.wav", sound.read(35 * 16000), 16000)
        assert command(["replay", str(model), f"{fault}.wav", "--speed=max", "--headless", "--fail-on-anomaly"]) == (
            EXIT_ANOMALY
        ), fault
    healthy = MachineSound(Machine(seed=3000)).read(60 * 16000)
    record(tmp_path / "healthy.wav", healthy, 16000)
    assert command(["replay", str(model), "healthy.wav", "--speed=max", "--headless", "--fail-on-anomaly"]) == EXIT_OK


def test_an_unknown_fault_is_refused_before_anything_is_made(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert command(["demo", "--fault", "rust", "--out", "d"]) == EXIT_USAGE
    assert "bearing, imbalance, belt, gear" in capsys.readouterr().err
    assert not (tmp_path / "d").exists()
    assert ONSET_S > 0


def test_false_alarms_are_counted_in_hours_of_sound_before_and_after_relearning(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    """Real sound, model and engine; less of the former, so that it does not take minutes."""
    monkeypatch.setattr("train.demo.demo.RECORDINGS", 8)
    monkeypatch.setattr("train.demo.false_alarms.RELEARN_S", 1980.0)
    monkeypatch.setattr("train.demo.false_alarms.PIECE_S", 495.0)
    settings = ("--set", "model.hidden=[64,32]", "--set", "model.bottleneck=16")
    assert command(["demo", "--hours", "0.02", "--out", "demo", *settings]) == EXIT_OK
    said = capsys.readouterr().out
    assert said.count("in 0.02 hours") == 2
    assert said.count("the budget is 1") == 2
    assert load_bundle(tmp_path / "demo" / "model.safetensors").provenance["calibrations"][0]["relearnt"]
