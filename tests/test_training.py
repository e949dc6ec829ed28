"""Promises of `monitor train`: what it leaves, that it survives interruption, that the article's recipe is followed."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from dataclasses import fields
from pathlib import Path

import numpy as np
import pytest
import soundfile
import torch
from conftest import QUICK, Told, write_recording

from monitor.bundle.bundle import load_bundle
from monitor.config.schema import Config, Train
from monitor.core.errors import ConfigError, DataError, MonitorError
from monitor.config.loader import load_config
from train.commands import train as run
from train.fitting.checkpoint import Epoch
from train.fitting.loop import learning_rate
from train.fitting.precision import arithmetic, windows_a_step


def test_a_training_leaves_the_model_its_figures_its_history_and_pictures(trained: Path) -> None:
    left = {path.name for path in trained.iterdir()}
    pictures = {"loss.png", "roc.png", "scores.png", "best.png", "worst.png"}
    assert left == {"model.safetensors", "metrics.json", "history.jsonl"} | pictures
    for name in pictures:
        assert (trained / name).read_bytes().startswith(b"\x89PNG"), name


def test_metrics_hold_everything_that_is_promised(trained: Path) -> None:
    metrics = json.loads((trained / "metrics.json").read_text())
    promised = {"score", "auc", "pauc", "threshold", "fpr", "tpr", "f1", "n_normal", "n_anomaly", "files"}
    assert promised <= metrics.keys()
    assert (metrics["n_normal"], metrics["n_anomaly"]) == (4, 4)
    assert {file["label"] for file in metrics["files"]} == {"normal", "anomaly"}
    assert all({"path", "label", "score"} == file.keys() for file in metrics["files"])
    assert metrics["files"][0]["path"] == "test_normal/normal_00.wav"


def test_the_default_recipe_tells_the_invented_faults_from_normal_sound(trained: Path) -> None:
    metrics = json.loads((trained / "metrics.json").read_text())
    assert metrics["auc"] == 1.0


def test_the_history_has_a_line_for_each_epoch_and_the_loss_falls(trained: Path) -> None:
    lines = [json.loads(line) for line in (trained / "history.jsonl").read_text().splitlines()]
    assert [line["epoch"] for line in lines] == [1, 2, 3, 4]
    assert all(line.keys() == {field.name for field in fields(Epoch)} for line in lines)
    assert lines[-1]["held_out_loss"] < lines[0]["held_out_loss"]
    assert lines[-1]["loss"] < lines[0]["loss"]


def test_the_same_seed_gives_the_same_model_and_another_seed_another(
    data: Path, quick_config: Config, trained: Path, tmp_path: Path
) -> None:
    other = load_config(overrides=(*QUICK, "train.seed=1"))
    run.train(quick_config, data, tmp_path / "same", Told())
    run.train(other, data, tmp_path / "other", Told())
    before, same, different = (
        load_bundle(folder / run.BUNDLE_FILE).model.state_dict()
        for folder in (trained, tmp_path / "same", tmp_path / "other")
    )
    assert all(torch.equal(before[name], same[name]) for name in before)
    assert not torch.equal(before["dense_enc1.weight"], different["dense_enc1.weight"])


def test_a_second_training_makes_no_frames_anew(
    data: Path, quick_config: Config, trained: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def unread(*_: object, **__: object) -> None:
        raise AssertionError("a recording was read again")

    monkeypatch.setattr("train.data.feature_cache.read_blocks", unread)
    run.train(quick_config, data, tmp_path, Told())


def test_an_interrupted_training_resumes_to_the_same_weights(
    data: Path, quick_config: Config, trained: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("train.fitting.loop.CHECKPOINT_EVERY_S", 0.0)
    stopped = Told()

    def interrupt(epoch: Epoch) -> None:
        if epoch.epoch == 3:
            raise KeyboardInterrupt

    stopped.on_epoch = interrupt
    with pytest.raises(KeyboardInterrupt):
        run.train(quick_config, data, tmp_path, stopped)
    resumed = Told()
    run.train(quick_config, data, tmp_path, resumed, resume=True)
    assert [epoch.epoch for epoch in resumed.epochs] == [3, 4]
    ours = load_bundle(tmp_path / run.BUNDLE_FILE).model.state_dict()
    theirs = load_bundle(trained / run.BUNDLE_FILE).model.state_dict()
    assert all(torch.equal(ours[name], theirs[name]) for name in theirs)
    assert not (tmp_path / run.CHECKPOINT_FILE).exists()


def test_a_training_killed_outright_resumes_to_the_same_weights(data: Path, tmp_path: Path) -> None:
    overrides = [f"--set={setting}" for setting in (*QUICK, "train.epochs=8")]
    eager = (
        "import sys, train.fitting.loop, monitor.cli.main; train.fitting.loop.CHECKPOINT_EVERY_S = 0; sys.exit(monitor.cli.main.run(sys.argv[1:]))"
    )
    command = [sys.executable, "-c", eager, "train", str(data), *overrides, "--out"]
    environment = os.environ | {"OMP_NUM_THREADS": "1"}
    victim = subprocess.Popen([*command, tmp_path / "killed"], env=environment, stderr=subprocess.PIPE, text=True)
    try:
        checkpoint = tmp_path / "killed" / run.CHECKPOINT_FILE
        deadline = time.monotonic() + 120
        while not checkpoint.exists() and victim.poll() is None and time.monotonic() < deadline:
            time.sleep(0.02)
        was_running = victim.poll() is None
    finally:
        victim.send_signal(signal.SIGKILL)
        victim.communicate()
    assert was_running
    assert checkpoint.exists()
    assert not (tmp_path / "killed" / run.BUNDLE_FILE).exists()
    resumed = subprocess.run(
        [*command, tmp_path / "killed", "--resume"], env=environment, check=True, capture_output=True, text=True
    )
    assert "epoch 1/8 " not in resumed.stderr
    assert "epoch 8/8" in resumed.stderr
    subprocess.run([*command, tmp_path / "whole"], env=environment, check=True, capture_output=True)
    killed, whole = (load_bundle(tmp_path / run_ / run.BUNDLE_FILE).model.state_dict() for run_ in ("killed", "whole"))
    assert all(torch.equal(killed[name], whole[name]) for name in whole)


def test_resuming_with_other_recordings_or_settings_is_refused(
    data: Path, quick_config: Config, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("train.fitting.loop.CHECKPOINT_EVERY_S", 0.0)
    stopped = Told()

    def interrupt(epoch: Epoch) -> None:
        if epoch.epoch == 2:
            raise KeyboardInterrupt

    stopped.on_epoch = interrupt
    with pytest.raises(KeyboardInterrupt):
        run.train(quick_config, data, tmp_path, stopped)
    other = load_config(overrides=(*QUICK, "train.learning_rate=1e-4"))
    with pytest.raises(MonitorError, match="other recordings or settings"):
        run.train(other, data, tmp_path, Told(), resume=True)
    assert (tmp_path / run.CHECKPOINT_FILE).exists()


def test_resuming_what_was_never_begun_is_an_error(data: Path, quick_config: Config, tmp_path: Path) -> None:
    with pytest.raises(MonitorError, match="no interrupted training"):
        run.train(quick_config, data, tmp_path / "nothing", Told(), resume=True)


def test_training_again_keeps_the_model_that_was_there(
    data: Path, quick_config: Config, trained: Path, tmp_path: Path
) -> None:
    before = (trained / run.BUNDLE_FILE).read_bytes()
    (tmp_path / run.BUNDLE_FILE).write_bytes(before)
    run.train(load_config(overrides=(*QUICK, "train.seed=5")), data, tmp_path, Told())
    assert (tmp_path / "model.previous.safetensors").read_bytes() == before
    assert (tmp_path / run.BUNDLE_FILE).read_bytes() != before


def test_recordings_that_cannot_be_used_are_named_and_left_out(quick_config: Config, tmp_path: Path) -> None:
    folder = tmp_path / "recordings"
    for number in range(3):
        write_recording(folder / f"good_{number}.wav", seed=number)
    (folder / "text.wav").write_text("this is no sound")
    soundfile.write(folder / "silent.wav", np.zeros(32000), 16000)
    soundfile.write(folder / "clipped.wav", np.sign(np.sin(np.arange(32000))), 16000)
    soundfile.write(folder / "short.wav", np.full(800, 0.1), 16000)
    told = Told()
    metrics = run.train(quick_config, folder, tmp_path / "out", told)
    assert metrics["train_recordings"] + metrics["held_out_recordings"] == 3
    for name, why in (
        ("text", "not a recording"),
        ("silent", "silent"),
        ("clipped", "clipped"),
        ("short", "too short"),
    ):
        assert any(f"{name}.wav" in line and why in line for line in told.lines), name


def test_nothing_usable_is_an_error_that_says_what_was_looked_for(quick_config: Config, tmp_path: Path) -> None:
    (tmp_path / "empty").mkdir()
    with pytest.raises(DataError, match=r"train_normal/.*ToyADMOS.*DCASE"):
        run.train(quick_config, tmp_path / "empty", tmp_path / "out", Told())


def test_one_long_recording_is_enough_and_its_end_is_held_out(quick_config: Config, tmp_path: Path) -> None:
    write_recording(tmp_path / "one" / "long.wav", seconds=30)
    told = Told()
    metrics = run.train(quick_config, tmp_path / "one", tmp_path / "out", told)
    assert metrics["held_out_recordings"] == 1
    assert any("end is held out" in line for line in told.lines)


def test_sets_larger_than_memory_are_learnt_as_well_and_in_the_same_way_every_time(
    data: Path, trained: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Portions of two recordings, where all eight would be mixed."""
    monkeypatch.setattr("train.data.window_dataset.LEAST_BLOCKS", 2)
    small = load_config(overrides=(*QUICK, "train.memory_gb=1e-6"))
    told = Told()
    first, second = (run.train(small, data, tmp_path / name, told) for name in ("first", "second"))
    assert any("read anew in every epoch" in line for line in told.lines)
    whole = json.loads((trained / "metrics.json").read_text())
    assert first["auc"] == whole["auc"] == 1.0
    assert first["held_out_loss"] == pytest.approx(whole["held_out_loss"], rel=0.2)
    assert first["files"] == second["files"]


