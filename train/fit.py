"""The training loop: plain, seeded by epoch, and resumable to the same weights."""

from __future__ import annotations

import json
import math
import time
from collections.abc import Callable, Iterator
from dataclasses import asdict, dataclass
from pathlib import Path

import safetensors
import torch
from safetensors.torch import save
from torch import Tensor
from torch.nn import functional as F

from monitor.config import Config, Train
from monitor.errors import MonitorError
from monitor.files import write_whole
from monitor.model import Autoencoder
from train.workset import WorkSet

FINAL_RATE = 1e-6  # of hold-then-linear, the article's
CHECKPOINT_EVERY_S = 5.0
HELD_OUT_WINDOWS = 100_000  # enough for a loss to be steady
HELD_OUT_BATCH = 2048


@dataclass(frozen=True, slots=True)
class Epoch:
    """One line of history.jsonl."""

    epoch: int  # from 1
    loss: float  # mean squared error over the epoch's batches, as trained
    held_out_loss: float  # on held-out recordings, at the epoch's end
    learning_rate: float  # of its last step
    windows_per_second: float
    seconds: float


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
    resume: bool = False,
    on_step: Callable[[int, float, float], None] = lambda *_: None,
    on_epoch: Callable[[Epoch], None] = lambda _: None,
) -> tuple[Autoencoder, list[Epoch]]:
    """Trains an autoencoder on windows to reconstruct them.

    Every epoch draws its order and its dropout from the seed and its own number, so a training resumed at an
    epoch's end goes on exactly as one that was never interrupted (on the same machine and thread count).

    Args:
        checkpoint: where to keep what a resumed training needs.
        work: a digest of data and settings; a checkpoint of other work is refused.
        on_step: called now and then with the epoch, the share of it that is done, and its mean loss so far.

    Raises:
        MonitorError: if the loss stops being a number, or there is a checkpoint of other work to resume.
    """
    torch.manual_seed(config.train.seed)
    model = Autoencoder.from_config(config).to(device)
    optimizer = torch.optim.Adam(
        model.parameters(), lr=config.train.learning_rate, weight_decay=config.train.weight_decay, fused=True
    )
    history: list[Epoch] = []
    if resume and checkpoint.exists():
        history = _restore(checkpoint, work, model, optimizer)
    saved = time.monotonic()
    for number in range(len(history) + 1, config.train.epochs + 1):
        epoch = _one_epoch(config, number, model, optimizer, training, held_out, device, on_step)
        history.append(epoch)
        on_epoch(epoch)
        if time.monotonic() - saved > CHECKPOINT_EVERY_S or number == config.train.epochs:
            _keep(checkpoint, work, model, optimizer, history)
            saved = time.monotonic()
    return model.eval(), history


def _one_epoch(
    config: Config,
    number: int,
    model: Autoencoder,
    optimizer: torch.optim.Adam,
    training: WorkSet,
    held_out: WorkSet,
    device: torch.device,
    on_step: Callable[[int, float, float], None],
) -> Epoch:
    began = time.perf_counter()
    torch.manual_seed(config.train.seed * 1_000_003 + number)
    batches = list(_batches(torch.randperm(len(training)), config.train.batch_size))
    model.train()
    total = torch.zeros((), device=device)
    seen, rate = 0, config.train.learning_rate
    for step, index in enumerate(batches):
        rate = learning_rate(config.train, number, step, len(batches))
        for group in optimizer.param_groups:
            group["lr"] = rate
        windows = training.gather(index).to(device, non_blocking=True)
        loss = F.mse_loss(model(noisy(windows, config.train.input_noise)), windows)
        optimizer.zero_grad(set_to_none=True)
        loss.backward()  # type: ignore[no-untyped-call]
        optimizer.step()
        total += loss.detach() * len(index)
        seen += len(index)
        if step % 20 == 0 or step + 1 == len(batches):  # asking for the value makes a GPU wait
            mean = float(total) / seen
            if not math.isfinite(mean):
                raise MonitorError(
                    f"The loss is no longer a number in epoch {number}: lower train.learning_rate "
                    f"(now {config.train.learning_rate:g}), or set features.scale to log."
                )
            on_step(number, (step + 1) / len(batches), mean)
    trained_s = time.perf_counter() - began
    held_out_loss = mean_loss(model, held_out, device)
    return Epoch(number, float(total) / seen, held_out_loss, rate, seen / trained_s, time.perf_counter() - began)


def noisy(windows: Tensor, deviation: float) -> Tensor:
    """Windows with white noise of that standard deviation: what a denoising autoencoder sees (Vincent et al., 2008).

    It cannot copy single numbers through, so it learns what goes together; what it leaves over tells more.
    """
    return windows + deviation * torch.randn_like(windows) if deviation else windows


def _batches(order: Tensor, size: int) -> Iterator[Tensor]:
    # A last batch of one window has no variance for batch norm to work with.
    return (batch for batch in torch.split(order, size) if len(batch) > 1)


@torch.inference_mode()
def mean_loss(model: Autoencoder, windows: WorkSet, device: torch.device) -> float:
    """The mean squared error over the windows, or over evenly spaced ones where there are very many."""
    model.eval()
    index = torch.arange(0, len(windows), max(1, len(windows) // HELD_OUT_WINDOWS))
    total = 0.0
    for part in torch.split(index, HELD_OUT_BATCH):
        batch = windows.gather(part).to(device)
        total += float(F.mse_loss(model(batch), batch)) * len(part)
    return total / len(index)


def _keep(checkpoint: Path, work: str, model: Autoencoder, optimizer: torch.optim.Adam, history: list[Epoch]) -> None:
    tensors = {f"model.{name}": t for name, t in model.state_dict().items()}
    for number, state in optimizer.state_dict()["state"].items():
        tensors |= {f"adam.{number}.{name}": t for name, t in state.items()}
    facts = {"work": work, "history": [asdict(epoch) for epoch in history]}
    cpu = {name: t.detach().cpu().contiguous().clone() for name, t in tensors.items()}
    write_whole(checkpoint, save(cpu, {"training": json.dumps(facts)}))


def _restore(checkpoint: Path, work: str, model: Autoencoder, optimizer: torch.optim.Adam) -> list[Epoch]:
    try:
        with safetensors.safe_open(checkpoint, framework="pt") as stored:
            facts = json.loads((stored.metadata() or {})["training"])
            tensors = {name: stored.get_tensor(name) for name in stored.keys()}  # noqa: SIM118
        if facts["work"] != work:
            raise MonitorError(
                f"{checkpoint}: belongs to a training with other recordings or settings: give the same ones to "
                "resume it, or train into another folder."
            )
        model.load_state_dict({n.removeprefix("model."): t for n, t in tensors.items() if n.startswith("model.")})
        state: dict[int, dict[str, Tensor]] = {}
        for name, tensor in tensors.items():
            if name.startswith("adam."):
                _, number, key = name.split(".")
                state.setdefault(int(number), {})[key] = tensor
        optimizer.load_state_dict({"state": state, "param_groups": optimizer.state_dict()["param_groups"]})
        return [Epoch(**line) for line in facts["history"]]
    except (safetensors.SafetensorError, ValueError, KeyError, TypeError, RuntimeError, OSError) as error:
        raise MonitorError(f"{checkpoint}: cannot be resumed from ({error}): train without --resume.") from None
