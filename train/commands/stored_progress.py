"""The progress of trainings in other processes, which each writes into a small file that another process shows."""

from __future__ import annotations

import contextlib
import json
import time
from dataclasses import asdict, dataclass
from pathlib import Path
from types import TracebackType
from typing import TYPE_CHECKING, Self

from monitor.core.atomic_io import write_atomically
from monitor.core.errors import MonitorError

if TYPE_CHECKING:
    from train.fitting.checkpoint import Epoch

EVERY_S = 0.5  # shortest time between two writes
READING = 0.1  # share of a training that reading its recordings is shown as


@dataclass(frozen=True, slots=True)
class Standing:
    """How far a training is."""

    what: str  # such as "epoch 3/40, loss 0.1234"
    share: float  # of the whole training that is done


class StoredProgress:
    """Writes the progress of a training into a file; a `train.commands.progress.Progress`.

    Args:
        file: the file; it is removed at the end of the `with` statement. That it cannot be written is no error.
    """

    def __init__(self, file: Path) -> None:
        self._file = file
        self._written = 0.0

    def __enter__(self) -> Self:
        self._write("begins", 0.0)
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        with contextlib.suppress(OSError):
            self._file.unlink(missing_ok=True)

    def reading(self, done: int, total: int) -> None:
        """Shows that `done` of `total` recordings have been read."""
        self._write(f"recording {done}/{total}", READING * done / total)

    def step(self, epoch: int, epochs: int, share: float, loss: float) -> None:
        """Shows that a share of an epoch is completed, and its mean loss so far."""
        done = (epoch - 1 + share) / epochs
        self._write(f"epoch {epoch}/{epochs}, loss {loss:.4f}", READING + (1 - READING) * done)

    def epoch(self, epoch: Epoch, epochs: int) -> None:
        """Nothing: `step` shows the same."""

    def doing(self, what: str, share: float) -> None:
        """Nothing: it is short."""

    def _write(self, what: str, share: float) -> None:
        now = time.monotonic()
        if self._written and now - self._written < EVERY_S:
            return
        self._written = now
        with contextlib.suppress(MonitorError):
            write_atomically(self._file, json.dumps(asdict(Standing(what, share))).encode(), durable=False)


def standing(file: Path) -> Standing | None:
    """How far the training is that writes into a file; None if it has not begun, has ended, or cannot be read."""
    try:
        return Standing(**json.loads(file.read_bytes()))
    except (OSError, ValueError, TypeError):
        return None
