"""Commissioning with the real commands: it learns normal sound, and a fault that sets in meanwhile is not learnt."""

from __future__ import annotations

import json
import os
import shutil
from pathlib import Path

import numpy as np
import pytest
import soundfile

from monitor.bundle.bundle_io import load_bundle
from monitor.bundle.versions import ModelVersions
from monitor.cli.main import run
from monitor.config.loader import load_config
from monitor.core.errors import EXIT_OK, EXIT_USAGE
from monitor.service import low_priority
from monitor.service.upkeep import Surroundings, Upkeep
from monitor.store import queries
from monitor.store.database import Store
from monitor.store.location import DATABASE
from support.builders import RATE
from train.demo.machine import Machine, MachineSound

pytestmark = pytest.mark.long

STATE, MODEL = Path("state"), Path("press.safetensors")
KEEP = (
    "--set=normal.every_s=12", "--set=normal.wait_s=20", "--set=normal.speech=keep", "--set=clips.pictures=false",
    "--set=clips.min_free_gb=0",
)  # fmt: skip


def machine(seconds: float, seed: int, fault: str | None = None) -> np.ndarray:
    return MachineSound(Machine(RATE, seed=seed, passing_noises=False), fault=fault).read(round(seconds * RATE))


def heard(name: str, *sounds: np.ndarray) -> None:
    """The monitor hears these sounds, one after another."""
    soundfile.write(f"{name}.wav", np.concatenate(sounds), RATE, subtype="PCM_16")
    state = ("--state", str(STATE))
    assert run(["replay", str(MODEL), f"{name}.wav", "--speed=max", "--headless", *state, *KEEP]) == EXIT_OK


def anomalies() -> int:
    with Store.open(f"sqlite:///{STATE / DATABASE}", create=False) as store:
        return len(queries.events(store, kinds=["anomaly"]))


class Nights:
    """Upkeep with the real commands, and the time that a test sets."""

    def __init__(self) -> None:
        self.now, self.noted = 1.8e9, list[str]()
        self.upkeep = Upkeep(
            STATE,
            Surroundings(
                improve=lambda name: ["improve", "--commissioning", "--json", "--state", str(STATE), "--", name],
                selftest=lambda: ["selftest", "--json", "--state", str(STATE)],
                unjudged=lambda _: False,
                show=lambda *_: None,
                note=lambda _what, _name, text: self.noted.append(text),
            ),
            clock=lambda: self.now,
            steady=lambda: self.now,
        )
        config = load_config(Path(os.devnull), overrides=["commissioning.days=7"])
        self.upkeep.use(config, {"press": MODEL})
        self.upkeep.tick()

    def pass_one(self) -> str:
        """A night passes; what was said of it."""
        self.now += 86_400
        self.upkeep.tick()
        return self.noted[-1]


def test_a_fault_that_sets_in_during_commissioning_is_reported_and_not_learnt(
    model: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(low_priority, "NICENESS", 0)  # a busy machine would not finish it in any time
    shutil.copyfile(model, MODEL)
    STATE.mkdir()
    heard("first", machine(240, 501))
    versions = ModelVersions(STATE / "models" / "press")
    versions.remember_origin(MODEL)
    nights = Nights()

    assert nights.pass_one().startswith("Learnt again from ")
    learnt = load_bundle(versions.in_force(MODEL)).model_id
    assert learnt != load_bundle(MODEL).model_id

    before = anomalies()
    heard("second", machine(120, 502), machine(40, 503, "bearing"), machine(60, 504))
    reported = anomalies()
    assert reported > before
    said = nights.pass_one()
    assert load_bundle(versions.in_force(MODEL)).model_id == learnt, said
    assert not list((STATE / "normal" / "press").glob("*.flac")), "all is held back until somebody has judged"
    heard("third", machine(20, 505), machine(40, 506, "bearing"))
    assert anomalies() > reported, "it is still reported"
    file = json.loads((STATE / "commissioning.json").read_text())
    assert [night["promoted"] for night in file["streams"]["press"]["nights"]] == [True, False]


@pytest.mark.parametrize("group", ["store", "normal"])
def test_commissioning_without_what_it_learns_from_is_refused(
    group: str, model: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert run(["live", str(model), "--commission", "7d", f"--set={group}.enabled=false"]) == EXIT_USAGE
    assert f"commissioning.days needs {group}.enabled: true" in capsys.readouterr().err
