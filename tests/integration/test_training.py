"""`monitor train`: what it leaves, that it survives being killed, and that the article's recipe is followed."""

from __future__ import annotations

import json
import os
import shutil
import signal
import subprocess
import sys
from collections.abc import Iterable
from dataclasses import dataclass, fields
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from monitor.bundle.bundle_io import load_bundle
from monitor.cli.main import run as command
from monitor.config.loader import load_config
from monitor.config.schema import Config
from monitor.core.errors import EXIT_FAILURE, EXIT_OK, EXIT_USAGE, ConfigError, MonitorError
from support.builders import with_little_memory
from support.listening import DEADLINE_S
from support.logs import logged
from support.recordings import QUICK, RememberedProgress, write_recording
from train.commands.train import BUNDLE_FILE, CHECKPOINT_FILE, train
from train.data import feature_cache
from train.fitting.checkpoint import Epoch

pytestmark = pytest.mark.long

# The command line, killed by the system behind the checkpoint of its second epoch.
KILLED = """
import os, signal, sys
import train.fitting.loop as loop
from monitor.cli.main import run
write, loop.CHECKPOINT_EVERY_S = loop.checkpoints.write, 0.0
def write_and_die(*arguments):
    write(*arguments)
    if len(arguments[-1]) == 2:
        os.kill(os.getpid(), signal.SIGKILL)
loop.checkpoints.write = write_and_die
sys.exit(run(sys.argv[1:]))
"""
SMALL = ("model.hidden=[64,32]", "model.bottleneck=16", "score.window_s=1.0")
PICTURES = {"loss.png", "roc.png", "scores.png", "worst_false_alarm.png", "worst_miss.png"}


def same_weights(one: Path, other: Path) -> bool:
    """Whether two trainings ended in the same network, bit for bit."""
    ours, theirs = (load_bundle(folder / BUNDLE_FILE).weights for folder in (one, other))
    return all(np.array_equal(ours[name], theirs[name]) for name in ours | theirs)


# What a training leaves


def test_a_training_leaves_the_model_its_figures_its_history_and_pictures(trained: Path) -> None:
    left = {path.name for path in trained.iterdir()}
    assert left == {BUNDLE_FILE, "metrics.json", "history.jsonl"} | PICTURES
    for name in PICTURES:
        assert (trained / name).read_bytes().startswith(b"\x89PNG"), name


def test_metrics_hold_everything_that_is_promised(trained: Path) -> None:
    metrics = json.loads((trained / "metrics.json").read_text())
    promised = {"score", "auc", "pauc", "threshold", "fpr", "tpr", "f1", "n_normal", "n_anomaly", "files"}
    assert promised <= metrics.keys()
    assert (metrics["n_normal"], metrics["n_anomaly"]) == (4, 4)
    assert {file["label"] for file in metrics["files"]} == {"normal", "anomaly"}
    assert all({"path", "label", "seconds", "score", "limit"} == file.keys() for file in metrics["files"])
    assert metrics["files"][0]["path"] == "test_normal/normal_00.wav"


def test_the_default_recipe_ranks_every_invented_fault_above_all_normal_recordings(trained: Path) -> None:
    metrics = json.loads((trained / "metrics.json").read_text())
    assert metrics["auc"] == 1.0


def test_the_history_has_a_line_for_each_epoch_and_the_loss_falls(trained: Path) -> None:
    lines = [json.loads(line) for line in (trained / "history.jsonl").read_text().splitlines()]
    assert [line["epoch"] for line in lines] == [1, 2, 3, 4]
    assert all(line.keys() == {field.name for field in fields(Epoch)} for line in lines)
    assert lines[-1]["held_out_loss"] < lines[0]["held_out_loss"]
    assert lines[-1]["loss"] < lines[0]["loss"]


# A second training in the same folder


@dataclass(frozen=True)
class Second:
    """A training with another seed into the folder of a finished one."""

    folder: Path
    recordings_read: int  # whose sound was read


@pytest.fixture(scope="module")
def second(data: Path, trained: Path, tmp_path_factory: pytest.TempPathFactory) -> Second:
    folder, read = tmp_path_factory.mktemp("second"), feature_cache.read_blocks
    shutil.copy(trained / BUNDLE_FILE, folder)
    one_epoch = load_config(overrides=(*QUICK, "train.seed=5", "train.epochs=1"))
    # Another process of the tests may have trained `trained`, with a cache of its own: this is the first training here.
    train(one_epoch, data, tmp_path_factory.mktemp("first"), RememberedProgress())
    recordings: list[Path] = []

    def counted(path: Path, *arguments: Any, **options: Any) -> Iterable[np.ndarray]:
        recordings.append(path)
        return read(path, *arguments, **options)

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(feature_cache, "read_blocks", counted)
        train(one_epoch, data, folder, RememberedProgress())
    return Second(folder, len(recordings))


def test_a_second_training_reads_no_recording_again(second: Second) -> None:
    assert second.recordings_read == 0


