"""The training loop: plain, seeded by epoch, and resumable to the same weights."""

from __future__ import annotations

import math
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import torch
from torch import Tensor

from monitor.config.schema import Config, Train
from monitor.core.errors import MonitorError
from monitor.model.autoencoder import Autoencoder
from train.fitting import checkpoint as checkpoints
from train.fitting.checkpoint import Epoch
from train.fitting.precision import arithmetic, casting, windows_a_step
from train.fitting.cuda_graph import Recorded
from train.fitting.distributed import Team
from train.data.window_dataset import WorkSet

FINAL_RATE = 1e-6  # of hold-then-linear, the article's
CHECKPOINT_EVERY_S = 5.0
TELL_EVERY = 20  # steps; asking for the loss makes a GPU, and the other processes, wait
HELD_OUT_BATCH = 2048

OnStep = Callable[[int, float, float], None]


def learning_rate(train: Train, epoch: int, step: int, steps: int) -> float:
    """The rate of step `step` (from 0, of `steps`) of epoch `epoch` (from 1).

    one-cycle: a cosine up from a 25th over the first 30 % of the training, then a cosine down to a 10,000th of
    that (Smith & Topin, 2018). hold-then-linear: constant for the first half of the epochs, then by epoch linearly
    down to 1e-6 (the article: constant to epoch 100, 1e-6 at 200).
    """
    top = train.learning_rate
    if train.schedule == "hold-then-linear":
        half = train.epochs / 2
        return top + (FINAL_RATE - top) * max(0.0, (epoch - half) / (train.epochs - half))
    progress = ((epoch - 1) * steps + step) / max(1, train.epochs * steps - 1)
    rise = 0.3
    if progress < rise:
        low, share = top / 25, progress / rise
    else:
        low, share = top / 25e4, (1 - progress) / (1 - rise)
    return low + (top - low) * (1 - math.cos(math.pi * share)) / 2


def fit(
    config: Config,
    training: WorkSet,
    held_out: WorkSet,
    device: torch.device,
    checkpoint: Path,
    *,
    work: str,
    team: Team | None = None,
    resume: bool = False,
    on_step: OnStep = lambda *_: None,
    on_epoch: Callable[[Epoch], None] = lambda _: None,
) -> tuple[Autoencoder, list[Epoch]]:
    """Trains an autoencoder on windows to reconstruct them.

    Every epoch draws its order and its dropout from the seed and its own number, so a training resumed at an
    epoch's end goes on exactly as one that was never interrupted (on the same machine and thread count).

    Args:
        checkpoint: where to keep what a resumed training needs.
        work: a digest of data and settings; a checkpoint of other work is refused.
        team: the processes that train together; None is this one alone.
        on_step: called now and then with the epoch, the share of it that is done, and its mean loss so far.

    Raises:
        MonitorError: if the loss stops being a number, or there is a checkpoint of other work to resume.
    """
    team = team or Team()
    trainer = Trainer(config, len(training), device, team)
    history: list[Epoch] = []
    if resume and checkpoint.exists():
        history = checkpoints.restore(checkpoint, work, trainer.model, trainer.optimizer)
    saved = time.monotonic()
    for number in range(len(history) + 1, config.train.epochs + 1):
        began = time.perf_counter()
        loss, rate = trainer.epoch(number, training, on_step)
        trained_s = time.perf_counter() - began
        held_out_loss = trainer.mean_loss(held_out)
        seconds = time.perf_counter() - began
        epoch = Epoch(number, loss, held_out_loss, rate, len(training) / trained_s, seconds)
        history.append(epoch)
        on_epoch(epoch)
        if team.first and (time.monotonic() - saved > CHECKPOINT_EVERY_S or number == config.train.epochs):
            checkpoints.keep(checkpoint, work, trainer.model, trainer.optimizer, history)
            saved = time.monotonic()
    model = Autoencoder.from_config(config).to(device)
    model.load_state_dict(trainer.model.state_dict())
    return model.eval(), history


