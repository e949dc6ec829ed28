"""`monitor evaluate` and `monitor calibrate`: what they print and write, and what they leave alone."""

from __future__ import annotations

import json
import shutil
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from monitor.bundle.bundle import Bundle
from monitor.bundle.bundle_io import load_bundle, save_bundle
from monitor.cli.main import run as command
from monitor.core.errors import EXIT_FAILURE, EXIT_OK, DataError
from support.builders import frames_of, noise, small_config
from support.model_settings import settings_with
from support.recordings import RememberedProgress, write_recording
from train.commands.calibrate import calibrate
from train.commands.evaluate import evaluate
from train.evaluation.alarm_simulation import SimulatedStreams

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
    pictures = {"roc.png", "scores.png", "worst_false_alarm.png", "worst_miss.png"}
    assert {path.name for path in (tmp_path / "pictures").iterdir()} == pictures
    printed = capsys.readouterr().out
    assert "Method: network + spectrum. 4 normal and 4 anomalous recordings." in printed
    assert f"Normal recordings above the limit: {round(4 * theirs['fpr'])} of 4." in printed
    assert "AUC 1.0000" in printed


def test_simulated_alarms_and_compared_scores_are_printed_in_words(
    model: Path, data: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    arguments = [
        "--stream", "--hours", "0.02", "--fault-seconds", "8", "--faults", "3", "--compare", "--plots", "pictures",
    ]  # fmt: skip
    assert command(["evaluate", str(model), str(data), *arguments]) == EXIT_OK
    printed = capsys.readouterr().out
    assert "false alarm" in printed
    assert "Of 3 faults of 8 s" in printed
    assert "nearest neighbour" in printed
    assert Path("pictures/comparison.png").exists()
    assert Path("pictures/streams.png").exists()


def test_a_comparison_without_recordings_to_learn_from_is_refused_before_anything_is_scored(
    bundle: Bundle, data: Path, tmp_path: Path
) -> None:
    for name in ("test_normal", "test_anomaly"):
        (tmp_path / "tests" / name).mkdir(parents=True)
        for file in (data / name).iterdir():
            (tmp_path / "tests" / name / file.name).write_bytes(file.read_bytes())
    progress = RememberedProgress()
    with pytest.raises(DataError, match="--compare needs normal recordings to learn from"):
        evaluate(bundle, bundle.config, tmp_path / "tests", progress, with_baselines=True)
    with pytest.raises(DataError, match=r"--compare needs .*anomalous test recordings"):
        evaluate(bundle, bundle.config, data / "train_normal", progress, with_baselines=True)
    assert not progress.read


def test_the_progress_of_simulated_alarms_is_called_what_it_is(bundle: Bundle, data: Path) -> None:
    progress = RememberedProgress()
    evaluate(bundle, bundle.config, data, progress, streams=SimulatedStreams(hours=0.02, fault_s=8, faults=2))
    assert progress.done == {"Simulating alarms"}


def test_normal_recordings_that_the_model_was_trained_on_are_counted(
    model: Path, data: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    shutil.copytree(data / "test_normal", tmp_path / "site")
    shutil.copy(data / "train_normal" / "normal_05.wav", tmp_path / "site" / "x.wav")
    assert command(["evaluate", str(model), "site"]) == EXIT_OK
    assert "The model was trained on 1 of the 5 normal recordings, such as site/x.wav" in capsys.readouterr().err


def test_an_evaluation_that_fails_leaves_no_folder_for_pictures(model: Path, tmp_path: Path) -> None:
    assert command(["evaluate", str(model), "nowhere", "--plots", "new/pictures"]) == EXIT_FAILURE
    assert not (tmp_path / "new").exists()


# `monitor calibrate`


def test_calibrating_moves_the_thresholds_and_leaves_the_model_alone(
    bundle: Bundle, model: Path, tmp_path: Path
) -> None:
    for number in range(3):
        write_recording(tmp_path / "site" / f"{number}.wav", seed=400 + number, fault="gear")
    before = model.read_bytes()
    assert command(["calibrate", str(model), "site", "--force", "--out", "site.safetensors"]) == EXIT_OK
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
    assert command(["calibrate", str(mine), str(data / "test_normal"), "--force"]) == EXIT_OK
    assert (tmp_path / "mine.previous.safetensors").read_bytes() == model.read_bytes()
    assert mine.read_bytes() != model.read_bytes()


def test_a_smaller_budget_of_false_alarms_gives_a_higher_threshold(bundle: Bundle, data: Path) -> None:
    def threshold(budget: str) -> float:
        config = settings_with(bundle, "alarm.lasting=false", f"calibration.false_alarms_per_day={budget}")
        found = calibrate(bundle, config, [data / "test_normal"], RememberedProgress(), force=True)
        return found.thresholds["score"].value

    assert threshold("0.01") >= threshold("1000") > threshold("100000")


def test_calibrating_on_nothing_usable_is_refused(bundle: Bundle, tmp_path: Path) -> None:
    (tmp_path / "bad.wav").write_text("no sound")
    with pytest.raises(DataError, match="None of these"):
        calibrate(bundle, bundle.config, [tmp_path / "bad.wav"], RememberedProgress())


def test_new_references_need_ten_minutes_of_sound_and_less_is_refused(
    model: Path, data: Path, capsys: pytest.CaptureFixture[str], tmp_path: Path
) -> None:
    before = model.read_bytes()
    out = tmp_path / "out.safetensors"
    arguments = ["calibrate", str(model), str(data / "test_normal"), "--relearn", "--force", "--out", str(out)]
    assert command(arguments) == EXIT_FAILURE
    said = capsys.readouterr().err
    assert "need 10 minutes of normal sound, and there are 0" in said
    assert "without --relearn" in said
    assert not out.exists()
    assert model.read_bytes() == before


def refusal_to_calibrate(model: Path, *arguments: str, capsys: pytest.CaptureFixture[str]) -> str:
    """The sentence with which a calibration is refused; the model must be as it was."""
    before = model.read_bytes()
    assert command(["calibrate", str(model), *arguments]) == EXIT_FAILURE
    assert model.read_bytes() == before
    assert list(model.parent.glob("*.previous.*")) == []
    said = capsys.readouterr().err
    assert "monitor: Not calibrated, and nothing written: " in said
    return said


@pytest.fixture
def own_model(model: Path, tmp_path: Path) -> Path:
    return Path(shutil.copy(model, tmp_path / "own.safetensors"))


def test_less_than_ten_minutes_are_not_calibrated_on_unless_forced(
    own_model: Path, data: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    said = refusal_to_calibrate(own_model, str(data / "test_normal"), capsys=capsys)
    assert "24 s of normal sound are too little, limits need 10 min" in said
    assert "--force" in said
    said = refusal_to_calibrate(own_model, "--minutes", "9.9", capsys=capsys)
    assert "10 min" in said
    assert command(["calibrate", str(own_model), str(data / "test_normal"), "--force"]) == EXIT_OK
    note = load_bundle(own_model).thresholds["score"].note
    assert note == "a guess, from only 24 s of normal sound"


def test_recordings_that_the_model_was_trained_on_are_recognised_under_other_names(
    own_model: Path, data: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / "site").mkdir()
    shutil.copy(data / "test_normal" / "normal_00.wav", tmp_path / "site" / "new.wav")
    shutil.copy(data / "train_normal" / "normal_03.wav", tmp_path / "site" / "monday.wav")
    said = refusal_to_calibrate(own_model, "site", capsys=capsys)
    assert "was trained on 1 of these 2 recordings, such as site/monday.wav" in said
    assert command(["calibrate", str(own_model), "site", "--force"]) == EXIT_OK


def test_copies_of_a_recording_are_no_further_sound(
    own_model: Path, data: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / "site").mkdir()
    for number in range(3):
        shutil.copy(data / "test_normal" / "normal_00.wav", tmp_path / "site" / f"{number}.wav")
    said = refusal_to_calibrate(own_model, "site", capsys=capsys)
    assert "Left out: site/1.wav: the same as site/0.wav; site/2.wav: the same as site/0.wav." in said
    assert "6 s of normal sound are too little" in said


def test_limits_do_not_fall_below_a_third_without_a_word(
    bundle: Bundle, data: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr("train.commands.calibrate.ENOUGH_S", 20.0)
    high = {name: one.model_copy(update={"value": 50.0}) for name, one in bundle.thresholds.items()}
    own = tmp_path / "own.safetensors"
    save_bundle(replace(bundle, thresholds=high), own)
    said = refusal_to_calibrate(own, str(data / "test_normal"), capsys=capsys)
    assert "the limit of the stream would fall from 50 to " in said
    assert command(["calibrate", str(own), str(data / "test_normal"), "--force"]) == EXIT_OK
    assert "50" in capsys.readouterr().out, "the old limit"


def test_arrays_of_another_scale_are_warned_of_when_a_model_is_evaluated(
    model: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """As arrays of n_fft 1024 for a model of 512."""
    (tmp_path / "mel").mkdir()
    for number in range(3):
        power = frames_of(small_config("features.n_fft=1024", "features.hop_length=512"), noise(96_000)[None])[0]
        np.save(tmp_path / "mel" / f"{number}.npy", power)
    assert command(["evaluate", str(model), str(tmp_path / "mel")]) == EXIT_OK
    said = capsys.readouterr().err
    assert "n_fft 512 and hop_length 160 are assumed" in said
    assert "may have been made with other settings than the recordings that the model was trained on" in said


def test_how_certain_a_threshold_is_is_printed_and_stored(
    model: Path, data: Path, capsys: pytest.CaptureFixture[str], tmp_path: Path
) -> None:
    """From 24 s of sound without an alarm: three over the time, and three days but for those."""
    out = tmp_path / "out.safetensors"
    assert command(["calibrate", str(model), str(data / "test_normal"), "--force", "--out", str(out)]) == EXIT_OK
    said = capsys.readouterr().out
    thresholds = load_bundle(out).thresholds
    for name in ("score", "cusum"):
        threshold = thresholds[name]
        assert threshold.upper == pytest.approx(-np.log(0.05) / (threshold.seconds / 86400))
        assert threshold.more_s == pytest.approx(-np.log(0.05) * 86400 - threshold.seconds)
        assert threshold.expected == 1
    assert f"24 s of normal sound alone only prove at most {threshold.upper:,.0f} a day" in said
    assert "Calibrate with 72 hours more; until then expect some false alarms" in said
