"""The training loop, seeded for each epoch, so that a resumed training ends with the same weights."""

from __future__ import annotations

import logging
import math
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import torch
from torch import Tensor

from monitor.config.schema import Config
from monitor.core.errors import MonitorError
from monitor.model.autoencoder import Autoencoder
from train.data.window_dataset import WindowDataset
from train.fitting import checkpoint as checkpoints
from train.fitting.checkpoint import Epoch
from train.fitting.cuda_graph import GraphedStep
from train.fitting.distributed import ProcessGroup
from train.fitting.precision import step_dtype, windows_per_step
from train.fitting.random_numbers import NoisePool
from train.fitting.schedule import learning_rate
from train.fitting.working_copy import WorkingCopy

CHECKPOINT_EVERY_S = 5.0
REPORT_EVERY = 20  # steps; not each one, because reading the loss synchronises with the GPU and the other processes
HELD_OUT_BATCH = 2048

OnStep = Callable[[int, float, float], None]

log = logging.getLogger(__name__)


def fit(
    config: Config,
    training: WindowDataset,
    held_out: WindowDataset,
    device: torch.device,
    checkpoint: Path,
    *,
    work: str,
    group: ProcessGroup | None = None,
    resume: bool = False,
    on_step: OnStep = lambda *_: None,
    on_epoch: Callable[[Epoch], None] = lambda _: None,
) -> tuple[Autoencoder, list[Epoch]]:
    """Trains an autoencoder to reconstruct windows.

    Each epoch seeds its order, noise and dropout with the seed and its number. So a training that is resumed at the
    end of an epoch gives the same result as one without interruption (on the same machine, with as many threads).

    Args:
        config: settings of the model.
        training: windows to train on.
        held_out: windows of held-out recordings.
        device: where to train.
        checkpoint: file of the checkpoint.
        work: digest of the data and settings; a checkpoint with another digest is not resumed.
        group: the processes that train together; None: a single process.
        resume: whether to continue from the checkpoint, if there is one.
        on_step: is called every few steps with the epoch, its completed share, and its mean loss so far.
        on_epoch: is called at the end of each epoch.

    Returns:
        the trained model in evaluation mode, and the figures of all epochs.

    Raises:
        MonitorError: if the loss is not finite, or the checkpoint belongs to other data or settings.
    """
    group = group or ProcessGroup()
    trainer = Trainer(config, len(training), device, group)
    history: list[Epoch] = []
    if resume:
        with group.file_of_first(checkpoint) as file:
            if file.is_file():
                history = checkpoints.restore(file, work, trainer.model, trainer.optimizer, epochs=config.train.epochs)
                log.info("Resumed after epoch %d of %d.", len(history), config.train.epochs)
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
        if group.first and (time.monotonic() - saved > CHECKPOINT_EVERY_S or number == config.train.epochs):
            checkpoints.write(checkpoint, work, trainer.model, trainer.optimizer, history)
            saved = time.monotonic()
    model = Autoencoder.from_config(config).to(device)
    model.load_state_dict(trainer.model.state_dict())
    return model.eval(), history


