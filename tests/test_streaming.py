"""What `evaluate --stream` says of alarms is what they do, and what `evaluate --compare` says of scores is so."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch
from conftest import Told
from scipy.spatial.distance import cdist
from sklearn.metrics import roc_auc_score

from monitor.detection.alarm import Alarm, Limits
from monitor.bundle.bundle import Bundle
from monitor.cli.main import run as command
from monitor.core.errors import EXIT_OK, DataError
from monitor.scoring.scorer import rolling_length
from monitor.config.loader import load_config
from monitor.streaming.stream import ScoreStream
from train.commands import evaluate as assess
from train.calibration.thresholds import scores_of
from train.data.discovery import find_recordings
from train.data.feature_cache import FrameCache, Frames, cache_folder
from train.evaluation.alarm_simulation import BEFORE_S, STREAMS, measure_streams

CPU = torch.device("cpu")


@pytest.fixture
def frames(bundle: Bundle, data: Path) -> Callable[[str], list[Frames]]:
    """The frames of a list of recordings of the data set."""
    cache = FrameCache(bundle.config.features, cache_folder(bundle.config))
    return lambda name: [cache.frames(path) for path in getattr(find_recordings(data), name)]


def with_alarm(bundle: Bundle, *overrides: str) -> Bundle:
    """The bundle with other alarm settings."""
    return replace(bundle, config=load_config(base=bundle.config, overrides=overrides))


def test_faults_that_are_far_from_normal_are_all_told_within_three_seconds(bundle: Bundle, frames) -> None:
    found = measure_streams(
        bundle, frames("test_normal"), frames("test_anomaly"), CPU, hours=0.02, fault_s=20, faults=30
    )["faults"]
    assert found["faults"] + found["alarm_stood_already"] == 30
    assert found["missed"] == 0
    assert found["p95_delay_s"] <= 3


def test_alarms_in_a_stream_are_those_of_the_recording_in_it(bundle: Bundle, frames) -> None:
    """A stream of one recording is that recording: the same scores, decision for decision."""
    [recording, *_] = frames("test_anomaly")
    bundle = with_alarm(bundle, "alarm.threshold=1.2", "alarm.release_s=0", "alarm.hold_s=0", "alarm.cool_down_s=0")
    window = rolling_length(bundle.config.score, bundle.config.features)
    alarm = Alarm(bundle.config.alarm, Limits.of(bundle, bundle.config.alarm), 0.01, window)
    scores = np.concatenate([s.score[0].numpy() for s in scores_of(ScoreStream(bundle), recording)])
    begun = [anomaly for anomaly in alarm.update(scores) if anomaly.end is None]
    hours = STREAMS * len(scores) * 0.01 / 3600
    found = measure_streams(bundle, [recording], [], CPU, hours=hours, fault_s=1, faults=1)
    assert begun
    assert found["false_alarms"] == STREAMS * len(begun)
    assert found["hours"] == pytest.approx(hours)
    assert "faults" not in found


def test_an_alarm_that_stood_before_the_fault_did_not_find_it(bundle: Bundle, frames) -> None:
    bundle = with_alarm(bundle, "alarm.threshold=0.000001")
    found = measure_streams(bundle, frames("test_normal"), frames("test_anomaly"), CPU, hours=0.1, fault_s=5, faults=7)
    assert found["false_alarms"] >= STREAMS
    assert found["faults"]["alarm_stood_already"] == 7
    assert (found["faults"]["told"], found["faults"]["missed"], found["faults"]["told_share"]) == (0, 0, None)


def test_where_nothing_is_ever_told_all_faults_are_missed_and_there_is_no_false_alarm(bundle: Bundle, frames) -> None:
    bundle = with_alarm(bundle, "alarm.threshold=1e9")
    found = measure_streams(bundle, frames("test_normal"), frames("test_anomaly"), CPU, hours=0.05, fault_s=5, faults=7)
    assert (found["false_alarms"], found["faults"]["missed"], found["faults"]["median_delay_s"]) == (0, 7, None)
    assert found["false_alarms_per_day_upper"] == pytest.approx(-np.log(0.05) / (found["hours"] / 24), rel=1e-6)


def test_the_same_seed_gives_the_same_streams_and_a_delay_counts_from_the_fault(bundle: Bundle, frames) -> None:
    told = [
        measure_streams(
            bundle, frames("test_normal"), frames("test_anomaly"), CPU, hours=0.01, fault_s=9, faults=5, seed=seed
        )
        for seed in (1, 1)
    ]
    assert told[0] == told[1]
    assert 0 < told[0]["faults"]["median_delay_s"] < 9 < BEFORE_S


def test_without_normal_recordings_there_is_no_stream(bundle: Bundle, frames) -> None:
    with pytest.raises(DataError, match="normal"):
        measure_streams(bundle, [], frames("test_anomaly"), CPU, hours=1, fault_s=1, faults=1)


def test_the_score_beside_others_is_that_of_evaluate_and_theirs_is_what_their_names_say(
    bundle: Bundle, data: Path, frames
) -> None:
    result = assess.evaluate(bundle, bundle.config, data, Told(), beside_others=True)
    by_name = {row["score"]: row for row in result["compared"]}
    assert by_name["fused: residual and spectrum"]["auc"] == pytest.approx(result["auc"])
    assert by_name["fused: residual and spectrum"]["pauc"] == pytest.approx(result["pauc"])

    def level(recording: Frames) -> np.ndarray:
        scaled = bundle.scale()(torch.from_numpy(np.array(recording.power)))
        return scaled.double().mean(dim=0).numpy()

    known, normal, anomalous = (
        np.stack([level(r) for r in frames(name)]) for name in ("train_normal", "test_normal", "test_anomaly")
    )
    distances = cdist(np.concatenate((normal, anomalous)), known).min(axis=1)
    truth = np.repeat([0, 1], [len(normal), len(anomalous)])
    assert by_name["no network: nearest neighbour of it"]["auc"] == pytest.approx(roc_auc_score(truth, distances))


def test_a_comparison_on_other_recordings_than_it_was_trained_on_is_told(bundle: Bundle, data: Path) -> None:
    bundle.provenance["manifest"] = "of others"
    progress = Told()
    assess.evaluate(bundle, bundle.config, data, progress, beside_others=True)
    assert any("trained on other recordings" in line for line in progress.lines)


def test_both_are_printed_in_words(model: Path, data: Path, capsys: pytest.CaptureFixture[str]) -> None:
    arguments = ["--stream", "--hours", "0.02", "--fault-seconds", "8", "--faults", "3", "--compare"]
    assert command(["evaluate", str(model), str(data), *arguments]) == EXIT_OK
    said = capsys.readouterr().out
    assert "false alarm" in said
    assert "Of 3 faults of 8 s" in said
    assert "nearest neighbour" in said
