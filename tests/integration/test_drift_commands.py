"""What a run learns stays beside the model, which is not changed, and one command takes it back."""

from __future__ import annotations

import os
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from monitor.bundle.bundle_io import load_bundle, save_bundle
from monitor.cli.main import run as command
from monitor.config import schema
from monitor.config.loader import SettingsSource
from monitor.core.errors import EXIT_FAILURE, EXIT_OK
from monitor.detection.drift import Drift, DriftFile
from monitor.outputs.drift_saver import DriftSaver
from monitor.runtime.builder import StreamRequest, load_requests
from support.builders import RATE, noise, small_bundle, write_sound
from support.listening import HandFedSource, never_alarmed

FOLLOW = ("--set", "drift.enabled=true", "--set", "drift.half_life_h=0.01")


@pytest.fixture
def model(tmp_path: Path) -> Path:
    """One to which every score is surely normal, so that a short recording teaches something."""
    path = tmp_path / "model.safetensors"
    save_bundle(replace(never_alarmed(small_bundle()), normal_scores=np.full(10, 1e9)), path)
    return path


@pytest.fixture
def sound(tmp_path: Path) -> Path:
    return write_sound(tmp_path / "sound.wav", noise(75 * RATE))


def replay(model: Path, sound: Path, *options: str) -> int:
    return command(["replay", str(model), str(sound), "--speed", "max", "--headless", *options])


def learn(model: Path) -> bytes:
    """Leaves what a live stream would have learnt beside the model; returns the content of that file."""
    bundle = load_bundle(model)
    drift = Drift(bundle, schema.Drift(enabled=True))
    drift.offsets["residual"][0] = 0.5
    saver = DriftSaver(drift, file := DriftFile.beside(model, bundle))
    saver.close()
    return file.path.read_bytes()


@pytest.mark.parametrize("live", [True, False])
def test_only_a_live_stream_saves_what_it_learns(model: Path, live: bool) -> None:
    settings = SettingsSource.read(Path(os.devnull), overrides=("drift.enabled=true",))
    [loaded] = load_requests([StreamRequest(model)], settings)
    sinks = loaded.plan(HandFedSource(live=live)).sinks
    assert any(isinstance(sink, DriftSaver) for sink in sinks) == live
    for sink in sinks:
        sink.close()


def test_a_replay_leaves_what_a_live_monitor_has_learnt_as_it_is(model: Path, sound: Path) -> None:
    content = learn(model)
    assert replay(model, sound, *FOLLOW) == EXIT_OK
    assert model.with_name("model.drift.safetensors").read_bytes() == content


def test_one_command_shows_what_was_learnt_and_another_takes_it_back(
    model: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    before = model.read_bytes()
    learn(model)
    assert model.read_bytes() == before
    beside = model.with_name("model.drift.safetensors")
    assert command(["drift", str(model)]) == EXIT_OK
    assert "% of the cap" in capsys.readouterr().out
    assert command(["drift", str(model), "--undo"]) == EXIT_OK
    assert not beside.exists()
    assert beside.with_name("model.drift.safetensors.undone").exists()
    capsys.readouterr()
    assert command(["drift", str(model)]) == EXIT_OK
    assert "as it was calibrated" in capsys.readouterr().out


def test_where_what_was_learnt_is_damaged_a_sentence_says_so_and_how_to_go_on_before_anything_is_played(
    model: Path, sound: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    model.with_name("model.drift.safetensors").write_bytes(b"nonsense")
    assert replay(model, sound, *FOLLOW) == EXIT_FAILURE
    printed = capsys.readouterr()
    assert "monitor drift MODEL --undo" in printed.err
    assert not printed.out
    assert command(["drift", str(model), "--undo"]) == EXIT_OK
    assert replay(model, sound, *FOLLOW) == EXIT_OK


def test_by_default_nothing_is_learnt(model: Path, sound: Path) -> None:
    assert replay(model, sound) == EXIT_OK
    assert not list(model.parent.glob("*.drift.*"))
