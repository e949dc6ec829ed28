"""Checkpoints to resume an interrupted training from: weights, optimiser state, and history."""

from __future__ import annotations

import json
import math
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, fields
from pathlib import Path
from typing import Any

import safetensors
import torch
from safetensors.torch import save
from torch import Tensor

from monitor.bundle.schema import digest
from monitor.core.atomic_io import write_atomically
from monitor.core.errors import MonitorError
from monitor.model.autoencoder import Autoencoder


class CheckpointRefused(MonitorError):
    """A checkpoint is damaged, or belongs to another training: it cannot be resumed from."""


@dataclass(frozen=True, slots=True)
class Epoch:
    """The figures of one epoch: one line of history.jsonl."""

    epoch: int  # from 1
    loss: float  # mean squared error over the batches during training, with dropout and input noise
    held_out_loss: float  # mean squared error on held-out recordings at the end of the epoch
    learning_rate: float  # of the last step
    windows_per_second: float
    seconds: float


def write(path: Path, work: str, model: Autoencoder, optimizer: torch.optim.Adam, history: Sequence[Epoch]) -> None:
    """Writes a checkpoint atomically; `work` is the digest of its data and settings."""
    tensors = {f"model.{name}": t for name, t in model.state_dict().items()}
    for number, state in optimizer.state_dict()["state"].items():
        tensors |= {f"adam.{number}.{name}": t for name, t in state.items()}
    facts = {"work": work, "history": [asdict(epoch) for epoch in history]}
    cpu = {name: t.detach().cpu().contiguous().clone() for name, t in tensors.items()}
    stored = facts | {"digest": _digest(facts, cpu)}
    write_atomically(path, save(cpu, {"training": json.dumps(stored)}))


def restore(path: Path, work: str, model: Autoencoder, optimizer: torch.optim.Adam, *, epochs: int) -> list[Epoch]:
    """Restores model and optimiser from a checkpoint; returns the completed epochs, of `epochs` altogether.

    Everything is checked first, because torch does not: with an optimiser state of another shape, Adam's fused step
    would write beyond its memory.

    Raises:
        CheckpointRefused: if it cannot be read, is damaged, or belongs to a training with other recordings or settings
            (`work`). Model and optimiser are unchanged then.
    """
    facts, tensors = _read(path)
    if facts["work"] != work:
        raise CheckpointRefused(
            f"{path}: belongs to a training with other recordings or settings: give the same ones to "
            "resume it, or train into another folder."
        )
    if {name: _layout(t) for name, t in tensors.items()} != _expected_layout(model, optimizer):
        raise _damaged(path, "its tensors are not those of this training")
    history = _history(path, facts["history"], epochs)
    state: dict[int, dict[str, Tensor]] = {}
    for name in tensors:
        if name.startswith("adam."):
            _, number, key = name.split(".")
            state.setdefault(int(number), {})[key] = tensors[name]
    model.load_state_dict({n.removeprefix("model."): t for n, t in tensors.items() if n.startswith("model.")})
    optimizer.load_state_dict({"state": state, "param_groups": optimizer.state_dict()["param_groups"]})
    return history


def _read(path: Path) -> tuple[dict[str, Any], dict[str, Tensor]]:
    """The facts and the tensors of a checkpoint, whose digest is right."""
    try:
        with safetensors.safe_open(path, framework="pt") as stored:
            facts = json.loads((stored.metadata() or {})["training"])
            tensors = {name: stored.get_tensor(name) for name in stored.keys()}  # noqa: SIM118
        stated = facts.pop("digest")
        if facts.keys() != {"work", "history"} or stated != _digest(facts, tensors):
            raise _damaged(path, "it has been altered since it was written")
    except (safetensors.SafetensorError, ValueError, LookupError, TypeError, AttributeError, RuntimeError, OSError):
        raise _damaged(path, "it is no checkpoint of this version") from None
    return facts, tensors


def _digest(facts: dict[str, Any], tensors: Mapping[str, Tensor]) -> str:
    """The hash of everything in a checkpoint, as of a bundle."""
    return digest(facts, {name: t.numpy() for name, t in tensors.items()})


def _expected_layout(model: Autoencoder, optimizer: torch.optim.Adam) -> dict[str, tuple[torch.Size, torch.dtype]]:
    """Shape and data type of each tensor in a checkpoint of this training."""
    layout = {f"model.{name}": _layout(t) for name, t in model.state_dict().items()}
    parameters = [parameter for group in optimizer.param_groups for parameter in group["params"]]
    for number, parameter in enumerate(parameters):
        layout[f"adam.{number}.step"] = (torch.Size(), torch.float32)
        layout[f"adam.{number}.exp_avg"] = layout[f"adam.{number}.exp_avg_sq"] = _layout(parameter)
    return layout


def _layout(tensor: Tensor) -> tuple[torch.Size, torch.dtype]:
    return tensor.shape, tensor.dtype


def _history(path: Path, lines: object, epochs: int) -> list[Epoch]:
    """The completed epochs: from one to `epochs`, numbered from 1, with finite figures."""
    names = {field.name for field in fields(Epoch)}
    history: list[Epoch] = []
    for line in lines if isinstance(lines, list) else []:
        if not isinstance(line, dict) or line.keys() != names or not all(map(_is_finite, line.values())):
            raise _damaged(path, "its history is not that of a training")
        if line["epoch"] != len(history) + 1:
            raise _damaged(path, "epochs are missing in its history")
        history.append(Epoch(**line))
    if not 1 <= len(history) <= epochs:
        raise _damaged(path, f"its history has {len(history)} of {epochs} epochs")
    return history


def _is_finite(value: object) -> bool:
    return type(value) in (int, float) and -math.inf < value < math.inf  # type: ignore[operator]


def _damaged(path: Path, reason: str) -> CheckpointRefused:
    return CheckpointRefused(f"{path}: cannot be resumed from ({reason}): train without --resume.")
