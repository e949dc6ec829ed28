"""The reference follows normal sound slowly, never a fault, never further than its cap, and what it learnt is kept."""

from __future__ import annotations

import math
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from monitor.bundle.bundle import Bundle
from monitor.bundle.bundle_io import with_model_id
from monitor.config import schema
from monitor.config.schema import Config
from monitor.core.errors import MonitorError
from monitor.core.events import State
from monitor.detection.alarm import Alarm
from monitor.detection.cusum import Limits
from monitor.detection.drift import CALM_S, REPORTED_STEP, Drift, DriftFile
from monitor.scoring.gaussian import Reference
from monitor.scoring.row_layout import RowLayout
from monitor.scoring.score_parts import PARTS, SCORE_KINDS
from support.builders import small_bundle, small_config
from support.listening import with_thresholds

STEP_S = 2.0
BANDS = 64
LAYOUT = RowLayout.of(Config())


def plain_bundle() -> Bundle:
    """A model to whose statistics normal sound is white: centre 0, unit covariance, d² about as many as numbers."""
    bundle = small_bundle(small_config("score.window_s=2.0"))
    references = {
        part.name: Reference(np.zeros(size), np.eye(size), np.array([[math.log(size), 0.2]] * 2))
        for part in SCORE_KINDS[bundle.config.score.kind]
        for size in (part.size(BANDS),)
    }
    scores = np.sort(np.exp(0.15 * np.random.default_rng(1).standard_normal(500)))
    values = {"score": 2.0, "cusum": 15.0}
    thresholds = bundle.thresholds | {
        name: bundle.thresholds[name].model_copy(update={"value": value}) for name, value in values.items()
    }
    return with_model_id(replace(bundle, references=references, normal_scores=scores, thresholds=thresholds))


class Machine:
    """A machine's mean rows, scored and followed as a detector does it: a window a step."""

    def __init__(self, bundle: Bundle, settings: schema.Drift, seed: int = 0) -> None:
        self.bundle, self.drift = bundle, Drift(bundle, settings)
        alarm = schema.Alarm(block_s=STEP_S, k=2, n=3, warm_up_s=0)
        self.alarm = Alarm(alarm, Limits.of(bundle, alarm), STEP_S, 1)
        self.scorer = bundle.scorer(streams=1)
        self.random = np.random.default_rng(seed)
        self.states: list[State] = []

    def run(self, hours: float, shift: np.ndarray | float = 0.0) -> None:
        """Sound for so long, whose statistics are shifted by so much."""
        for _ in range(round(hours * 3600 / STEP_S)):
            row = self.random.standard_normal(LAYOUT.row_width) + shift
            score = float(self.scorer(row[None, None], streams=np.array([0]))[0, 0])
            self.alarm.push(np.array([score]))
            self.states.append(self.alarm.state)
            if self.drift.learn(score, row, self.alarm, STEP_S):
                self.scorer.recentre(self.drift.offsets, 0)


def spectrum(row: np.ndarray) -> np.ndarray:
    return row[LAYOUT.columns(PARTS["spectrum"])]


def shift(size: float, seed: int = 5) -> np.ndarray:
    """A change of all statistics by vectors whose squared length is `size` times their usual one."""
    row = np.random.default_rng(seed).standard_normal(LAYOUT.row_width)
    for part in SCORE_KINDS["fused"]:
        columns = row[LAYOUT.columns(part)]
        columns *= math.sqrt(size * len(columns)) / float(np.linalg.norm(columns))
    return row


def offsets_of(drift: Drift) -> dict[str, np.ndarray]:
    return {part: offset.copy() for part, offset in drift.offsets.items()}


def test_a_lasting_change_of_normal_sound_is_followed_by_half_in_a_half_life() -> None:
    machine = Machine(plain_bundle(), schema.Drift(enabled=True, half_life_h=0.5, cap=100.0))
    change = shift(0.05)
    machine.run(CALM_S / 3600)
    machine.run(0.5, change)
    share = float(machine.drift.offsets["spectrum"] @ spectrum(change) / np.square(spectrum(change)).sum())
    # Only sound that is surely normal counts, three quarters of it or less: half an hour is a little more.
    assert 0.3 < share < 0.55


def test_it_never_moves_further_than_its_cap() -> None:
    bundle = plain_bundle()
    machine = Machine(bundle, schema.Drift(enabled=True, half_life_h=0.01, cap=0.02))
    for _ in range(5):
        machine.run(0.2, shift(0.1))
        for part, offset in machine.drift.offsets.items():
            usual = math.exp(float(bundle.references[part].log_distance[0, 0]))
            assert float(np.square(offset).sum()) <= 0.02 * usual * (1 + 1e-9)
    assert machine.drift.share == pytest.approx(1.0, abs=0.05)


