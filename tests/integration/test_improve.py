"""The next model of a stream, from what a replay left in the store: learnt, judged, promoted, taken back."""

from __future__ import annotations

import json
import shutil
import time
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import soundfile

from monitor.bundle.bundle_io import load_bundle
from monitor.bundle.versions import ModelVersions
from monitor.cli.main import run
from monitor.store import queries, verdicts
from monitor.store.database import Store
from monitor.store.records import StoredEvent
from support.builders import RATE
from support.normal_sound import motor_pieces
from train.demo.machine import Machine, MachineSound

pytestmark = pytest.mark.long

LENGTH_S, BEFORE_S = 14, 12  # of each anomaly, and of the normal sound before it
BEGAN = ("new", "bearing", "new", "bearing")  # the anomalies of the replay, each in a recording of its own


def machine(seconds: float, seed: int, fault: str | None = None) -> np.ndarray:
    return MachineSound(Machine(RATE, seed=seed, passing_noises=False), fault=fault).read(round(seconds * RATE))


def anomalous(kind: str, seed: int) -> np.ndarray:
    """A new normal state, which is a whistle of another machine nearby, or a worn bearing: (n,)."""
    if kind != "new":
        return machine(LENGTH_S, seed, kind)
    t = np.arange(LENGTH_S * RATE) / RATE
    return (machine(LENGTH_S, seed) + 0.1 * np.sin(2 * np.pi * 1234 * t)).astype(np.float32)


