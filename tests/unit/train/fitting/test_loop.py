"""The training loop: seeds, resuming to the same weights, checkpoints, and losses that are not finite."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
import torch

from monitor.config.schema import Config
from monitor.core.errors import MonitorError
from monitor.features.normalization import Normalization
from monitor.model.autoencoder import weights_of
from monitor.model.cuda_transfer import TorchBackend
from support.builders import small_config, with_little_memory
from train.data.feature_cache import Frames
from train.data.window_dataset import WindowDataset
from train.fitting.checkpoint import Epoch
from train.fitting.loop import fit

Weights = dict[str, np.ndarray]
IN_MEMORY, FROM_DISK, BFLOAT16 = (), ("from disk",), ("train.precision=bfloat16",)
CPU = torch.device("cpu")


@pytest.fixture(autouse=True)
def small_portions_and_a_checkpoint_every_epoch(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("train.data.window_dataset.MIN_BLOCKS", 2)
    monkeypatch.setattr("train.fitting.loop.CHECKPOINT_EVERY_S", 0.0)


def config_of(*overrides: str) -> Config:
    changed = [one for one in overrides if one not in FROM_DISK]
    config = small_config("features.n_mels=16", "train.epochs=4", "train.batch_size=40", *changed)
    return with_little_memory(config) if len(changed) < len(overrides) else config


def windows(config: Config, *, seed: int = 0, recordings: int = 4, loudest: float = 1.0) -> WindowDataset:
    """The windows of recordings of 70 frames each."""
    generator = np.random.default_rng(seed)
    shape = (70, config.features.n_mels)
    frames = [
        Frames(Path("x"), (loudest * generator.gamma(2.0, 1.0, shape)).astype(np.float32), str(number))
        for number in range(recordings)
    ]
    mean, deviation = np.full(shape[1], 2.0, np.float32), np.full(shape[1], 3.0, np.float32)
    return WindowDataset(frames, Normalization(config.features, mean, deviation, TorchBackend("cpu")), config)


def fitted(
    config: Config,
    checkpoint: Path,
    *,
    resume: bool = False,
    work: str = "work",
    on_epoch: Callable[[Epoch], None] = lambda _: None,
) -> tuple[Weights, list[Epoch]]:
    """Trains a model; returns its weights and its history."""
    data, held_out = windows(config), windows(config, seed=1, recordings=1)
    model, history = fit(config, data, held_out, CPU, checkpoint, work=work, resume=resume, on_epoch=on_epoch)
    return weights_of(model), history


def interrupt_in(number: int) -> Callable[[Epoch], None]:
    """A callback that raises KeyboardInterrupt at the end of an epoch, before its checkpoint is written."""

    def interrupt(epoch: Epoch) -> None:
        if epoch.epoch == number:
            raise KeyboardInterrupt

    return interrupt


def same(one: Weights, other: Weights) -> bool:
    return all(np.array_equal(one[name], other[name]) for name in one | other)


@pytest.mark.parametrize("how", [IN_MEMORY, FROM_DISK, BFLOAT16], ids=["in memory", "from disk", "bfloat16"])
def test_an_interrupted_training_resumes_to_the_same_weights(tmp_path: Path, how: tuple[str, ...]) -> None:
    config = config_of(*how)
    assert windows(config).resident == (how is not FROM_DISK)
    whole, history = fitted(config, tmp_path / "whole")
    with pytest.raises(KeyboardInterrupt):
        fitted(config, tmp_path / "resumed", on_epoch=interrupt_in(3))
    done: list[int] = []
    resumed, resumed_history = fitted(
        config, tmp_path / "resumed", resume=True, on_epoch=lambda epoch: done.append(epoch.epoch)
    )
    assert done == [3, 4]
    assert same(resumed, whole)
    assert [(e.epoch, e.loss, e.held_out_loss) for e in resumed_history] == [
        (e.epoch, e.loss, e.held_out_loss) for e in history
    ]


@pytest.mark.parametrize("how", [IN_MEMORY, FROM_DISK], ids=["in memory", "from disk"])
def test_the_same_seed_gives_the_same_weights_and_another_seed_others(tmp_path: Path, how: tuple[str, ...]) -> None:
    first, again, other = (
        fitted(config_of(*how, "train.epochs=1", f"train.seed={seed}"), tmp_path / "checkpoint")[0]
        for seed in (5, 5, 6)
    )
    assert same(first, again)
    assert not np.array_equal(first["dense_enc1.weight"], other["dense_enc1.weight"])


def test_weights_stay_float32_in_a_training_in_bfloat16(tmp_path: Path) -> None:
    rounded, _ = fitted(config_of(*BFLOAT16), tmp_path / "checkpoint")
    exact, _ = fitted(config_of(), tmp_path / "checkpoint")
    assert {values.dtype for values in rounded.values()} == {np.dtype(np.float32), np.dtype(np.int64)}
    assert not same(rounded, exact)


def test_a_checkpoint_of_other_work_is_refused_and_kept(tmp_path: Path) -> None:
    with pytest.raises(KeyboardInterrupt):
        fitted(config_of(), tmp_path / "checkpoint", on_epoch=interrupt_in(2))
    before = (tmp_path / "checkpoint").read_bytes()
    with pytest.raises(MonitorError, match="other recordings or settings"):
        fitted(config_of(), tmp_path / "checkpoint", resume=True, work="other work")
    assert (tmp_path / "checkpoint").read_bytes() == before


@pytest.mark.parametrize("damage", [slice(0, 0), slice(0, 1000), slice(1, None)], ids=["empty", "cut off", "shifted"])
def test_a_damaged_checkpoint_is_refused_with_what_to_do(tmp_path: Path, damage: slice) -> None:
    with pytest.raises(KeyboardInterrupt):
        fitted(config_of(), tmp_path / "checkpoint", on_epoch=interrupt_in(2))
    (tmp_path / "checkpoint").write_bytes((tmp_path / "checkpoint").read_bytes()[damage])
    with pytest.raises(MonitorError, match="train without --resume"):
        fitted(config_of(), tmp_path / "checkpoint", resume=True)


def test_a_loss_that_is_no_longer_a_number_ends_the_training_with_advice(tmp_path: Path) -> None:
    config = config_of("features.scale=power")
    data = windows(config, loudest=1e37)
    with pytest.raises(MonitorError, match=r"no longer a number in epoch 1.*train\.learning_rate"):
        fit(config, data, data, CPU, tmp_path / "checkpoint", work="work")