class Trainer:
    """A model in training with its optimiser.

    Args:
        config: settings of the model; its weights are initialised with `train.seed`.
        windows: number of windows in an epoch.
        device: where to train.
        group: the processes that train together; None: a single process.
    """

    def __init__(self, config: Config, windows: int, device: torch.device, group: ProcessGroup | None = None) -> None:
        self._config, self._device, self._group = config, device, group or ProcessGroup()
        self.batch = windows_per_step(config.train, windows)
        self.dtype = step_dtype(config.train, self.batch, device)
        torch.manual_seed(config.train.seed)
        self.model = Autoencoder.from_config(config).to(device)
        self._group.replace_layers(self.model)
        self._weights = WorkingCopy(self.model, self.dtype)
        self._network = self._group.distributed(self._weights.network)
        self._noise = NoisePool(self.batch, config.features.window_size, device)
        self._buffer = torch.empty(self.batch, config.features.window_size, device=device)
        graphed = device.type == "cuda" and self._group.size == 1
        rate = config.train.learning_rate
        self.optimizer = torch.optim.Adam(
            self.model.parameters(),
            lr=torch.tensor(rate, device=device) if graphed else rate,
            weight_decay=config.train.weight_decay,
            fused=True,
            capturable=graphed,
        )
        self._run_step = GraphedStep(self.step, self._buffer) if graphed else self.step

    def step(self, windows: Tensor) -> Tensor:
        """Runs one step on this process's rows (b, window_size) of a batch; returns their part of the batch's loss.

        White noise is added to the input, and the model has to reconstruct the windows without it: a denoising
        autoencoder (Vincent et al., 2008) cannot copy single values, so it learns how they depend on each other.
        """
        inputs, noise = windows, self._config.train.input_noise
        if noise:
            inputs = torch.add(windows, self._group.own_rows(self._noise.take, len(windows)), alpha=noise)
        self._weights.round_weights()
        reconstruction = self._network(inputs.to(self.dtype))
        difference = reconstruction.detach().float().sub_(windows)
        share = self._group.share_of_mean(windows)
        loss: Tensor = difference.square().sum() * share
        self._network.zero_grad(set_to_none=True)
        # The gradient of the mean squared error, written out: autograd reads and writes the windows four times for it.
        reconstruction.backward(difference.mul_(2 * share).to(self.dtype))
        self._weights.collect_gradients()
        self.optimizer.step()
        return loss

    def epoch(self, number: int, training: WindowDataset, on_step: OnStep = lambda *_: None) -> tuple[float, float]:
        """Trains on all windows once.

        Args:
            number: number of the epoch, from 1.
            training: the windows.
            on_step: as in `fit`.

        Returns:
            the mean loss over the batches, and the learning rate of the last step.

        Raises:
            MonitorError: if the loss is not finite.
        """
        train = self._config.train
        torch.manual_seed(train.seed * 1_000_003 + number)
        plan = training.plan()
        steps = sum(self._steps(training.windows(part)) for part in plan)
        self._network.train()
        self._noise.renew()
        total = torch.zeros((), device=self._device)
        seen, step, rate, mean = 0, 0, train.learning_rate, 0.0
        for portion in training.portions(plan):
            order = torch.randperm(len(portion)).to(portion.device)
            for index in _batches(order, self.batch):
                rate = learning_rate(train, number, step, steps)
                self._set_rate(rate)
                own = index[self._group.share(len(index))]
                total += self._run_step(portion.gather(own, self._buffer[: len(own)])) * len(index)
                seen, step = seen + len(index), step + 1
                if step % REPORT_EVERY == 1 or step == steps:
                    mean = self._group.mean(total) / seen
                    if not math.isfinite(mean):
                        raise MonitorError(
                            f"The loss is no longer a number in epoch {number}: lower train.learning_rate "
                            f"(now {train.learning_rate:g}), or set features.scale to log."
                        )
                    on_step(number, step / steps, mean)
        return mean, rate

    @torch.inference_mode()
    def mean_loss(self, windows: WindowDataset) -> float:
        """The mean squared error over all windows, without noise and dropout."""
        network = self._weights.network.eval()
        self._weights.round_weights()
        total = torch.zeros((), device=self._device, dtype=torch.float64)
        for portion in windows.portions(windows.plan()):
            for index in torch.split(torch.arange(len(portion), device=portion.device), HELD_OUT_BATCH):
                batch = portion.gather(index[self._group.share(len(index))])
                difference = network(batch.to(self.dtype)).float() - batch
                total += difference.square_().sum() * self._group.share_of_mean(batch) * len(index)
        return self._group.mean(total) / len(windows)

    def _set_rate(self, rate: float) -> None:
        for group in self.optimizer.param_groups:
            if isinstance(group["lr"], Tensor):
                group["lr"].fill_(rate)
            else:
                group["lr"] = rate

    def _steps(self, windows: int) -> int:
        return windows // self.batch + (windows % self.batch > 1)


def _batches(order: Tensor, size: int) -> Iterator[Tensor]:
    # A last batch of a single window is skipped, because it has no variance for batch norm.
    return (batch for batch in torch.split(order, size) if len(batch) > 1)
