"""Shows training and reading as they go on: a live line in a terminal, plain lines elsewhere."""

from __future__ import annotations

import sys
from types import TracebackType
from typing import Self

from rich.console import Console
from rich.progress import BarColumn, Progress, ProgressColumn, Task, TaskID, TextColumn, TimeRemainingColumn
from rich.text import Text

from train.fitting.checkpoint import Epoch


class _Losses(ProgressColumn):
    """The loss so far, the held-out loss of the last epoch, and the speed."""

    def render(self, task: Task) -> Text:
        """What the task's fields say, in as little room as possible."""
        parts = []
        for key, form in (("loss", "loss {:.4f}"), ("held_out", "held-out {:.4f}"), ("speed", "{:,.0f} windows/s")):
            if (value := task.fields.get(key)) is not None:
                parts.append(form.format(value))
        return Text("  ".join(parts))


class ConsoleProgress:
    """Progress on standard error, so that standard output holds only results."""

    def __init__(self) -> None:
        self._console = Console(stderr=True, highlight=False)
        self._live = self._console.is_terminal
        self._progress = Progress(
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

    def say(self, text: str) -> None:
        """A line worth reading."""
        if self._live:
            self._progress.console.print(text, soft_wrap=True, markup=False)
        else:
            sys.stderr.write(f"{text}\n")

    def reading(self, done: int, total: int) -> None:
        """So many recordings have been read."""
        if self._reading is None:
            self._reading = self._progress.add_task("Reading recordings", total=total)
        self._progress.update(self._reading, completed=done, visible=done < total)

    def step(self, epoch: int, epochs: int, share: float, loss: float) -> None:
        """That share of an epoch is done, with that mean loss."""
        if self._training is None:
            self._training = self._progress.add_task("", total=epochs)
        self._progress.update(
            self._training, description=f"Epoch {epoch}/{epochs}", completed=epoch - 1 + share, loss=loss
        )

    def doing(self, what: str, share: float) -> None:
        """That share of something else is done."""
        if what not in self._other:
            self._other[what] = self._progress.add_task(what, total=1.0)
        self._progress.update(self._other[what], completed=share, visible=share < 1)

    def epoch(self, epoch: Epoch, epochs: int) -> None:
        """An epoch is done."""
        if self._training is not None:
            self._progress.update(
                self._training, loss=epoch.loss, held_out=epoch.held_out_loss, speed=epoch.windows_per_second
            )
        if not self._live:
            self.say(
                f"epoch {epoch.epoch}/{epochs}  loss {epoch.loss:.4f}  held-out {epoch.held_out_loss:.4f}  "
                f"{epoch.windows_per_second:,.0f} windows/s"
            )