def test_a_set_larger_than_memory_resumes_to_the_same_weights(
    data: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("train.data.window_dataset.LEAST_BLOCKS", 2)
    monkeypatch.setattr("train.fitting.loop.CHECKPOINT_EVERY_S", 0.0)
    small = load_config(overrides=(*QUICK, "train.memory_gb=1e-6"))
    run.train(small, data, tmp_path / "whole", Told())
    stopped = Told()
    stopped.on_epoch = interrupt_in_epoch(3)
    with pytest.raises(KeyboardInterrupt):
        run.train(small, data, tmp_path / "resumed", stopped)
    run.train(small, data, tmp_path / "resumed", Told(), resume=True)
    assert same_weights(tmp_path / "whole", tmp_path / "resumed")


def test_a_training_in_bfloat16_resumes_to_the_same_weights_tells_faults_and_keeps_its_weights_in_float32(
    data: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("train.fitting.loop.CHECKPOINT_EVERY_S", 0.0)
    config = load_config(overrides=(*QUICK, "train.precision=bfloat16"))
    told = Told()
    assert run.train(config, data, tmp_path / "whole", told)["auc"] == 1.0
    assert any("in bfloat16" in line for line in told.lines)
    stopped = Told()
    stopped.on_epoch = interrupt_in_epoch(3)
    with pytest.raises(KeyboardInterrupt):
        run.train(config, data, tmp_path / "resumed", stopped)
    run.train(config, data, tmp_path / "resumed", Told(), resume=True)
    assert same_weights(tmp_path / "whole", tmp_path / "resumed")
    state = load_bundle(tmp_path / "whole" / run.BUNDLE_FILE).model.state_dict()
    assert {tensor.dtype for tensor in state.values()} == {torch.float32, torch.int64}


def test_bfloat16_is_taken_where_the_processor_has_it_and_a_step_is_large_enough(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    def taken(precision: str, batch: int, native: bool) -> torch.dtype:
        monkeypatch.setattr("train.precision.native_bfloat16", lambda _: native)
        train = load_config(overrides=(f"train.precision={precision}",)).train
        return arithmetic(train, batch, torch.device("cpu"))

    assert taken("auto", 512, True) == torch.bfloat16
    assert taken("auto", 512, False) == taken("auto", 511, True) == torch.float32
    assert taken("float32", 4096, True) == torch.float32
    assert taken("bfloat16", 2, False) == torch.bfloat16


def test_however_little_there_is_to_learn_an_epoch_has_32_steps_until_a_step_would_be_too_small() -> None:
    train = Train()
    assert windows_a_step(train, 1_000_000) == 512
    assert windows_a_step(train, 32 * 512) == 512
    assert windows_a_step(train, 8 * 601) == 150
    assert windows_a_step(train, 100) == 16
    assert windows_a_step(Train(batch_size=8), 1_000_000) == 8


def interrupt_in_epoch(number: int) -> Callable[[Epoch], None]:
    def interrupt(epoch: Epoch) -> None:
        if epoch.epoch == number:
            raise KeyboardInterrupt

    return interrupt


def same_weights(one: Path, other: Path) -> bool:
    ours, theirs = (load_bundle(folder / run.BUNDLE_FILE).model.state_dict() for folder in (one, other))
    return all(torch.equal(ours[name], theirs[name]) for name in theirs)


def test_mel_arrays_train_as_recordings_do(quick_config: Config, tmp_path: Path) -> None:
    generator = np.random.default_rng(0)
    for number in range(6):
        (tmp_path / "mel").mkdir(exist_ok=True)
        np.save(tmp_path / "mel" / f"{number}.npy", generator.gamma(2, 1, (200, 64)).astype(np.float32))
    metrics = run.train(quick_config, tmp_path / "mel", tmp_path / "out", Told())
    assert metrics["train_recordings"] == 5


def test_a_loss_that_is_no_number_any_more_ends_the_training_with_advice(data: Path, tmp_path: Path) -> None:
    wild = load_config(overrides=(*QUICK, "train.learning_rate=10", "features.scale=power", "features.standardize=no",
                                  "train.weight_decay=10"))  # fmt: skip
    recordings = tmp_path / "loud"
    for number in range(3):
        (recordings).mkdir(exist_ok=True)
        np.save(recordings / f"{number}.npy", np.full((60, 64), 1e38, np.float32))
    with pytest.raises(MonitorError, match=r"train\.learning_rate"):
        run.train(wild, recordings, tmp_path / "out", Told())


def test_the_articles_rate_is_constant_to_epoch_100_and_then_falls_linearly_to_1e_6() -> None:
    article = load_config(preset="toyadmos").train
    rates = [learning_rate(article, epoch, 0, 10) for epoch in range(1, 201)]
    assert rates[:100] == [1e-4] * 100
    assert rates[199] == pytest.approx(1e-6)
    assert rates[149] == pytest.approx((1e-4 + 1e-6) / 2)
    assert np.diff(rates[99:]) == pytest.approx(np.full(100, (1e-6 - 1e-4) / 100))


def test_the_one_cycle_rate_rises_to_its_top_and_falls_to_almost_nothing() -> None:
    train = Train(epochs=10, learning_rate=2e-3)
    rates = [learning_rate(train, 1 + step // 100, step % 100, 100) for step in range(1000)]
    top = int(np.argmax(rates))
    assert 290 <= top <= 310
    assert max(rates) == pytest.approx(2e-3, rel=1e-3)
    assert (np.diff(rates[:top]) > 0).all()
    assert (np.diff(rates[top:]) < 0).all()
    assert rates[-1] < 1e-7


def test_the_articles_preset_scores_by_the_worst_frame_and_thresholds_at_a_false_positive_rate_of_a_tenth(
    data: Path, tmp_path: Path
) -> None:
    config = load_config(preset="toyadmos", overrides=("train.epochs=2", "model.hidden=[64,32]"))
    metrics = run.train(config, data, tmp_path, Told())
    assert (metrics["score"], metrics["recording_score"]) == ("error", "max")
    assert metrics["threshold_method"] == "labelled"
    assert metrics["threshold"] == metrics["at_fpr"]["threshold"] == metrics["stream_threshold"]
    assert any(file["score"] == metrics["threshold"] for file in metrics["files"])


def test_the_articles_preset_asks_for_labelled_tests_before_it_trains(quick_config: Config, tmp_path: Path) -> None:
    write_recording(tmp_path / "normal" / "one.wav")
    with pytest.raises(ConfigError, match=r"calibration\.method"):
        run.train(load_config(preset="toyadmos"), tmp_path / "normal", tmp_path / "out", Told())
