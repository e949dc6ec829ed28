"""`monitor selftest` from the command line to the message: a covered microphone is found, and told of."""

from __future__ import annotations

import json
import shutil
from pathlib import Path

import numpy as np
import pytest
from scipy import signal

from monitor.bundle.bundle_io import load_bundle
from monitor.bundle.versions import ORIGIN, ModelVersions
from monitor.cli.main import run
from monitor.config.schema import Config
from monitor.core.text import stream_folder
from monitor.notify.outbox import deliveries_of
from monitor.selftest.faults import Clicks
from monitor.selftest.run import Extent
from monitor.store import queries
from monitor.store.database import Store
from support.builders import RATE
from support.normal_sound import motor_pieces
from support.recordings import RememberedProgress, write_recording
from support.settings import written

pytestmark = pytest.mark.long

Captured = pytest.CaptureFixture[str]
STREAM = "motor 1"
FOLDER = stream_folder(STREAM)


@pytest.fixture
def quick(monkeypatch: pytest.MonkeyPatch) -> None:
    """Self-tests with one fault and two short stretches, instead of half a minute of computing."""
    extent = Extent(faults=(Clicks(),), stretches=2, fault_s=6.0)
    monkeypatch.setattr("monitor.selftest.run.FULL", extent)


@pytest.fixture
def plant(model: Path, quick: None) -> Path:
    """A state folder with a stream that was listened to, a reservoir of its normal sound, and a settings file."""
    shutil.copy(model, "motor.safetensors")
    write_recording(Path("heard.wav"), seed=300)
    written(
        f"""
        streams: [{{name: {STREAM}, bundle: motor.safetensors, file: heard.wav}}]
        state: {{folder: state}}
        selftest: {{lost_db: 3}}
        notify: {{channels: [{{name: phone, command: "true"}}], rules: [{{to: phone}}]}}
        """,
        "config.yaml",
    )
    assert run(["replay", "--state", "state", "--headless", "--speed", "max"]) == 0
    motor_pieces(Path("state/normal") / FOLDER, 8)
    return Path("state")


def covered(sound: np.ndarray) -> np.ndarray:
    """What is heard through a cover, 24 dB less per octave above 300 Hz, in the noise of a room that varies by 3 dB."""
    dull = signal.sosfilt(signal.butter(4, 300, fs=RATE, output="sos"), sound)
    random = np.random.default_rng(int(1e6 * np.abs(sound).sum()))
    level = 1e-3 * 10 ** (random.uniform(-3, 3) / 20)
    return np.asarray(dull + level * random.standard_normal(len(dull)))


def self_test(capsys: Captured, *, code: int) -> dict[str, object]:
    """Runs a self-test, and returns its result."""
    capsys.readouterr()
    assert run(["selftest", "--json"]) == code
    [line] = capsys.readouterr().out.splitlines()
    found: dict[str, object] = json.loads(line)
    return found


def test_a_covered_microphone_that_was_learnt_is_an_event_with_a_message_until_it_is_uncovered(
    plant: Path, quick_config: Config, capsys: Captured
) -> None:
    from train.commands.train import train

    first = self_test(capsys, code=0)
    assert first["event"] is None
    # The sound becomes dull, and the model learns it, as it would learn a slow change of the machine.
    clear = plant / "clear"
    (plant / "normal" / FOLDER).rename(clear)
    motor_pieces(plant / "normal" / FOLDER, 8, heard=covered)
    train(quick_config, plant / "normal" / FOLDER, Path("relearnt"), RememberedProgress())
    versions = ModelVersions(plant / "models" / FOLDER)
    versions.promote(load_bundle(Path("relearnt/model.safetensors")), configured=Path("motor.safetensors"), by="test")

    found = self_test(capsys, code=5)
    assert "the microphone hears up to" in str(found["loss"])
    with Store.open(f"sqlite:///{plant.absolute()}/monitor.sqlite") as store:
        [event] = queries.events(store, kinds=["self-test"])
        assert event.stream == STREAM
        assert event.ended is None
        assert "clicks" in event.note
        assert [one.stage for one in deliveries_of(store, event.id)] == ["began"]
        assert run(["events", event.id, "--state", "state"]) == 0
        assert "at first from" in capsys.readouterr().out.replace("\n", " ")

        shutil.rmtree(plant / "normal" / FOLDER)
        clear.rename(plant / "normal" / FOLDER)
        versions.undo(configured=Path("motor.safetensors"), by="test")
        assert self_test(capsys, code=0)["event"] is None
        [event] = queries.events(store, kinds=["self-test"])
        assert event.ended is not None


def test_the_result_and_its_trend_are_shown_and_the_same_sound_gives_the_same(plant: Path, capsys: Captured) -> None:
    assert plant.is_dir()
    capsys.readouterr()
    assert run(["selftest", "motor"]) == 0
    shown = capsys.readouterr().out
    assert f"{STREAM}: faults mixed under 2 stretches of normal sound" in shown
    assert "clicks" in shown
    first, second = (self_test(capsys, code=0)["faults"] for _ in range(2))
    assert isinstance(first, list)
    assert isinstance(second, list)
    assert [one["level_db"] for one in first] == [one["level_db"] for one in second]
    assert run(["selftest", "--trend"]) == 0
    trend = capsys.readouterr().out.splitlines()
    assert "clicks" in trend[0]
    assert len(trend) == 4, "a heading, and a line for each run"


def test_what_is_missing_is_said_in_one_sentence(plant: Path, capsys: Captured) -> None:
    shutil.rmtree(plant / "normal")
    assert run(["selftest"]) == 1
    assert f"{STREAM}: there are only 0 pieces of its normal sound" in capsys.readouterr().err
    Path("config.yaml").write_text("state: {folder: state}\n")
    (plant / "models" / FOLDER / ORIGIN).unlink()
    assert run(["selftest"]) == 2
    assert f"which model {STREAM} is monitored with: name its file with --model" in capsys.readouterr().err
    assert run(["selftest", "--trend"]) == 0
    assert "there has been no self-test" in capsys.readouterr().out
    assert run(["selftest", "fan"]) == 2
    assert "There is no stream 'fan'" in capsys.readouterr().err
