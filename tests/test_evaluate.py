"""Promises of `monitor evaluate` and `monitor calibrate`: the figures are the field's, the thresholds what they say."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch
from conftest import Told, write_recording
from hypothesis import given, settings
from hypothesis import strategies as st
from sklearn.metrics import f1_score, roc_auc_score

from monitor.bundle.bundle import Bundle, Threshold, load_bundle
from monitor.cli.main import run as command
from monitor.core.errors import EXIT_FAILURE, EXIT_OK, DataError
from monitor.model.autoencoder import Autoencoder
from monitor.config.loader import load_config
from train.commands import evaluate as assess
from train.calibration.thresholds import ScoredRecording, _at_most
from train.evaluation.metrics import Labelled, metrics, rates, threshold_at_fpr
from train.data.feature_cache import Frames

scores_of_both = st.lists(st.tuples(st.booleans(), st.integers(0, 30)), min_size=2, max_size=60).filter(
    lambda pairs: len({anomaly for anomaly, _ in pairs}) == 2
)


def labelled(anomaly: bool, score: float) -> Labelled:
    """A recording of which only the label and the score matter."""
    frames = Frames(Path("x.wav"), np.zeros((30, 64), np.float32), "")
    return Labelled("x.wav", anomaly, ScoredRecording(frames, score, 1.0))


@given(scores_of_both)
@settings(max_examples=60, deadline=None)
def test_auc_is_the_share_of_pairs_that_are_in_order(pairs: list[tuple[bool, int]]) -> None:
    found = metrics(_any_bundle(), [labelled(anomaly, float(score)) for anomaly, score in pairs])
    normal = np.array([score for anomaly, score in pairs if not anomaly])
    faulty = np.array([score for anomaly, score in pairs if anomaly])
    above = (faulty[:, None] > normal).mean() + 0.5 * (faulty[:, None] == normal).mean()
    assert found["auc"] == pytest.approx(above)
    truth, scores = zip(*pairs, strict=True)
    assert found["pauc"] == pytest.approx(roc_auc_score(truth, scores, max_fpr=0.1))


@given(scores_of_both, st.floats(0.01, 0.5))
@settings(max_examples=60, deadline=None)
def test_no_threshold_has_a_false_positive_rate_nearer_to_the_one_asked_for(
    pairs: list[tuple[bool, int]], wanted: float
) -> None:
    anomaly = np.array([label for label, _ in pairs])
    scores = np.array([float(score) for _, score in pairs])
    threshold = threshold_at_fpr(anomaly, scores, wanted)
    distance = abs((scores[~anomaly] >= threshold).mean() - wanted)
    for other in scores:
        assert abs((scores[~anomaly] >= other).mean() - wanted) >= distance - 1e-12


@given(scores_of_both, st.integers(0, 30))
@settings(max_examples=60, deadline=None)
def test_the_f_score_at_a_threshold_is_scikit_learns(pairs: list[tuple[bool, int]], threshold: int) -> None:
    anomaly = np.array([label for label, _ in pairs])
    scores = np.array([float(score) for _, score in pairs])
    assert rates(anomaly, scores, threshold)["f1"] == pytest.approx(
        f1_score(anomaly, scores >= threshold, zero_division=0)
    )


def test_evaluating_a_folder_of_normal_recordings_gives_their_false_positive_rate_and_no_auc(
    model: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    for number in range(3):
        write_recording(tmp_path / "normal" / f"{number}.wav", seed=300 + number)
    assert command(["evaluate", str(model), str(tmp_path / "normal"), "--json", "-"]) == 0
    found = json.loads(capsys.readouterr().out)
    assert (found["auc"], found["tpr"], found["n_normal"], found["n_anomaly"]) == (None, None, 3, 0)
    assert 0 <= found["fpr"] <= 1


def test_evaluate_repeats_the_figures_of_the_training(data: Path, trained: Path, model: Path, tmp_path: Path) -> None:
    assert command(["evaluate", str(model), str(data), "--json", "out.json", "--plots", "pictures"]) == 0
    ours = json.loads((tmp_path / "out.json").read_text())
    theirs = json.loads((trained / "metrics.json").read_text())
    assert [f["score"] for f in ours["files"]] == pytest.approx([f["score"] for f in theirs["files"]], rel=1e-5)
    assert ours["auc"] == theirs["auc"]
    assert {p.name for p in (tmp_path / "pictures").iterdir()} == {"roc.png", "scores.png", "best.png", "worst.png"}


def test_calibrating_moves_the_threshold_and_leaves_the_model_alone(
    bundle: Bundle, model: Path, tmp_path: Path
) -> None:
    for number in range(3):
        write_recording(tmp_path / "site" / f"{number}.wav", seed=400 + number, fault="gear")
    before = model.read_bytes()
    assert command(["calibrate", str(model), "site", "--out", "site.safetensors"]) == 0
    calibrated = load_bundle(tmp_path / "site.safetensors")
    assert model.read_bytes() == before
    assert calibrated.thresholds["score"].value > bundle.thresholds["score"].value
    assert calibrated.thresholds["score"].recordings == 3
    weights, old = calibrated.model.state_dict(), bundle.model.state_dict()
    assert all((weights[name] == old[name]).all() for name in old)


def test_calibrating_in_place_keeps_the_model_that_was_there(model: Path, data: Path, tmp_path: Path) -> None:
    mine = tmp_path / "mine.safetensors"
    mine.write_bytes(model.read_bytes())
    assert command(["calibrate", str(mine), str(data / "test_normal")]) == 0
    assert (tmp_path / "mine.previous.safetensors").read_bytes() == model.read_bytes()
    assert mine.read_bytes() != model.read_bytes()


def test_a_smaller_budget_of_false_alarms_gives_a_higher_threshold(bundle: Bundle, data: Path) -> None:
    bundle = replace(bundle, config=load_config(base=bundle.config, overrides=("alarm.evidence=false",)))

    def threshold(budget: str) -> float:
        config = load_config(base=bundle.config, overrides=(f"calibration.false_alarms_per_day={budget}",))
        return assess.calibrate(bundle, config, [data / "test_normal"], Told()).thresholds["score"].value

    assert threshold("0.01") >= threshold("1000") > threshold("100000")


def test_calibrating_on_nothing_usable_is_refused(bundle: Bundle, tmp_path: Path) -> None:
    (tmp_path / "bad.wav").write_text("no sound")
    with pytest.raises(DataError, match="None of these"):
        assess.calibrate(bundle, bundle.config, [tmp_path / "bad.wav"], Told())


def _any_bundle() -> Bundle:
    """A bundle of which only the settings and the thresholds matter."""
    config, bands = load_config(overrides=["score.kind=error"]), torch.ones(64)
    threshold = Threshold(10.0, "normal", 1, 1.0, 0.1)
    thresholds = dict.fromkeys(("score", "error", "recording", "evidence"), threshold)
    return Bundle(config, Autoencoder(), bands, bands, bands, {}, thresholds, torch.empty(0))


def test_learning_anew_what_is_normal_wants_half_an_hour_and_says_so(
    model: Path, data: Path, capsys: pytest.CaptureFixture[str], tmp_path: Path
) -> None:
    before = model.read_bytes()
    out = tmp_path / "out.safetensors"
    assert command(["calibrate", str(model), str(data / "test_normal"), "--relearn", "--out", str(out)]) == EXIT_FAILURE
    said = capsys.readouterr().err
    assert "takes 32 minutes of sound, and there are 0" in said
    assert "without --relearn" in said
    assert not out.exists()
    assert model.read_bytes() == before


def test_how_sure_a_threshold_is_is_said_and_stored(
    model: Path, data: Path, capsys: pytest.CaptureFixture[str], tmp_path: Path
) -> None:
    """From 24 s of sound without an alarm: three over the time, and three days but for those."""
    out = tmp_path / "out.safetensors"
    assert command(["calibrate", str(model), str(data / "test_normal"), "--out", str(out)]) == EXIT_OK
    said = capsys.readouterr().out
    for name in ("score", "evidence"):
        threshold = load_bundle(out).thresholds[name]
        assert threshold.upper == pytest.approx(-np.log(0.05) / (threshold.seconds / 86400))
        assert threshold.more_s == pytest.approx(-np.log(0.05) * 86400 - threshold.seconds)
        assert threshold.expected == 1
    assert f"24 s of normal sound alone only show that there are at most {threshold.upper:,.0f} a day" in said
    assert "it takes 4313 minutes (72 hours) more" in said


def test_of_more_than_ten_hours_of_sound_ten_are_looked_at_and_always_the_same(bundle: Bundle) -> None:
    hour = np.broadcast_to(np.float32(0), (360_000, 64))
    recordings = [Frames(Path(f"{number}.wav"), hour, str(number)) for number in range(15)]
    chosen = _at_most(recordings, bundle.config)
    assert len(chosen) == 10
    assert [id(r) for r in chosen] == [id(r) for r in _at_most(recordings, bundle.config)]
    assert [r.digest for r in _at_most(recordings[:3], bundle.config)] == ["0", "1", "2"]