@pytest.mark.long
def test_a_fault_that_comes_slowly_is_not_learnt_away() -> None:
    """Over ten hours it grows to what is reported at once when it comes at once; with the drift it is reported, too."""
    settings = schema.Drift(enabled=True, half_life_h=0.25, cap=0.25)
    machine = Machine(plain_bundle(), settings)
    machine.run(0.5)
    assert State.ANOMALY not in machine.states
    fault = shift(1.0)
    for step in range(100):
        machine.run(0.1, fault * math.sqrt(2.5) * step / 100)
    assert machine.states[-1] is State.ANOMALY
    assert machine.drift.share <= 1


def test_nothing_is_learnt_while_a_warning_or_an_anomaly_stands_nor_for_a_minute_after() -> None:
    machine = Machine(plain_bundle(), schema.Drift(enabled=True, half_life_h=0.01, cap=100.0))
    machine.run(0.1)
    machine.run(0.02, shift(4.0))
    assert machine.alarm.state is State.ANOMALY
    before = offsets_of(machine.drift)
    machine.run(0.05, shift(4.0))
    while machine.alarm.state is not State.NORMAL:
        machine.run(STEP_S / 3600)
    machine.run((CALM_S - STEP_S) / 3600)
    np.testing.assert_equal(machine.drift.offsets, before)
    machine.run(0.1)
    assert any((machine.drift.offsets[part] != before[part]).any() for part in before)


def test_unusual_sound_below_the_threshold_teaches_nothing() -> None:
    machine = Machine(plain_bundle(), schema.Drift(enabled=True, half_life_h=0.01, cap=100.0))
    alarm = machine.alarm
    for _ in range(100):
        alarm.push(np.array([1.0]))
        assert not machine.drift.learn(1.9, np.ones(LAYOUT.row_width), alarm, STEP_S)
    assert machine.drift.share == 0


def test_what_was_learnt_is_taken_up_by_the_next_run_of_the_same_model_only(tmp_path: Path) -> None:
    bundle, settings = plain_bundle(), schema.Drift(enabled=True, half_life_h=0.01, cap=1.0)
    file = DriftFile.beside(tmp_path / "model.safetensors", bundle)
    machine = Machine(bundle, settings)
    machine.run(0.3, shift(0.05))
    file.save(machine.drift.offsets, machine.drift.share)
    again = Drift(bundle, settings)
    assert file.load(again)
    np.testing.assert_equal(again.offsets, machine.drift.offsets)
    assert again.share == machine.drift.share > 0
    other = with_model_id(with_thresholds(bundle, 1.5))
    fresh = Drift(other, settings)
    assert not DriftFile.beside(tmp_path / "model.safetensors", other).load(fresh)
    assert fresh.share == 0


@pytest.mark.parametrize("content", [b"", b"nonsense", b"\x08\0\0\0\0\0\0\0{}      "])
def test_a_damaged_file_is_one_sentence_that_says_how_to_go_on(content: bytes, tmp_path: Path) -> None:
    bundle = plain_bundle()
    file = DriftFile.beside(tmp_path / "model.safetensors", bundle)
    file.path.write_bytes(content)
    with pytest.raises(MonitorError, match="--undo") as caught:
        file.load(Drift(bundle, schema.Drift(enabled=True)))
    assert "\n" not in str(caught.value)
    with pytest.raises(MonitorError, match="damaged"):
        file.describe()


def test_offsets_of_another_size_are_refused(tmp_path: Path) -> None:
    bundle = plain_bundle()
    file = DriftFile.beside(tmp_path / "model.safetensors", bundle)
    file.save({"residual": np.zeros(3), "spectrum": np.zeros(3)}, 0.1)
    with pytest.raises(MonitorError, match="damaged"):
        file.load(Drift(bundle, schema.Drift(enabled=True)))


def test_what_was_taken_back_is_kept_beside_and_there_is_nothing_more_to_take_back(tmp_path: Path) -> None:
    bundle = plain_bundle()
    file = DriftFile.beside(tmp_path / "model.safetensors", bundle, "press 1")
    assert file.path.name == "model.press 1.drift.safetensors"
    assert not file.undo()
    file.save(Drift(bundle, schema.Drift()).offsets, 0.5)
    assert "50 % of the cap" in file.describe()
    kept = file.path.read_bytes()
    assert file.undo()
    assert file.path.with_name(f"{file.path.name}.undone").read_bytes() == kept
    assert not file.undo()
    assert "as it was calibrated" in file.describe()


def test_the_share_of_the_cap_is_reported_only_when_it_has_changed_by_a_hundredth() -> None:
    machine = Machine(plain_bundle(), schema.Drift(enabled=True, half_life_h=0.05, cap=0.5))
    reported: list[float] = []
    for _ in range(300):
        machine.run(STEP_S / 3600, shift(0.05))
        if (share := machine.drift.share_to_report()) is not None:
            reported.append(share)
    assert len(reported) > 5
    assert np.abs(np.diff([0.0, *reported])).min() >= REPORTED_STEP
    assert abs(machine.drift.share - reported[-1]) < REPORTED_STEP
