"""What `monitor backtest` says of other settings is what a replay with these settings does."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import soundfile
from click.testing import CliRunner

from monitor.bundle.bundle_io import load_bundle
from monitor.cli.main import cli, run
from support.recordings import write_recording

pytestmark = pytest.mark.long

NORMAL_S = 20.0


@pytest.fixture(scope="module")
def sound(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A machine that has two faults between normal sound."""
    folder = tmp_path_factory.mktemp("sound")
    parts = []
    for number, fault in enumerate((None, "bearing", None, "belt", None)):
        path = folder / f"{number}.wav"
        write_recording(path, seconds=6.0 if fault else NORMAL_S, seed=300 + number, fault=fault)
        samples, rate = soundfile.read(path)
        parts.append(samples)
    soundfile.write(folder / "shift.wav", np.concatenate(parts), rate)
    return folder / "shift.wav"


def replayed(model: Path, sound: Path, state: Path, *settings: str) -> list[dict[str, Any]]:
    """The anomalies that a replay stores."""
    sets = [part for one in settings for part in ("--set", one)]
    arguments = ["replay", str(model), str(sound), "--state", str(state), "--speed", "max", "--headless", *sets]
    assert run(arguments) == 0
    result = CliRunner().invoke(cli, ["events", "--kind", "anomaly", "--json", "--state", str(state)])
    return [json.loads(line) for line in reversed(result.output.splitlines()) if line.startswith("{")]


def backtested(state: Path, model: Path, *arguments: str) -> dict[str, Any]:
    arguments = ("backtest", "--state", str(state), "--model", str(model), "--json", *arguments)
    result = CliRunner().invoke(cli, arguments)
    assert result.exit_code == 0, result.output
    found: dict[str, Any] = json.loads(result.output)
    return found


def reports(anomalies: list[dict[str, Any]]) -> list[tuple[str, str, str]]:
    return [(one["reported"][:-2], one["ended"][:-2], one["cause"]) for one in anomalies]  # to a hundredth of a second


def test_a_backtest_gives_the_anomalies_that_were_reported_and_those_of_a_replay_with_other_settings(
    model: Path, sound: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    threshold = f"alarm.threshold={2 * load_bundle(model).thresholds['score'].value:.6g}"
    stored = replayed(model, sound, tmp_path / "state")
    with_other = replayed(model, sound, tmp_path / "other", threshold, "store.keep_scores_days=0")
    assert not (tmp_path / "other" / "scores").exists()
    assert len(stored) >= 2
    before, after = backtested(tmp_path / "state", model, "--set", threshold)["outcomes"]
    assert reports(before["anomalies"]) == reports(stored)
    assert [one["event"] for one in before["anomalies"]] == [one["id"] for one in stored]
    assert reports(after["anomalies"]) == reports(with_other)

    assert run(["verdict", stored[0]["id"], "fault", "--state", str(tmp_path / "state")]) == 0
    found = backtested(tmp_path / "state", model, "--sweep", "alarm.threshold=1e3,1e6")
    assert [one["settings"] for one in found["outcomes"]] == ["in force", "alarm.threshold=1e3", "alarm.threshold=1e6"]
    assert found["outcomes"][2]["real_faults"] == [{"event": stored[0]["id"], "later_s": None}]
    assert [one["event"] for one in found["outcomes"][2]["vanished"]] == [one["id"] for one in stored]

    capsys.readouterr()
    here = ["backtest", "--state", str(tmp_path / "state")]  # the model is known from the replay
    assert run([*here, "--set", "alarm.threshold=1e6"]) == 0
    assert "NOT REPORTED: real fault" in capsys.readouterr().out
    assert run([*here, "--sweep", "alarm.threshold=1e3,1e4,1e5,1e6", "--set", "alarm.hold_s=1234.5"]) == 0
    assert "…" not in capsys.readouterr().out  # nothing is cut off where it is not a terminal
    for wrong, code, said in (
        (["--set", "alarm.block_s=2"], 2, "stored scores cannot say what this would change"),
        (["--set", "alarm.k=5"], 2, "k cannot be larger than n"),
        (["--sweep", "alarm.k"], 2, "write it as group.key=A,B"),
        (["--sweep", "alarm.k=2,3", "--set", "alarm.k=3"], 2, "alarm.k is given with --set and with --sweep"),
        (["--set", "alarm.threshold=2", "--set", "calibration.false_alarms_per_day=2"], 2, "chooses the limits"),
        (["--until", "2000-01-01", "--since", "1999-01-01"], 1, "no stored scores of model"),
    ):
        assert run([*here, *wrong]) == code, wrong
        assert said in capsys.readouterr().err


def test_a_model_that_is_gone_is_named_in_a_sentence(
    model: Path, sound: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    moved = tmp_path / "pump.safetensors"
    moved.write_bytes(model.read_bytes())
    replayed(moved, sound, tmp_path / "state", "clips.enabled=false", "normal.enabled=false")
    moved.unlink()
    capsys.readouterr()
    assert run(["backtest", "--state", str(tmp_path / "state")]) == 2
    assert "pump.safetensors: there is no such file any more" in capsys.readouterr().err
