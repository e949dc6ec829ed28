"""`monitor evaluate` and `monitor calibrate`: what they print and write, and what they leave alone."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest

from monitor.bundle.bundle import Bundle
from monitor.bundle.bundle_io import load_bundle
from monitor.cli.main import run as command
from monitor.core.errors import EXIT_FAILURE, EXIT_OK, DataError
from support.model_settings import settings_with
from support.recordings import RememberedProgress, write_recording
from train.commands.calibrate import calibrate

# `monitor evaluate`


def test_evaluating_normal_recordings_alone_gives_their_false_positive_rate_and_no_auc(
    model: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    for number in range(3):
        write_recording(tmp_path / "normal" / f"{number}.wav", seed=300 + number)
    assert command(["evaluate", str(model), str(tmp_path / "normal"), "--json", "-"]) == EXIT_OK
    found = json.loads(capsys.readouterr().out)
    assert (found["auc"], found["tpr"], found["n_normal"], found["n_anomaly"]) == (None, None, 3, 0)
    assert 0 <= found["fpr"] <= 1


def test_evaluate_repeats_the_figures_and_the_pictures_of_the_training(
    data: Path, trained: Path, model: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert command(["evaluate", str(model), str(data), "--json", "out.json", "--plots", "pictures"]) == EXIT_OK
    ours = json.loads((tmp_path / "out.json").read_text())
    theirs = json.loads((trained / "metrics.json").read_text())
    assert [f["score"] for f in ours["files"]] == pytest.approx([f["score"] for f in theirs["files"]], rel=1e-5)
    assert ours["auc"] == theirs["auc"]
    pictures = {"roc.png", "scores.png", "least_unusual.png", "most_unusual.png"}
    assert {path.name for path in (tmp_path / "pictures").iterdir()} == pictures
    printed = capsys.readouterr().out
    assert "Method: network + spectrum. 4 normal and 4 anomalous recordings." in printed
    assert f"Normal recordings above the limit: {round(4 * theirs['fpr'])} of 4." in printed
    assert "AUC 1.0000" in printed


def test_simulated_alarms_and_compared_scores_are_printed_in_words(
    model: Path, data: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    arguments = ["--stream", "--hours", "0.02", "--fault-seconds", "8", "--faults", "3", "--compare"]
    assert command(["evaluate", str(model), str(data), *arguments]) == EXIT_OK
    printed = capsys.readouterr().out
    assert "false alarm" in printed
    assert "Of 3 faults of 8 s" in printed
    assert "nearest neighbour" in printed


# `monitor calibrate`


def test_calibrating_moves_the_thresholds_and_leaves_the_model_alone(
    bundle: Bundle, model: Path, tmp_path: Path
) -> None:
    for number in range(3):
        write_recording(tmp_path / "site" / f"{number}.wav", seed=400 + number, fault="gear")
    before = model.read_bytes()
    assert command(["calibrate", str(model), "site", "--out", "site.safetensors"]) == EXIT_OK
    calibrated = load_bundle(tmp_path / "site.safetensors")
    assert model.read_bytes() == before
    assert calibrated.thresholds["score"].value > bundle.thresholds["score"].value
    assert calibrated.thresholds["score"].recordings == 3
    assert all(np.array_equal(calibrated.weights[name], bundle.weights[name]) for name in bundle.weights)
    for name, reference in bundle.references.items():
        assert np.array_equal(calibrated.references[name].inverse_covariance, reference.inverse_covariance)


def test_calibrating_in_place_keeps_the_model_that_was_there(model: Path, data: Path, tmp_path: Path) -> None:
    mine = tmp_path / "mine.safetensors"
    mine.write_bytes(model.read_bytes())
    assert command(["calibrate", str(mine), str(data / "test_normal")]) == EXIT_OK
    assert (tmp_path / "mine.previous.safetensors").read_bytes() == model.read_bytes()
    assert mine.read_bytes() != model.read_bytes()


def test_a_smaller_budget_of_false_alarms_gives_a_higher_threshold(bundle: Bundle, data: Path) -> None:
    def threshold(budget: str) -> float:
        config = settings_with(bundle, "alarm.lasting=false", f"calibration.false_alarms_per_day={budget}")
        return calibrate(bundle, config, [data / "test_normal"], RememberedProgress()).thresholds["score"].value

    assert threshold("0.01") >= threshold("1000") > threshold("100000")


def test_calibrating_on_nothing_usable_is_refused(bundle: Bundle, tmp_path: Path) -> None:
    (tmp_path / "bad.wav").write_text("no sound")
    with pytest.raises(DataError, match="None of these"):
        calibrate(bundle, bundle.config, [tmp_path / "bad.wav"], RememberedProgress())


def test_new_references_need_half_an_hour_of_sound_and_less_is_refused(
    model: Path, data: Path, capsys: pytest.CaptureFixture[str], tmp_path: Path
) -> None:
    before = model.read_bytes()
    out = tmp_path / "out.safetensors"
    assert command(["calibrate", str(model), str(data / "test_normal"), "--relearn", "--out", str(out)]) == EXIT_FAILURE
    said = capsys.readouterr().err
    assert "need 32 minutes of normal sound, and there are 0" in said
    assert "without --relearn" in said
    assert not out.exists()
    assert model.read_bytes() == before


def test_how_certain_a_threshold_is_is_printed_and_stored(
    model: Path, data: Path, capsys: pytest.CaptureFixture[str], tmp_path: Path
) -> None:
    """From 24 s of sound without an alarm: three over the time, and three days but for those."""
    out = tmp_path / "out.safetensors"
    assert command(["calibrate", str(model), str(data / "test_normal"), "--out", str(out)]) == EXIT_OK
    said = capsys.readouterr().out
    thresholds = load_bundle(out).thresholds
    for name in ("score", "cusum"):
        threshold = thresholds[name]
        assert threshold.upper == pytest.approx(-np.log(0.05) / (threshold.seconds / 86400))
        assert threshold.more_s == pytest.approx(-np.log(0.05) * 86400 - threshold.seconds)
        assert threshold.expected == 1
    assert f"24 s of normal sound alone only prove at most {threshold.upper:,.0f} a day" in said
    assert "Calibrate with 72 hours more; until then expect some false alarms" in said
