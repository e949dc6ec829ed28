"""A training step computes what torch's own layers, loss and optimiser do, in float32 and rounded to bfloat16."""

from __future__ import annotations

import pytest
import torch
from torch import Tensor, nn
from torch.nn import functional as F

from monitor.config.presets import PRESETS
from monitor.config.schema import Config
from monitor.model.autoencoder import Autoencoder
from support.builders import small_config
from train.fitting.distributed import ProcessGroup
from train.fitting.loop import Trainer
from train.fitting.whole_batch import WholeDropout

CPU = torch.device("cpu")
STEPS = 6


def config_of(*overrides: str) -> Config:
    return small_config("features.n_mels=16", *overrides, "train.batch_size=48", "train.input_noise=0")


def batches(config: Config, count: int = STEPS) -> list[Tensor]:
    torch.manual_seed(7)
    return [torch.randn(config.train.batch_size, config.features.window_size) for _ in range(count)]


def plain_step(model: nn.Module, optimizer: torch.optim.Optimizer, windows: Tensor) -> Tensor:
    """A step as in a textbook."""
    optimizer.zero_grad()
    loss = F.mse_loss(model(windows), windows)
    loss.backward()
    optimizer.step()
    return loss.detach()


def plain_training(config: Config) -> tuple[nn.Module, list[Tensor]]:
    """The model and the losses of textbook steps, with the dropout masks that a trainer draws."""
    torch.manual_seed(config.train.seed)
    model = Autoencoder.from_config(config)
    model.drop1 = WholeDropout(config.model.dropout, lambda draw, rows: draw(rows))  # type: ignore[assignment]
    optimizer = torch.optim.Adam(
        model.parameters(), config.train.learning_rate, weight_decay=config.train.weight_decay, foreach=False
    )
    torch.manual_seed(3)
    return model, [plain_step(model, optimizer, windows) for windows in batches(config)]


def trained(config: Config) -> tuple[Trainer, list[Tensor]]:
    trainer = Trainer(config, 10**9, CPU)
    torch.manual_seed(3)
    return trainer, [trainer.step(windows) for windows in batches(config)]


@pytest.mark.parametrize("recipe", ["default", "toyadmos"])
def test_steps_in_float32_are_those_of_a_textbook(recipe: str) -> None:
    settings = [f"train.{name}={value}" for name, value in PRESETS[recipe].get("train", {}).items()]
    config = config_of(*settings, "train.precision=float32", "model.dropout=0.2")
    (plain, expected), (trainer, losses) = plain_training(config), trained(config)
    assert torch.allclose(torch.stack(losses), torch.stack(expected), rtol=1e-5)
    # A weight with almost no gradient moves by a share of Adam's step that is rounding alone.
    for (name, found), wanted in zip(trainer.model.named_parameters(), plain.parameters(), strict=True):
        assert (found - wanted).norm() <= 2e-3 * wanted.norm() + 1e-3, name


def test_the_gradients_of_a_step_are_those_of_autograd() -> None:
    config = config_of("train.precision=float32", "model.dropout=0")
    trainer, [windows] = Trainer(config, 10**9, CPU), batches(config, 1)
    model = Autoencoder.from_config(config)
    model.load_state_dict(trainer.model.state_dict())
    F.mse_loss(model(windows), windows).backward()
    trainer.step(windows)
    for (name, ours), theirs in zip(trainer.model.named_parameters(), model.parameters(), strict=True):
        assert ours.grad is not None
        assert theirs.grad is not None
        assert torch.allclose(ours.grad, theirs.grad, rtol=1e-4, atol=1e-6 * float(theirs.grad.norm())), name


def test_in_bfloat16_gradients_are_rounded_no_more_than_by_autocast() -> None:
    config = config_of("train.precision=bfloat16", "model.dropout=0")
    trainer, [windows] = Trainer(config, 10**9, CPU), batches(config, 1)
    gradients = []
    for dtype in (torch.float32, torch.bfloat16):
        model = Autoencoder.from_config(config)
        model.load_state_dict(trainer.model.state_dict())
        with torch.autocast("cpu", dtype, enabled=dtype == torch.bfloat16):
            reconstruction = model(windows)
        F.mse_loss(reconstruction.float(), windows).backward()
        gradients.append([parameter.grad for parameter in model.parameters()])
    trainer.step(windows)
    for (name, ours), exact, autocast in zip(trainer.model.named_parameters(), *gradients, strict=True):
        assert ours.grad is not None
        assert ours.grad.dtype == torch.float32
        assert (ours.grad - exact).norm() <= 1.2 * (autocast - exact).norm() + 1e-6, name


def test_in_bfloat16_updates_that_are_too_small_for_it_are_not_lost() -> None:
    config = config_of("train.precision=bfloat16", "train.learning_rate=1e-6")
    trainer = Trainer(config, 10**9, CPU)
    before = trainer.model.dense_enc2.weight.detach().clone()
    for windows in batches(config):
        trainer.step(windows)
    moved = (trainer.model.dense_enc2.weight - before).abs().median()
    assert 1e-6 < moved < 1e-5  # bfloat16 has steps of 1e-4 and more where most of these weights are


def test_in_bfloat16_the_held_out_loss_is_that_of_the_newest_weights() -> None:
    config = config_of("train.precision=bfloat16", "model.dropout=0")
    trainer, [windows] = Trainer(config, 10**9, CPU), batches(config, 1)
    trainer.step(windows)
    trainer._weights.round_weights()
    for exact, rounded in zip(trainer.model.parameters(), trainer._weights.network.parameters(), strict=True):
        assert torch.equal(exact.to(rounded.dtype), rounded)


@pytest.mark.parametrize("rank", [0, 1, 2])
def test_each_process_has_its_rows_of_what_one_process_draws(rank: int) -> None:
    group, numbers = ProcessGroup(rank, 3), torch.arange(20.0).view(10, 2)
    rows = group.share(10)
    assert torch.equal(group.own_rows(lambda count: numbers[:count], rows.stop - rows.start), numbers[rows])
