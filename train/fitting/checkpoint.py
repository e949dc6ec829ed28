"""Checkpoints to resume an interrupted training from: weights, optimiser state, and history."""

from __future__ import annotations

import json
from dataclasses import asdict, dataclass
from pathlib import Path

import safetensors
import torch
from safetensors.torch import save
from torch import Tensor

from monitor.core.atomic_io import write_atomically
from monitor.core.errors import MonitorError
from monitor.model.autoencoder import Autoencoder


@dataclass(frozen=True, slots=True)
class Epoch:
    """The figures of one epoch: one line of history.jsonl."""

    epoch: int  # from 1
    loss: float  # mean squared error over the batches during training, with dropout and input noise
    held_out_loss: float  # mean squared error on held-out recordings at the end of the epoch
    learning_rate: float  # of the last step
    windows_per_second: float
    seconds: float


def write(path: Path, work: str, model: Autoencoder, optimizer: torch.optim.Adam, history: list[Epoch]) -> None:
    """Writes a checkpoint atomically; `work` is the digest of its data and settings."""
    tensors = {f"model.{name}": t for name, t in model.state_dict().items()}
    for number, state in optimizer.state_dict()["state"].items():
        tensors |= {f"adam.{number}.{name}": t for name, t in state.items()}
    metadata = {"work": work, "history": [asdict(epoch) for epoch in history]}
    cpu = {name: t.detach().cpu().contiguous().clone() for name, t in tensors.items()}
    write_atomically(path, save(cpu, {"training": json.dumps(metadata)}))


def restore(path: Path, work: str, model: Autoencoder, optimizer: torch.optim.Adam) -> list[Epoch]:
    """Restores model and optimiser from a checkpoint; returns the completed epochs.

    Raises:
        MonitorError: if it cannot be read, or belongs to a training with other recordings or settings (`work`).
    """
    try:
        with safetensors.safe_open(path, framework="pt") as stored:
            metadata = json.loads((stored.metadata() or {})["training"])
            tensors = {name: stored.get_tensor(name) for name in stored.keys()}  # noqa: SIM118
        if metadata["work"] != work:
            raise MonitorError(
                f"{path}: belongs to a training with other recordings or settings: give the same ones to "
                "resume it, or train into another folder."
            )
        model.load_state_dict({n.removeprefix("model."): t for n, t in tensors.items() if n.startswith("model.")})
        state: dict[int, dict[str, Tensor]] = {}
        for name, tensor in tensors.items():
            if name.startswith("adam."):
                _, number, key = name.split(".")
                state.setdefault(int(number), {})[key] = tensor
        optimizer.load_state_dict({"state": state, "param_groups": optimizer.state_dict()["param_groups"]})
        return [Epoch(**line) for line in metadata["history"]]
    except (safetensors.SafetensorError, ValueError, KeyError, TypeError, RuntimeError, OSError) as error:
        raise MonitorError(f"{path}: cannot be resumed from ({error}): train without --resume.") from None
