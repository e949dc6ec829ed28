"""`monitor demo`: with nothing at hand it trains, hears a fault set in, and says what to do next."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from monitor.bundle.bundle_io import load_bundle
from monitor.cli.main import run as command
from monitor.core.errors import EXIT_ANOMALY, EXIT_OK, EXIT_USAGE
from train.demo.demo import ONSET_S, RAMP_S, record
from train.demo.machine import FAULTS, Machine, MachineSound

pytestmark = pytest.mark.long

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
        record(tmp_path / f"{fault}.wav", sound, 35, RATE)
        assert command(["replay", str(model), f"{fault}.wav", *REPLAY]) == EXIT_ANOMALY, fault
    record(tmp_path / "healthy.wav", MachineSound(Machine(seed=3000)), 60, RATE)
    assert command(["replay", str(model), "healthy.wav", *REPLAY]) == EXIT_OK


def test_the_demo_of_two_speeds_says_when_the_speed_changed_and_that_this_was_no_fault(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    demo = ["demo", "--machine", "two-speeds", "--headless", "--out", "demo", *SMALL]
    assert command(demo) == EXIT_OK
    printed = capsys.readouterr().out
    changes = re.findall(r"^At (\d+) s its speed changed: (slow|fast)\.$", printed, flags=re.MULTILINE)
    assert changes
    assert float(changes[0][0]) < ONSET_S
    assert "The monitor called it an anomaly" in printed
    assert "no false alarm" in printed
    assert "monitor demo --machine two-speeds --fault imbalance" in printed


def test_the_demo_of_a_valve_tells_what_broke_and_what_the_monitor_said(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("train.demo.demo.RECORDINGS", 8)
    monkeypatch.setattr("train.demo.demo.EPOCHS", 1)
    assert command(["demo", "--machine", "valve", "--headless", "--out", "demo", *SMALL]) == EXIT_OK
    printed = capsys.readouterr().out
    assert "The weak fault began to grow at 20 s" in printed
    assert re.search("(The monitor (called it|did not call it) an anomaly|No alarm sounded)", printed)
    assert "monitor demo --machine valve --fault late" in printed
    assert (tmp_path / "demo" / "weak.wav").exists()


@pytest.mark.parametrize(
    ("machine", "fault", "faults"),
    [
        ("motor", "rust", "bearing, imbalance, belt, gear"),
        ("two-speeds", "late", "bearing, imbalance, belt, gear"),
        ("valve", "bearing", "weak, late, double"),
    ],
)
def test_a_fault_that_the_machine_has_not_is_refused_before_anything_is_made(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], machine: str, fault: str, faults: str
) -> None:
    assert command(["demo", "--machine", machine, "--fault", fault, "--out", "demo"]) == EXIT_USAGE
    assert faults in capsys.readouterr().err
    assert not (tmp_path / "demo").exists()


def test_options_that_exclude_each_other_are_refused(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert command(["demo", "--hours", "1", "--days", "1", "--out", "demo"]) == EXIT_USAGE
    assert "give one of them" in capsys.readouterr().err
    assert command(["demo", "--days", "1", "--fault", "bearing", "--out", "demo"]) == EXIT_USAGE
    assert "--fault has no meaning" in capsys.readouterr().err
    assert not (tmp_path / "demo").exists()


def test_false_alarms_are_counted_in_hours_of_sound_before_and_after_relearning(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    """Real sound, model and engine. New references need ten minutes."""
    monkeypatch.setattr("train.demo.demo.RECORDINGS", 6)
    monkeypatch.setattr("train.demo.false_alarms.RELEARN_S", 605.0)
    monkeypatch.setattr("train.demo.false_alarms.PIECE_S", 121.0)
    assert command(["demo", "--hours", "0.02", "--out", "demo", *SMALL, "--set", "features.n_mels=8"]) == EXIT_OK
    printed = capsys.readouterr().out
    assert printed.count("in 0.02 hours") == 2
    assert printed.count("the budget is 1") == 2
    assert load_bundle(tmp_path / "demo" / "model.safetensors").provenance["calibrations"][0]["relearnt"]


def test_false_alarms_are_counted_on_days_that_follow_the_training_days(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("train.demo.demo.EPOCHS", 1)
    monkeypatch.setattr("train.demo.false_alarms.TRAINING_S", 20.0)
    monkeypatch.setattr("train.demo.false_alarms.LISTENED_S", 36.0)
    assert command(["demo", "--machine", "valve", "--days", "2", "--out", "demo", *SMALL]) == EXIT_OK
    names = sorted(path.name for path in (tmp_path / "demo" / "days").iterdir())
    assert len(names) == 16
    assert names[:2] == ["2026-03-02_0815_00.wav", "2026-03-02_0815_01.wav"]
    printed = capsys.readouterr().out
    counts = re.findall(r"^  2026-03-0[67]: (no|\d+) false alarms?$", printed, flags=re.MULTILINE)
    found = sum(0 if count == "no" else int(count) for count in counts)
    assert len(counts) == 2
    assert f"{found} false alarm" in printed
    assert re.search(
        r"in 72 s of 2 days: [\d.e+]+ a day, at most [\d.e+]+ with 95 % confidence; the budget is 1", printed
    )
