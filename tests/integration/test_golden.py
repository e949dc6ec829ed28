"""The program gives what it gave before its modules moved into packages and its streams from torch to arrays.

tests/golden was recorded at commit 4d77991, with models that it trained; `support.record_golden` records it anew.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest

from monitor.bundle.bundle_io import load_bundle, save_bundle
from support.golden_inputs import EVERY, data_set, hall, recordings
from support.golden_outputs import (
    LIVE,
    MODELS,
    SCORES,
    calibrated,
    evaluated,
    full_size_bundle,
    model_file,
    names_of,
    recorded_facts,
    replayed,
    scored_live,
)

# Relative. The references of the small models were fitted to few recordings, so their covariances are nearly singular,
# and a score is compared with its threshold where it is lower than that.
FULL_SIZE = 1e-5
SMALL_ERROR, SMALL_SCORE = 2e-5, 1e-5
OFFLINE = 1e-4  # frames of recordings are kept in steps of 0.005 dB, rounded from numbers that differ in their last bit


@pytest.fixture(scope="module")
def scores() -> dict[str, np.ndarray]:
    with np.load(SCORES) as stored:
        return {name: stored[name] for name in stored.files}


@pytest.fixture(scope="module")
def facts() -> dict[str, Any]:
    return recorded_facts()


@pytest.fixture(scope="module")
def files(tmp_path_factory: pytest.TempPathFactory) -> list[Path]:
    return recordings(tmp_path_factory.mktemp("recordings"))


@pytest.fixture(scope="module")
def data_folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return data_set(tmp_path_factory.mktemp("data"))


def assert_same_rows(found: np.ndarray, recorded: np.ndarray, rows: int, threshold: float) -> None:
    """Compares errors and scores (n, 2) of all windows with the recorded ones, one in EVERY."""
    assert len(found) == rows
    error, score = found[::EVERY].T
    np.testing.assert_allclose(error, recorded[:, 0], rtol=SMALL_ERROR)
    np.testing.assert_array_equal(np.isnan(score), np.isnan(recorded[:, 1]))
    apart = np.abs(score - recorded[:, 1]) / np.maximum(recorded[:, 1], threshold)
    assert np.nanmax(apart) < SMALL_SCORE


def assert_same_event(found: dict[str, Any], recorded: dict[str, Any]) -> None:
    words = ("kind", "cause")
    assert [found[name] for name in words] == [recorded[name] for name in words]
    assert {name: found[name] for name in found if name not in words} == {
        name: None if value is None else pytest.approx(value, rel=SMALL_ERROR, abs=1e-9)
        for name, value in recorded.items()
        if name not in words
    }


@pytest.mark.parametrize("name", MODELS)
def test_a_replay_gives_the_recorded_errors_scores_and_events(
    name: str, files: list[Path], scores: dict[str, np.ndarray], facts: dict[str, Any]
) -> None:
    """With each kind of score, and with the settings of the article: a fault that sets in, and stereo at 44.1 kHz."""
    threshold = load_bundle(model_file(name)).thresholds["score"].value
    found, events = replayed(model_file(name), *files)
    assert sorted(found) == sorted(names_of(list(scores), f"replay/{name}"))
    for file, rows in found.items():
        assert_same_rows(rows, scores[f"replay/{name}/{file}"], facts["rows"][f"replay/{name}/{file}"], threshold)
    for event, recorded in zip(events, facts["events"][name], strict=True):
        assert_same_event(event, recorded)


@pytest.mark.parametrize("name", MODELS)
def test_evaluate_gives_the_recorded_auc_and_scores_of_recordings(
    name: str, data_folder: Path, facts: dict[str, Any]
) -> None:
    found, recorded = evaluated(model_file(name), data_folder), facts["evaluate"][name]
    assert found["auc"] == recorded["auc"]
    assert found["scores"] == pytest.approx(recorded["scores"], rel=OFFLINE)


@pytest.mark.parametrize("name", [name for name in MODELS if name != "toyadmos"])
def test_calibrate_finds_the_recorded_thresholds(name: str, data_folder: Path, facts: dict[str, Any]) -> None:
    """The article's model is calibrated with labels, which this command does not take."""
    assert calibrated(model_file(name), data_folder) == pytest.approx(facts["calibrate"][name], rel=OFFLINE)


def test_forty_streams_at_once_give_the_recorded_errors_and_scores(
    tmp_path: Path, scores: dict[str, np.ndarray], facts: dict[str, Any]
) -> None:
    """Each of another length, so they end one after another."""
    threshold = load_bundle(model_file("fused")).thresholds["score"].value
    found, _ = replayed("--config", hall(tmp_path, model_file("fused")))
    assert sorted(found) == sorted(names_of(list(scores), "hall"))
    for stream, rows in found.items():
        assert_same_rows(rows, scores[f"hall/{stream}"], facts["rows"][f"hall/{stream}"], threshold)


def test_a_network_of_the_default_size_gives_the_recorded_errors_and_scores(
    files: list[Path], scores: dict[str, np.ndarray], facts: dict[str, Any]
) -> None:
    save_bundle(full_size_bundle(), Path("full.safetensors"))
    found, _ = replayed("full.safetensors", *files)
    for file, rows in found.items():
        assert len(rows) == facts["rows"][f"full/{file}"]
        np.testing.assert_allclose(rows[::EVERY], scores[f"full/{file}"], rtol=FULL_SIZE)


@pytest.mark.parametrize("case", LIVE)
def test_sound_in_irregular_chunks_gives_the_recorded_errors_scores_and_gaps(
    case: str, scores: dict[str, np.ndarray], facts: dict[str, Any]
) -> None:
    """One stream or three, with and without a moment in which more comes than the ring can hold."""
    name, streams, gap = LIVE[case]
    bundle = load_bundle(model_file(name))
    for number, output in enumerate(scored_live(bundle, streams, gap=gap)):
        recorded, rows = scores[f"live/{case}/{number}"], facts["rows"][f"live/{case}/{number}"]
        np.testing.assert_array_equal(output.rows[::EVERY, 0], recorded[:, 0])
        assert_same_rows(output.rows[:, 1:], recorded[:, 1:], rows, bundle.thresholds["score"].value)
        assert output.events == [
            [kind, *(None if at is None else pytest.approx(at) for at in times), lost]
            for kind, *times, lost in facts["live_events"][f"{case}/{number}"]
        ]
        assert bool(output.events and output.events[0][0] == "gap") == gap
