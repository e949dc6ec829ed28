"""Shows the progress of long work: as a bar in a terminal, as plain lines elsewhere, or not at all."""

from __future__ import annotations

import sys
from types import TracebackType
from typing import TYPE_CHECKING, Protocol, Self

from rich import progress as bars
from rich.console import Console
from rich.markup import escape
from rich.progress import BarColumn, ProgressColumn, Task, TaskID, TextColumn, TimeRemainingColumn
from rich.text import Text

if TYPE_CHECKING:
    from train.fitting.checkpoint import Epoch


class Progress(Protocol):
    """Shows the progress of long work."""

    def reading(self, done: int, total: int) -> None:
        """Shows that `done` of `total` recordings have been read."""

    def step(self, epoch: int, epochs: int, share: float, loss: float) -> None:
        """Shows that a share of an epoch is completed, and its mean loss so far."""

    def epoch(self, epoch: Epoch, epochs: int) -> None:
        """Shows the results of a completed epoch."""

    def doing(self, what: str, share: float) -> None:
        """Shows that a share of other work is completed."""


class NoProgress:
    """Shows nothing."""

    def reading(self, done: int, total: int) -> None:
        """Nothing."""

    def step(self, epoch: int, epochs: int, share: float, loss: float) -> None:
        """Nothing."""

    def epoch(self, epoch: Epoch, epochs: int) -> None:
        """Nothing."""

    def doing(self, what: str, share: float) -> None:
        """Nothing."""


class _Losses(ProgressColumn):
    """A column with the loss so far, the held-out loss of the last epoch, and the speed."""

    def render(self, task: Task) -> Text:
        parts = []
        for key, form in (("loss", "loss {:.4f}"), ("held_out", "held-out {:.4f}"), ("speed", "{:,.0f} windows/s")):
            if (value := task.fields.get(key)) is not None:
                parts.append(form.format(value))
        return Text("  ".join(parts))


class ConsoleProgress:
    """Shows progress on standard error, so that standard output contains only results.

    Args:
        label: what the work is part of, before each bar.
        epoch_lines: whether there is a line for each epoch where standard error is no terminal.
    """

    def __init__(self, label: str = "", *, epoch_lines: bool = True) -> None:
        self._label, self._epoch_lines = escape(label), epoch_lines
        self._console = Console(stderr=True, highlight=False)
        self._live = self._console.is_terminal
        self._progress = bars.Progress(
            TextColumn("{task.description}"),
            BarColumn(bar_width=24),
            _Losses(),
            TimeRemainingColumn(compact=True),
            console=self._console,
            disable=not self._live,
            transient=True,
        )
        self._reading: TaskID | None = None
        self._training: TaskID | None = None
        self._other: dict[str, TaskID] = {}

    def __enter__(self) -> Self:
        self._progress.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._progress.stop()

    def reading(self, done: int, total: int) -> None:
        """Shows that `done` of `total` recordings have been read."""
        if self._reading is None:
            self._reading = self._progress.add_task(f"{self._label}Reading recordings", total=total)
        self._progress.update(self._reading, completed=done, visible=done < total)

    def step(self, epoch: int, epochs: int, share: float, loss: float) -> None:
        """Shows that a share of an epoch is completed, and its mean loss so far."""
        if self._training is None:
            self._training = self._progress.add_task("", total=epochs)
        self._progress.update(
            self._training, description=f"{self._label}Epoch {epoch}/{epochs}", completed=epoch - 1 + share, loss=loss
        )

    def doing(self, what: str, share: float) -> None:
        """Shows that a share of other work is completed."""
        if what not in self._other:
            self._other[what] = self._progress.add_task(f"{self._label}{what}", total=1.0)
        self._progress.update(self._other[what], completed=share, visible=share < 1)

    def epoch(self, epoch: Epoch, epochs: int) -> None:
        """Shows the results of a completed epoch."""
        if self._training is not None:
            self._progress.update(
                self._training, loss=epoch.loss, held_out=epoch.held_out_loss, speed=epoch.windows_per_second
            )
        if self._epoch_lines and not self._live:
            sys.stderr.write(
                f"epoch {epoch.epoch}/{epochs}  loss {epoch.loss:.4f}  held-out {epoch.held_out_loss:.4f}  "
                f"{epoch.windows_per_second:,.0f} windows/s\n"
            )
