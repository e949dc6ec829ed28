"""What is normal follows normal sound slowly, never a fault, never further than its cap, and comes back when told."""

from __future__ import annotations

import math
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch
from builders import small_bundle, small_config
from conftest import write_recording

from monitor.cli import main as cli
from monitor.config import schema as config
from monitor.detection.alarm import Alarm, Limits
from monitor.bundle.bundle import Bundle, load_bundle, save_bundle
from monitor.detection.drift import WAIT_S, Drift, DriftFile, DriftKeeper
from monitor.runtime.engine import Engine
from monitor.core.errors import MonitorError
from monitor.scoring.scorer import PARTS, Normal, part_of
from monitor.config.loader import load_config
from monitor.core.snapshot import State
from monitor.sources.source import WavReplay
from monitor.runtime.monitored_stream import Station

STEP_S = 2.0
BANDS = 64


def plain_bundle() -> Bundle:
    """A model to whose statistics normal sound is white: centre 0, unit covariance, d² about as many as numbers."""
    settings = small_config("score.window_s=2.0")
    bundle = small_bundle(settings)
    normals = {}
    for part in PARTS[settings.score.kind]:
        size = BANDS * (2 if part == "spectrum" else 1)
        zeros, usual = torch.zeros(size, dtype=torch.float64), torch.tensor([[math.log(size), 0.2]] * 2).double()
        normals[part] = Normal(zeros, torch.eye(size, dtype=torch.float64), usual)
    scores = torch.exp(0.15 * torch.randn(500, dtype=torch.float64, generator=torch.Generator().manual_seed(1)))
    thresholds = bundle.thresholds | {
        "score": replace(bundle.thresholds["score"], value=2.0),
        "evidence": replace(bundle.thresholds["evidence"], value=15.0),
    }
    return replace(bundle, normals=normals, normal_scores=scores.sort().values, thresholds=thresholds)


class Machine:
    """A machine's mean rows, judged as the engine does it: a window a step."""

    def __init__(self, bundle: Bundle, settings: config.Drift, seed: int = 0) -> None:
        self.bundle, self.drift = bundle, Drift(bundle, settings)
        alarm = config.Alarm(block_s=STEP_S, k=2, n=3, warm_up_s=0)
        self.alarm = Alarm(alarm, Limits.of(bundle, alarm), STEP_S, 1)
        self.scorer = bundle.scorer()
        self.random = np.random.default_rng(seed)
        self.states: list[State] = []
        self.scores: list[float] = []

    def run(self, hours: float, shift: np.ndarray | float = 0.0, *, learn: bool = True) -> None:
        """Sound for so long, whose statistics are shifted by so much."""
        for _ in range(round(hours * 3600 / STEP_S)):
            row = self.random.standard_normal(4 * BANDS) + shift
            score = float(self.scorer(torch.from_numpy(row)))
            self.alarm.update(np.array([score]))
            self.states.append(self.alarm.state)
            self.scores.append(score)
            if learn and self.drift.learn(score, row, self.alarm, STEP_S):
                self.scorer.recentre(self.drift.offsets)


def shift(size: float, seed: int = 5) -> np.ndarray:
    """A change of all statistics by vectors whose squared length is `size` times their usual one."""
    row = np.random.default_rng(seed).standard_normal(4 * BANDS)
    for part, count in (("residual", BANDS), ("spectrum", 2 * BANDS)):
        columns = part_of(torch.from_numpy(row), part, BANDS)
        columns *= math.sqrt(size * count) / float(columns.norm())
    return row


def test_a_lasting_change_of_normal_sound_is_followed_by_half_in_a_half_life() -> None:
    machine = Machine(plain_bundle(), config.Drift(enabled=True, half_life_h=0.5, cap=100.0))
    change = shift(0.05)
    machine.run(WAIT_S / 3600)
    machine.run(0.5, change)
    learnt = machine.drift.offsets["spectrum"] @ part_of(torch.from_numpy(change), "spectrum", BANDS)
    share = float(learnt / part_of(torch.from_numpy(change), "spectrum", BANDS).square().sum())
    # Only sound that is surely normal counts, three quarters of it or less: half an hour is a little more.
    assert 0.3 < share < 0.55


def test_it_never_moves_further_than_its_cap() -> None:
    bundle = plain_bundle()
    machine = Machine(bundle, config.Drift(enabled=True, half_life_h=0.01, cap=0.02))
    for _ in range(5):
        machine.run(0.2, shift(0.1))
        for part, offset in machine.drift.offsets.items():
            usual = math.exp(float(bundle.normals[part].usual[0, 0]))
            assert float(offset.square().sum()) <= 0.02 * usual * (1 + 1e-9)
    assert machine.drift.share == pytest.approx(1.0, abs=0.05)