def test_another_seed_gives_another_model(second: Second, trained: Path) -> None:
    assert not same_weights(second.folder, trained)


def test_training_again_keeps_the_model_that_was_there(second: Second, trained: Path) -> None:
    before = (trained / BUNDLE_FILE).read_bytes()
    assert (second.folder / "model.previous.safetensors").read_bytes() == before
    assert (second.folder / BUNDLE_FILE).read_bytes() != before


# Interruptions


@pytest.fixture(scope="module")
def killed(data: Path, trained: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The folder of a training that was killed in its third of four epochs."""
    folder = tmp_path_factory.mktemp("killed")
    command = [sys.executable, "-c", KILLED, "train", str(data), "--out", str(folder)]
    done = subprocess.run(
        [*command, *(f"--set={setting}" for setting in QUICK)],
        env=os.environ | {"OMP_NUM_THREADS": str(torch.get_num_threads())},
        check=False, capture_output=True, text=True, timeout=DEADLINE_S,
    )  # fmt: skip
    assert done.returncode == -signal.SIGKILL, done.stderr
    return folder


def test_a_killed_training_resumes_to_the_weights_of_one_that_was_not(
    killed: Path, data: Path, quick_config: Config, trained: Path, tmp_path: Path
) -> None:
    """The same seed in another process: also without an interruption nothing else decides."""
    assert [path.name for path in killed.iterdir()] == [CHECKPOINT_FILE]
    shutil.copytree(killed, tmp_path, dirs_exist_ok=True)
    progress = RememberedProgress()
    train(quick_config, data, tmp_path, progress, resume=True)
    assert [epoch.epoch for epoch in progress.epochs] == [3, 4]
    assert same_weights(tmp_path, trained)
    assert not (tmp_path / CHECKPOINT_FILE).exists()


def test_resuming_with_other_settings_or_recordings_is_refused(
    killed: Path, data: Path, quick_config: Config, tmp_path: Path
) -> None:
    checkpoint = tmp_path / "out" / CHECKPOINT_FILE
    shutil.copytree(killed, tmp_path / "out")
    other = load_config(overrides=(*QUICK, "train.learning_rate=1e-4"))
    with pytest.raises(MonitorError, match="other recordings or settings"):
        train(other, data, tmp_path / "out", RememberedProgress(), resume=True)
    shutil.copytree(data / "train_normal", tmp_path / "fewer")
    (tmp_path / "fewer" / "normal_03.wav").unlink()
    with pytest.raises(MonitorError, match="other recordings or settings"):
        train(quick_config, tmp_path / "fewer", tmp_path / "out", RememberedProgress(), resume=True)
    assert checkpoint.read_bytes() == (killed / CHECKPOINT_FILE).read_bytes()


def test_resuming_a_training_that_was_never_begun_or_is_finished_is_an_error(
    data: Path, quick_config: Config, trained: Path, tmp_path: Path
) -> None:
    with pytest.raises(MonitorError, match="no interrupted training"):
        train(quick_config, data, tmp_path / "nothing", RememberedProgress(), resume=True)
    with pytest.raises(MonitorError, match="is finished"):
        train(quick_config, data, trained, RememberedProgress(), resume=True)


# What is trained on, and how


def test_one_long_recording_is_enough(tmp_path: Path) -> None:
    write_recording(tmp_path / "one" / "long.wav", seconds=30)
    config = load_config(overrides=(*SMALL, "train.epochs=1"))
    metrics = train(config, tmp_path / "one", tmp_path / "out", RememberedProgress())
    assert (metrics["train_recordings"], metrics["held_out_recordings"]) == (1, 1)
    assert load_bundle(tmp_path / "out" / BUNDLE_FILE).thresholds["score"].value > 0


def test_mel_arrays_train_as_recordings_do(tmp_path: Path) -> None:
    generator = np.random.default_rng(0)
    (tmp_path / "mel").mkdir()
    for number in range(6):
        np.save(tmp_path / "mel" / f"{number}.npy", generator.gamma(2, 1, (200, 64)).astype(np.float32))
    config = load_config(overrides=(*SMALL, "train.epochs=1"))
    metrics = train(config, tmp_path / "mel", tmp_path / "out", RememberedProgress())
    assert metrics["train_recordings"] == 5


def test_a_set_larger_than_memory_is_learnt_as_well(
    data: Path, quick_config: Config, trained: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """In portions of two recordings, where otherwise all eight are mixed."""
    monkeypatch.setattr("train.data.window_dataset.MIN_BLOCKS", 2)
    with logged("train") as messages:
        found = train(with_little_memory(quick_config), data, tmp_path, RememberedProgress())
    assert any("read anew in every epoch" in message for message in messages)
    in_memory = json.loads((trained / "metrics.json").read_text())
    assert found["auc"] == in_memory["auc"] == 1.0
    assert found["held_out_loss"] == pytest.approx(in_memory["held_out_loss"], rel=0.2)


def test_a_training_in_bfloat16_finds_the_faults_and_keeps_its_weights_in_float32(data: Path, tmp_path: Path) -> None:
    with logged("train") as messages:
        found = train(load_config(overrides=(*QUICK, "train.precision=bfloat16")), data, tmp_path, RememberedProgress())
    assert any("in bfloat16" in message for message in messages)
    assert found["auc"] == 1.0
    weights = load_bundle(tmp_path / BUNDLE_FILE).weights
    assert {values.dtype for values in weights.values()} == {np.dtype(np.float32), np.dtype(np.int64)}


# The article's recipe


def test_the_articles_preset_scores_by_the_worst_frame_and_sets_the_threshold_at_a_false_positive_rate_of_a_tenth(
    data: Path, tmp_path: Path
) -> None:
    config = load_config(preset="toyadmos", overrides=("train.epochs=1", "model.hidden=[64,32]"))
    metrics = train(config, data, tmp_path, RememberedProgress())
    assert (metrics["score"], metrics["recording_score"]) == ("error", "max")
    assert metrics["threshold_method"] == "labelled"
    assert metrics["threshold"] == metrics["at_fpr"]["threshold"] == metrics["stream_threshold"]
    assert any(file["score"] == metrics["threshold"] for file in metrics["files"])


def test_the_articles_preset_asks_for_labelled_tests_before_it_trains(tmp_path: Path) -> None:
    write_recording(tmp_path / "normal" / "one.wav", seconds=1.0)
    with pytest.raises(ConfigError, match=r"calibration\.method"):
        train(load_config(preset="toyadmos"), tmp_path / "normal", tmp_path / "out", RememberedProgress())


# Trainings that fail, and models not to be relied on


@pytest.mark.parametrize("option", ["features.n_mels=500", "train.device=cuda"])
def test_a_training_that_fails_before_it_begins_leaves_no_folder(
    tmp_path: Path, option: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "caches"))
    (tmp_path / "data").mkdir()
    (tmp_path / "data" / "notes.txt").write_text("no sound")
    for data in ("data", "nowhere"):
        arguments = ["train", data, "--out", "runs/new/model", f"--set={option}"]
        assert command(arguments) in (EXIT_FAILURE, EXIT_USAGE)
    assert sorted(path.name for path in tmp_path.iterdir()) == ["data"]


def test_what_a_killed_training_left_is_removed_by_the_next_one(tmp_path: Path) -> None:
    left = tmp_path / "out" / ".model.safetensors.0123456789abcdef.tmp"
    left.parent.mkdir()
    left.write_bytes(b"half of a model")
    os.utime(left, (1e9, 1e9))
    with pytest.raises(MonitorError):
        train(load_config(), tmp_path / "nowhere", tmp_path / "out", RememberedProgress())
    assert list(left.parent.iterdir()) == []


def test_a_model_of_twenty_seconds_is_written_but_said_not_to_be_relied_on(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    write_recording(tmp_path / "one" / "short.wav", seconds=20)
    options = [f"--set={setting}" for setting in (*SMALL, "train.epochs=1")]
    assert command(["train", "one", "--out", "out", *options]) == EXIT_FAILURE
    printed = capsys.readouterr()
    assert "false alarm a day" not in printed.out
    assert "a guess, from only 20 s of normal sound" in printed.out
    assert "out/model.safetensors: do not rely on this model yet: 20 s of normal sound are too little" in printed.err
    assert "Record ten minutes or more" in printed.err
    assert load_bundle(tmp_path / "out" / BUNDLE_FILE).thresholds["score"].value > 0


def test_a_model_of_three_minutes_is_not_complained_of(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    generator = np.random.default_rng(0)
    (tmp_path / "mel").mkdir()
    for number in range(19):
        np.save(tmp_path / "mel" / f"{number}.npy", generator.gamma(2, 1, (1000, 64)).astype(np.float32))
    options = [f"--set={setting}" for setting in (*SMALL, "train.epochs=1", "train.batch_size=4096")]
    assert command(["train", "mel", "--out", "out", *options]) == EXIT_OK
    printed = capsys.readouterr().out
    assert "1 false alarm a day, estimated from 3 min" in printed
    assert "These recordings do not say when they were made" in printed, "so nothing is known of their sessions"


@pytest.mark.filterwarnings("error::UserWarning")
def test_names_that_are_no_text_or_have_emoji_are_trained_on(tmp_path: Path, capfd: pytest.CaptureFixture[str]) -> None:
    for number, name in enumerate((b"caf\xe9.wav", "\U0001f6e0\ufe0f 工場.wav".encode(), b"a.wav")):
        write_recording(tmp_path / "set" / "plain.wav", seconds=3, seed=number).rename(
            tmp_path / "set" / os.fsdecode(name)
        )
    options = [f"--set={setting}" for setting in (*SMALL, "train.epochs=1")]
    command(["train", "set", "--out", "out", *options])
    printed = capfd.readouterr()
    assert "Training on 2 recordings" in printed.err
    assert "Warning" not in printed.err
    assert list((tmp_path / "out").glob("worst*.png")) != []
