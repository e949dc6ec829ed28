"""`monitor train --streams`: a model for each stream of a settings file, in parallel, resumable, each for itself."""

from __future__ import annotations

import json
import shutil
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest
import soundfile

from monitor.bundle.bundle_io import load_bundle
from monitor.cli.main import run as command
from monitor.config.loader import SettingsSource
from monitor.core.errors import EXIT_FAILURE, EXIT_OK, EXIT_USAGE
from support import quick_checkpoints
from support.builders import RATE, write_sound
from support.listening import wait_until
from support.recordings import write_recording
from train.commands.train import BUNDLE_FILE, CHECKPOINT_FILE
from train.commands.train_streams import stream_trainings

SMALL = [
    f"--set={setting}"
    for setting in ("train.epochs=2", "train.batch_size=128", "score.window_s=1.0", "model.hidden=[32,16]",
                    "model.bottleneck=8")
]  # fmt: skip
HALL = """
streams:
  - {name: press 1, device: "USB Audio", channel: 1, bundle: models/press.safetensors}
  - {name: fan, device: "USB Audio", channel: 0, bundle: runs/fan/model.safetensors, alarm: {sensitivity: low}}
"""


@pytest.fixture(scope="module")
def sound(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder of recordings for each of two streams."""
    root = tmp_path_factory.mktemp("recordings")
    for number, name in enumerate(("press 1", "fan")):
        for part in range(4):
            write_recording(root / name / f"{part}.wav", seconds=6, seed=10 * number + part)
    return root


@pytest.fixture
def hall(sound: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A settings file in the current folder, beside the recordings of its streams."""
    shutil.copytree(sound, tmp_path / "recordings")
    monkeypatch.setattr("train.commands.train.TOO_LITTLE_S", 10)  # seconds of sound from which on limits are relied on
    file = tmp_path / "hall.yaml"
    file.write_text(HALL)
    return file


def trained(*options: str, workers: int = 1) -> int:
    arguments = ["recordings", "--streams", "hall.yaml", "--out", "runs", f"--workers={workers}", *SMALL, *options]
    return command(["train", *arguments])


@pytest.mark.long
def test_each_stream_gets_the_model_that_its_settings_name_and_is_not_trained_twice(
    hall: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """The models are where `monitor live --config hall.yaml` looks for them."""
    assert trained() == EXIT_OK
    printed = capsys.readouterr()
    assert "monitor live --config hall.yaml" in printed.out
    rows = [line.split() for line in printed.out.splitlines()[1:3]]
    assert [row[-6:-3] for row in rows] == [["4", "0.4", "2"]] * 2  # recordings, minutes, epochs
    press, fan = (load_bundle(Path(name)) for name in ("models/press.safetensors", "runs/fan/model.safetensors"))
    assert press.model_id != fan.model_id
    assert (press.config.alarm.sensitivity, fan.config.alarm.sensitivity) == ("normal", "low")

    (Path("models") / "press.safetensors").unlink()
    shutil.copy("recordings/fan/0.wav", "recordings/fan/again.wav")
    write_recording(Path("recordings/fan/more.wav"), seconds=6, seed=99)
    assert trained() == EXIT_OK
    printed = capsys.readouterr()
    assert "press 1: is trained already" in printed.err
    assert "fan: trained in" in printed.err
    assert "fan: Left out:" in printed.err  # what a training warns of is said with the stream's name
    assert load_bundle(Path("models/press.safetensors")).model_id == press.model_id
    assert load_bundle(Path("runs/fan/model.previous.safetensors")).model_id == fan.model_id


@pytest.mark.long
def test_a_stream_that_fails_is_named_and_the_others_are_trained(
    hall: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    shutil.rmtree("recordings/press 1")
    assert trained("--epochs=1") == EXIT_FAILURE
    printed = capsys.readouterr()
    [last] = [line for line in printed.err.splitlines() if line.startswith("monitor: ")]
    assert "press 1: " in last
    assert "there is no such folder" in last
    assert Path("runs/fan/model.safetensors").is_file()
    assert not Path("models").exists()


@pytest.mark.long
def test_recordings_are_those_that_streams_name_with_the_stream_s_channel(tmp_path: Path) -> None:
    silence = np.zeros(6 * RATE, np.float32)
    for part in range(4):
        mono = write_recording(tmp_path / f"mono-{part}.wav", seconds=6, seed=part)
        write_sound(tmp_path / "two" / f"{part}.wav", np.stack([silence, soundfile.read(mono)[0]], axis=1))
    (tmp_path / "hall.yaml").write_text(
        "streams:\n"
        "  - {name: both, file: two, channel: 1, bundle: both.safetensors}\n"
        "  - {name: one, file: [mono-0.wav, mono-1.wav, mono-2.wav, mono-3.wav], channel: 1, bundle: one.safetensors}\n"
    )
    arguments = ["--streams", "hall.yaml", "--out", "runs", "--workers=1", "--epochs=1", *SMALL]
    assert command(["train", *arguments]) == EXIT_FAILURE  # there is too little sound to rely on
    assert load_bundle(tmp_path / "both.safetensors").config.features.channel == 1
    assert load_bundle(tmp_path / "one.safetensors").config.features.channel == "mix"


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (["--streams", "hall.yaml", "--out", "runs"], "no recordings are named for press 1, fan"),
        (["recordings", "--out", "runs", "--workers", "2"], "add it"),
        (["--out", "runs"], "Missing argument 'DATA'"),
        (["recordings", "--streams", "hall.yaml", "--config", "hall.yaml", "--out", "runs"], "leave --config out"),
        (["recordings", "--streams", "none.yaml", "--out", "runs"], "has no streams"),
    ],
)
def test_what_makes_no_sense_is_refused_before_anything_is_trained(
    arguments: list[str], said: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / "hall.yaml").write_text(HALL)
    (tmp_path / "none.yaml").write_text("audio: {}\n")
    assert command(["train", *arguments]) == EXIT_USAGE
    assert said in capsys.readouterr().err
    assert not (tmp_path / "runs").exists()


def test_streams_that_share_a_model_train_it_together(hall: Path) -> None:
    """Recordings of one of them are enough, as where a stream replays what another one heard."""
    hall.write_text(HALL.replace("runs/fan/model.safetensors", "models/press.safetensors"))
    made = stream_trainings(SettingsSource.read(hall), Path("recordings"), Path("runs"))
    [both] = made
    assert both.name == "press 1, fan"
    assert [path.name for path in both.recordings] == ["press 1", "fan"]
    assert both.channel is None  # they differ, so it is that of the settings
    shutil.rmtree("recordings/fan")
    [both] = stream_trainings(SettingsSource.read(hall), Path("recordings"), Path("runs"))
    assert [path.name for path in both.recordings] == ["press 1"]


@pytest.mark.long
def test_a_killed_training_goes_on_from_its_checkpoint(hall: Path, capsys: pytest.CaptureFixture[str]) -> None:
    arguments = ["train", "recordings", "--streams", "hall.yaml", "--out", "runs", "--workers=1", "--epochs=40"]
    killed = subprocess.Popen([sys.executable, quick_checkpoints.__file__, *arguments, *SMALL])
    folder = Path("runs/press-1-8d5ba641")
    wait_until(lambda: (folder / CHECKPOINT_FILE).is_file() or killed.poll() is not None)
    killed.kill()
    killed.wait()
    done = _epochs_done(folder / CHECKPOINT_FILE)
    assert trained("--epochs=40") == EXIT_OK
    assert f"Resumed after epoch {done} of 40" in (folder / "messages.log").read_text()
    assert len((folder / "history.jsonl").read_text().splitlines()) == 40
    assert not (folder / CHECKPOINT_FILE).exists()
    assert Path("models/press.safetensors").is_file()


def _epochs_done(checkpoint: Path) -> int:
    import safetensors

    with safetensors.safe_open(checkpoint, framework="np") as stored:
        return len(json.loads(stored.metadata()["training"])["history"])


@pytest.fixture(scope="module")
def dask() -> Iterator[str]:
    """The address of a Dask cluster of two workers."""
    distributed = pytest.importorskip("distributed")
    with distributed.LocalCluster(n_workers=2, threads_per_worker=1, dashboard_address=None) as cluster:
        yield cluster.scheduler_address.replace("tcp://", "dask://")


@pytest.mark.long
def test_a_dask_cluster_trains_the_same_models(
    hall: Path, dask: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    arguments = ["train", "recordings", "--streams", "hall.yaml", "--out", "cluster", "--cluster", dask, *SMALL]
    assert command(arguments) == EXIT_FAILURE  # here a few seconds of sound are too little to rely on
    said = capsys.readouterr().err
    assert f"in 2 workers of {dask}" in said
    assert said.count("do not rely on this model yet") == 2
    assert trained() == EXIT_OK
    for name in ("press-1-8d5ba641", "fan"):
        ours, theirs = (load_bundle(Path(out, name, BUNDLE_FILE)).weights for out in ("runs", "cluster"))
        assert all(np.allclose(ours[key], theirs[key], atol=1e-3) for key in ours)
