"""What a stream has learnt is saved now and then, and when it ends; a disk that will not stops nothing."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from monitor.config import schema
from monitor.core.errors import MonitorError
from monitor.core.events import ScoreRows, State
from monitor.detection.drift import Drift, DriftFile
from monitor.outputs.drift_saver import SAVE_S, DriftSaver
from support.builders import small_bundle
from support.listening import wait_until

BUNDLE = small_bundle()


@pytest.fixture
def drift() -> Drift:
    return Drift(BUNDLE, schema.Drift(enabled=True))


@pytest.fixture
def file(tmp_path: Path) -> DriftFile:
    return DriftFile.beside(tmp_path / "model.safetensors", BUNDLE)


def heard(seconds: float) -> ScoreRows:
    score = np.zeros(round(seconds * 100))
    return ScoreRows("mic", 0, 0.01, score.astype(np.float32), score, 1.0, State.NORMAL, score, 0.0)


def kept(file: DriftFile) -> float:
    """The first number of what is stored."""
    stored = Drift(BUNDLE, schema.Drift())
    assert file.load(stored)
    return float(stored.offsets["residual"][0])


def test_what_was_learnt_is_saved_every_ten_minutes_of_sound_as_it_was_then_and_at_the_end(
    drift: Drift, file: DriftFile
) -> None:
    saver = DriftSaver(drift, file)
    drift.offsets["residual"][0] = 0.25
    saver.scores(heard(SAVE_S - 1))
    assert not file.path.exists()
    saver.scores(heard(1))
    drift.offsets["residual"][0] = 0.5
    wait_until(file.path.exists, "a file")
    assert kept(file) == 0.25
    saver.close()
    assert kept(file) == 0.5
    assert saver.error is None


def test_a_folder_that_cannot_be_written_is_kept_as_an_error(drift: Drift, tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    saver = DriftSaver(drift, DriftFile.beside(tmp_path / "file" / "model.safetensors", BUNDLE))
    saver.scores(heard(SAVE_S))
    saver.close()
    assert isinstance(saver.error, MonitorError)
    assert "cannot be written" in str(saver.error)