class Trainer:
    """A model in training, and the loop over its windows."""

    def __init__(self, config: Config, windows: int, device: torch.device, team: Team | None = None) -> None:
        """A new model, from the seed, to be trained on so many windows an epoch."""
        self._config, self._device, self._team = config, device, team or Team()
        self.batch = windows_a_step(config.train, windows)
        self.dtype = arithmetic(config.train, self.batch, device)
        torch.manual_seed(config.train.seed)
        self.model = Autoencoder.from_config(config).to(device)
        self._spread = self._team.spread(self.model)
        self._buffer = torch.empty(self.batch, config.features.window_size, device=device)
        recorded = device.type == "cuda" and self._team.size == 1
        rate = config.train.learning_rate
        self.optimizer = torch.optim.Adam(
            self.model.parameters(),
            lr=torch.tensor(rate, device=device) if recorded else rate,
            weight_decay=config.train.weight_decay,
            fused=True,
            capturable=recorded,
        )
        self._take = Recorded(self.step, self._buffer) if recorded else self.step

    def step(self, windows: Tensor) -> Tensor:
        """One step on this process' rows (b, window_size) of a batch; returns their part of its loss.

        The model sees them with white noise and has to reconstruct them without: a denoising autoencoder (Vincent et
        al., 2008) cannot copy single numbers through, so it learns what goes together.
        """
        noise = self._config.train.input_noise
        seen = windows + noise * self._team.noise(windows) if noise else windows
        with casting(self._device, self.dtype):
            reconstruction = self._spread(seen)
        loss = self._team.mean_loss(reconstruction.float(), windows)
        self.optimizer.zero_grad(set_to_none=True)
        loss.backward()  # type: ignore[no-untyped-call]
        self.optimizer.step()
        return loss.detach()

    def epoch(self, number: int, training: WorkSet, on_step: OnStep = lambda *_: None) -> tuple[float, float]:
        """One pass over all windows; returns the mean loss over its batches, and the rate of its last step.

        Raises:
            MonitorError: if the loss stops being a number.
        """
        train = self._config.train
        torch.manual_seed(train.seed * 1_000_003 + number)
        plan = training.plan()
        steps = sum(self._steps(training.windows(part)) for part in plan)
        self.model.train()
        total = torch.zeros((), device=self._device)
        seen, step, rate, mean = 0, 0, train.learning_rate, 0.0
        for portion in training.portions(plan):
            order = torch.randperm(len(portion)).to(portion.device)
            for index in _batches(order, self.batch):
                rate = learning_rate(train, number, step, steps)
                self._set_rate(rate)
                mine = index[self._team.share(len(index))]
                total += self._take(portion.gather(mine, self._buffer[: len(mine)])) * len(index)
                seen, step = seen + len(index), step + 1
                if step % TELL_EVERY == 1 or step == steps:
                    mean = self._team.mean(total) / seen
                    if not math.isfinite(mean):
                        raise MonitorError(
                            f"The loss is no longer a number in epoch {number}: lower train.learning_rate "
                            f"(now {train.learning_rate:g}), or set features.scale to log."
                        )
                    on_step(number, step / steps, mean)
        return mean, rate

    @torch.inference_mode()
    def mean_loss(self, windows: WorkSet) -> float:
        """The mean squared error over the windows of a set."""
        self.model.eval()
        total = torch.zeros((), device=self._device, dtype=torch.float64)
        for portion in windows.portions(windows.plan()):
            for index in torch.split(torch.arange(len(portion), device=portion.device), HELD_OUT_BATCH):
                batch = portion.gather(index[self._team.share(len(index))])
                with casting(self._device, self.dtype):
                    reconstruction = self.model(batch)
                total += self._team.mean_loss(reconstruction.float(), batch) * len(index)
        return self._team.mean(total) / len(windows)

    def _set_rate(self, rate: float) -> None:
        for group in self.optimizer.param_groups:
            if isinstance(group["lr"], Tensor):
                group["lr"].fill_(rate)
            else:
                group["lr"] = rate

    def _steps(self, windows: int) -> int:
        return windows // self.batch + (windows % self.batch > 1)


def _batches(order: Tensor, size: int) -> Iterator[Tensor]:
    # A last batch of one window has no variance for batch norm to work with.
    return (batch for batch in torch.split(order, size) if len(batch) > 1)