def test_a_fault_that_comes_slowly_is_not_learnt_away() -> None:
    """Over ten hours a fault grows to what is told at once when it comes at once; with the drift it is told as well."""
    settings = config.Drift(enabled=True, half_life_h=0.25, cap=0.25)
    machine = Machine(plain_bundle(), settings)
    machine.run(0.5)
    assert State.ANOMALY not in machine.states
    fault = shift(1.0)
    for step in range(100):
        machine.run(0.1, fault * math.sqrt(2.5) * step / 100)
    assert machine.states[-1] is State.ANOMALY
    assert machine.drift.share <= 1


def test_nothing_is_learnt_while_a_warning_or_an_anomaly_stands_nor_for_a_minute_after() -> None:
    machine = Machine(plain_bundle(), config.Drift(enabled=True, half_life_h=0.01, cap=100.0))
    machine.run(0.1)
    machine.run(0.02, shift(4.0))
    assert machine.alarm.state is State.ANOMALY
    before = {part: offset.clone() for part, offset in machine.drift.offsets.items()}
    machine.run(0.05, shift(4.0))
    while machine.alarm.state is not State.NORMAL:
        machine.run(STEP_S / 3600)
    machine.run((WAIT_S - STEP_S) / 3600)
    assert all(torch.equal(before[part], machine.drift.offsets[part]) for part in before)
    machine.run(0.1)
    assert not all(torch.equal(before[part], machine.drift.offsets[part]) for part in before)


def test_unusual_sound_below_the_threshold_teaches_nothing() -> None:
    machine = Machine(plain_bundle(), config.Drift(enabled=True, half_life_h=0.01, cap=100.0))
    alarm = machine.alarm
    for _ in range(100):
        alarm.update(np.array([1.0]))
        assert not machine.drift.learn(1.9, np.ones(4 * BANDS), alarm, STEP_S)
    assert machine.drift.share == 0


def test_what_was_learnt_is_taken_up_by_the_next_run_of_the_same_model_only(tmp_path: Path) -> None:
    bundle, settings = plain_bundle(), config.Drift(enabled=True, half_life_h=0.01, cap=1.0)
    file = DriftFile.beside(tmp_path / "model.safetensors", bundle)
    machine = Machine(bundle, settings)
    machine.run(0.3, shift(0.05))
    file.save(machine.drift.offsets, machine.drift.share)
    again = Drift(bundle, settings)
    assert file.load(again)
    assert all(torch.equal(machine.drift.offsets[part], again.offsets[part]) for part in again.offsets)
    louder = bundle.thresholds | {"score": replace(bundle.thresholds["score"], value=3.0)}
    other = replace(bundle, thresholds=louder)
    fresh = Drift(other, settings)
    assert not DriftFile.beside(tmp_path / "model.safetensors", other).load(fresh)
    assert fresh.share == 0


@pytest.mark.parametrize("content", [b"", b"nonsense", b"\x08\0\0\0\0\0\0\0{}      "])
def test_a_damaged_file_is_one_sentence_that_says_how_to_go_on(content: bytes, tmp_path: Path) -> None:
    bundle = plain_bundle()
    file = DriftFile.beside(tmp_path / "model.safetensors", bundle)
    file.path.write_bytes(content)
    with pytest.raises(MonitorError, match="--undo"):
        DriftKeeper(bundle, config.Drift(enabled=True), file)


def test_a_run_leaves_what_it_learnt_beside_the_model_and_one_command_takes_it_back(
    model: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    own = tmp_path / "own" / "model.safetensors"
    own.parent.mkdir()
    bundle = load_bundle(model)
    # Every score is surely normal, so that a short recording teaches something.
    loud = bundle.thresholds | {name: replace(bundle.thresholds[name], value=1e6) for name in ("score", "evidence")}
    save_bundle(replace(bundle, thresholds=loud, normal_scores=torch.full((10,), 1e5, dtype=torch.float64)), own)
    kept = own.read_bytes()
    sound = write_recording(tmp_path / "sound.wav", seconds=75.0, seed=321)
    settings = ("--set", "drift.enabled=true", "--set", "drift.half_life_h=0.01")
    assert cli.run(["replay", str(own), str(sound), "--speed", "max", "--headless", *settings]) == 0
    assert own.read_bytes() == kept
    beside = own.with_name("model.drift.safetensors")
    assert beside.exists()
    capsys.readouterr()
    assert cli.run(["drift", str(own)]) == 0
    assert "% of the cap" in capsys.readouterr().out
    assert cli.run(["drift", str(own), "--undo"]) == 0
    assert not beside.exists()
    assert beside.with_name("model.drift.safetensors.undone").exists()
    assert cli.run(["drift", str(own)]) == 0
    assert "as it was calibrated" in capsys.readouterr().out


def test_by_default_nothing_is_learnt(model: Path, data: Path) -> None:
    bundle = load_bundle(model)
    source = WavReplay(sorted((data / "test_normal").glob("*.wav")), 16000, speed=math.inf)
    engine = Engine([Station(bundle, source, load_config(base=bundle.config), model_name="m")])
    engine.start()
    engine.stop()
    assert not list(model.parent.glob("*.drift.*"))