@pytest.fixture(scope="module")
def normal(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Four minutes of normal sound of three days."""
    folder = tmp_path_factory.mktemp("normal")
    for number in range(24):
        day, minute = divmod(number, 8)
        name = folder / f"normal_2026110{2 + day}T08{minute:02d}00Z.wav"
        soundfile.write(name, machine(10.0, 1000 + number), RATE, subtype="PCM_16")
    return folder


@pytest.fixture(scope="module")
def heard(model: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The state folder of a replay with two spells of a new normal state, and two of a fault."""
    folder = tmp_path_factory.mktemp("heard")
    files = [folder / f"{number}.wav" for number in range(len(BEGAN))]
    for number, (file, kind) in enumerate(zip(files, BEGAN, strict=True)):
        sound = np.concatenate((machine(BEFORE_S, 70 + number), anomalous(kind, 80 + number)))
        soundfile.write(file, sound, RATE, subtype="PCM_16")
    quick = ("--speed", "max", "--headless", "--set", "clips.pictures=false", "--set", "clips.min_free_gb=0")
    (folder / "state").mkdir()
    with pytest.MonkeyPatch.context() as patched:
        patched.chdir(folder)
        assert run(["replay", str(model), *map(str, files), *quick, "--state", str(folder / "state")]) == 0
    ModelVersions(folder / "state" / "models" / model.parent.name).remember_origin(model)
    return folder / "state"


@pytest.fixture
def state(heard: Path, tmp_path: Path) -> Path:
    return Path(shutil.copytree(heard, tmp_path / "state"))


@pytest.fixture
def quick(tmp_path: Path) -> tuple[str, str]:
    """The option of a settings file without lasting anomalies, whose limits take longest to find."""
    file = tmp_path / "quick.yaml"
    file.write_text("alarm:\n  lasting: false\n")
    return "--config", str(file)


def store_of(state: Path) -> Store:
    return Store.open(f"sqlite:///{state / 'monitor.sqlite'}", create=False)


def events_of(state: Path) -> list[StoredEvent]:
    """The anomalies in the order of their recordings: replayed one right after the other, their times overlap."""
    with store_of(state) as store:
        return sorted(queries.events(store, kinds=["anomaly"]), key=lambda event: event.source)


def judge(state: Path, *said: str) -> list[str]:
    """Gives the anomalies of the replay verdicts; returns their ids."""
    found = events_of(state)
    assert len(found) == len(BEGAN), [(one.start_s, one.cause) for one in found]
    with store_of(state) as store:
        for event, verdict in zip(found, said, strict=True):
            verdicts.record(store, event.id, verdict, by="ann")
    return [event.id for event in found]


def improve(capsys: pytest.CaptureFixture[str], state: Path, *options: str, code: int = 0) -> dict[str, Any]:
    """Runs `monitor improve … --json`, and returns what it prints."""
    capsys.readouterr()
    assert run(["improve", "--state", str(state), "--json", *options]) == code
    printed = capsys.readouterr()
    return json.loads(printed.out) if code == 0 else {"error": printed.err}


def test_what_is_new_but_normal_no_longer_alarms_and_the_fault_is_still_reported(
    state: Path, normal: Path, model: Path, quick: tuple[str, str], capsys: pytest.CaptureFixture[str]
) -> None:
    ids = judge(state, "new but normal", "real fault", "", "real fault")
    found = improve(capsys, state, "--normal", str(normal), *quick)
    judged = found["judgement"]
    assert [(one["event_id"], one["before"] is None, one["after"] is None) for one in judged["learnt"]] == [
        (ids[0], False, True)
    ]
    assert [(one["event_id"], one["before"] is None, one["after"] is None) for one in judged["faults"]] == [
        (ids[1], False, False), (ids[3], False, False),
    ]  # fmt: skip
    # What nobody has judged is not learnt, but its loss is told: it sounds like what was learnt.
    assert found["unjudged_lost"] == [ids[2]]
    assert found["may_be_promoted"]
    assert found["false_alarms"]["after"]["upper"] <= found["false_alarms"]["before"]["upper"]

    # Nothing has changed before it is promoted.
    configured, versions = load_bundle(model), ModelVersions(state / "models" / model.parent.name)
    assert versions.in_force(model) == model
    assert improve(capsys, state, "--promote")["promoted"]
    promoted = load_bundle(versions.in_force(model))
    assert promoted.model_id == found["model_id"]
    assert [one["model_id"] for one in promoted.provenance["lineage"]] == [configured.model_id]
    [entry] = improve(capsys, state, "--history")
    assert (entry["what"], entry["model_id"], entry["figures"]["learnt"]) == ("promoted", found["model_id"], [ids[0]])
    assert "made of model" in improve(capsys, state, "--promote", code=1)["error"]  # it is in force already

    assert improve(capsys, state, "--undo")["model_id"] == configured.model_id
    assert versions.in_force(model) == model
    with store_of(state) as store, store.reading() as connection:
        trail = connection.exec_driver_sql("select what, subject from audit where what = 'model'").fetchall()
    assert [(what, subject.rpartition("/")[2]) for what, subject in trail] == [("model", model.parent.name)] * 2


def test_a_fault_that_was_called_normal_shows_as_confirmed_faults_lost_and_is_not_promoted(
    state: Path, normal: Path, model: Path, quick: tuple[str, str], capsys: pytest.CaptureFixture[str]
) -> None:
    ids = judge(state, "disturbance", "new but normal", "disturbance", "real fault")
    found = improve(capsys, state, "--normal", str(normal), *quick)
    assert found["faults_lost"] == [ids[3]]
    assert not found["may_be_promoted"]
    assert [one["event_id"] for one in found["judgement"]["no_fault"]] == [ids[0], ids[2]]
    refused = improve(capsys, state, "--promote", code=1)["error"]
    assert "1 confirmed fault would no longer be reported" in refused
    assert "--force" in refused
    assert ModelVersions(state / "models" / model.parent.name).in_force(model) == model
    assert improve(capsys, state, "--promote", "--force")["promoted"]


def test_a_candidate_is_not_promoted_after_a_verdict_has_changed(
    state: Path, normal: Path, model: Path, quick: tuple[str, str], capsys: pytest.CaptureFixture[str]
) -> None:
    judge(state, "new but normal", "real fault", "new but normal", "real fault")
    found = improve(capsys, state, "--normal", str(normal), *quick)
    assert found["judgement"]["left_out"] == [2, 0]  # each is known from the other one
    candidate = ModelVersions(state / "models" / model.parent.name).candidate
    whole = candidate.read_bytes()
    candidate.write_bytes(whole[:2000])
    assert "is missing or damaged: make another" in improve(capsys, state, "--promote", code=1)["error"]
    candidate.write_bytes(whole)
    judge(state, "real fault", "real fault", "new but normal", "real fault")
    assert "verdicts have changed" in improve(capsys, state, "--promote", code=1)["error"]


def test_commissioning_promotes_nothing_that_hides_what_was_reported_and_says_why(
    state: Path, normal: Path, model: Path, quick: tuple[str, str], capsys: pytest.CaptureFixture[str]
) -> None:
    judge(state, "", "", "", "")
    night = improve(capsys, state, "--commissioning", "--normal", str(normal), *quick)
    assert night["promoted"], night["why"]  # nothing of it was learnt, so all is still reported
    assert not night["proven"]  # some minutes prove little
    assert night["listened"]["alarms"] == len(BEGAN)
    # What somebody calls new but normal is learnt the next night, but would hide what nobody has judged.
    found = events_of(state)
    with store_of(state) as store:
        verdicts.record(store, found[0].id, "new but normal", by="ann")
    night = improve(capsys, state, "--commissioning", "--normal", str(normal), *quick)
    assert not night["promoted"]
    assert found[2].id in night["why"]


def test_a_change_that_came_night_by_night_is_not_learnt_until_a_person_says_that_the_machine_is_well(
    state: Path, normal: Path, model: Path, quick: tuple[str, str], capsys: pytest.CaptureFixture[str]
) -> None:
    judge(state, "disturbance", "disturbance", "disturbance", "disturbance")
    pieces, night = state / "normal" / model.parent.name, ("--commissioning", "--normal", str(normal), *quick)
    t = np.arange(10 * RATE) / RATE
    whistle = (0.05 * np.sin(2 * np.pi * 1234 * t)).astype(np.float32)
    motor_pieces(pieces, 3, began=time.time() + 20 * 86_400, heard=lambda sound: sound + whistle)
    refused = improve(capsys, state, *night)
    assert not refused["promoted"]
    assert "would report 3 of 3 pieces of the newest day" in refused["why"]
    # A person has looked, and promotes the candidate: from then on it is what others are compared with.
    assert improve(capsys, state, "--promote")["promoted"]
    assert improve(capsys, state, *night)["promoted"]


def test_a_network_that_is_trained_anew_is_judged_by_sound_held_out_and_replaces_the_old_one(
    state: Path, normal: Path, model: Path, quick: tuple[str, str], capsys: pytest.CaptureFixture[str]
) -> None:
    judge(state, "new but normal", "real fault", "new but normal", "real fault")
    found = improve(capsys, state, "--retrain", "--normal", str(normal), *quick)
    assert found["retrained"]
    assert [one["after"] is None for one in found["judgement"]["faults"]] == [False, False]
    assert not found["judgement"]["on_training"]
    assert improve(capsys, state, "--promote")["promoted"]
    configured = load_bundle(model)
    promoted = load_bundle(ModelVersions(state / "models" / model.parent.name).in_force(model))
    assert [one["model_id"] for one in promoted.provenance["lineage"]] == [configured.model_id]
    assert any(not np.array_equal(one, configured.weights[name]) for name, one in promoted.weights.items())


def test_what_is_missing_is_one_sentence(state: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert "There is no candidate" in improve(capsys, state, "--promote", code=1)["error"]
    assert "No version can be taken back" in improve(capsys, state, "--undo", code=1)["error"]
    assert "3 minutes of normal sound are needed" in improve(capsys, state, code=1)["error"]
    assert "different things" in improve(capsys, state, "--promote", "--undo", code=2)["error"]
    assert "no stream 'fan'" in improve(capsys, state, "fan", code=2)["error"]
