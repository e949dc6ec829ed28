"""Shows how far a scan is, and how long it will still take: a bar in a terminal, lines elsewhere."""

from __future__ import annotations

import sys
import time
from types import TracebackType
from typing import Self

from rich.console import Console
from rich.progress import BarColumn, Progress, ProgressColumn, Task, TaskProgressColumn, TextColumn, TimeRemainingColumn
from rich.text import Text

from monitor.cli.output import say_error
from monitor.core.text import duration_text, printable
from monitor.scan.task import LeftOut

LINE_S = 30.0  # time between two lines
_HEADERS = 1000  # that are read between two lines
_MOST_LEFT_OUT = 20  # files that are named, because a whole archive may be unreadable


class _Rate(ProgressColumn):
    """Hours of sound that are done, and how fast."""

    def render(self, task: Task) -> Text:
        return Text(task.fields.get("amount", ""))


class ScanProgress:
    """Shows the progress of a scan on standard error.

    Args:
        quiet: show nothing but the files that are left out.
    """

    def __init__(self, *, quiet: bool = False) -> None:
        console = Console(stderr=True, highlight=False)
        self._live, self._quiet = console.is_terminal and not quiet, quiet
        self._bar = Progress(
            TextColumn("{task.description}"), BarColumn(bar_width=28), TaskProgressColumn(), TimeRemainingColumn(),
            _Rate(), console=console, disable=not self._live, transient=True,
        )  # fmt: skip
        self._task = self._bar.add_task("Looking", total=None)
        self._began: tuple[float, float] | None = None  # monotonic time, and seconds of sound, of the first call
        self._told = time.monotonic()
        self._left_out = 0

    def __enter__(self) -> Self:
        self._bar.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._bar.stop()

    def surveying(self, done: int, total: int) -> None:
        """So many headers of so many have been read."""
        self._bar.update(self._task, description="Reading headers", completed=done, total=total)
        if not self._live and not self._quiet and done % _HEADERS == 0:
            sys.stderr.write(f"Headers of {done} of {total} files read.\n")

    def scanning(self, done_s: float, total_s: float, before_s: float) -> None:
        """So many seconds of sound of so many are done, `before_s` of them by an earlier run."""
        now = time.monotonic()
        if self._began is None:
            self._began = now, done_s
            self._bar.reset(self._task, description="Scanning", total=total_s, completed=int(done_s))
            if before_s and not self._quiet:
                self._write(f"{_amount(before_s, total_s)} were scanned before.")
        rate = (done_s - self._began[1]) / max(now - self._began[0], 1e-3)
        amount = _amount(done_s, total_s)
        if rate > 0:
            amount += f", {rate:,.0f} times real time"
        self._bar.update(self._task, completed=done_s, amount=amount)
        if not self._live and not self._quiet and (now - self._told >= LINE_S or done_s >= total_s > before_s):
            self._told = now
            left = f", about {duration_text((total_s - done_s) / rate)} left" if rate > 0 and done_s < total_s else ""
            sys.stderr.write(f"Scanned {amount}{left}.\n")

    def left_out(self, one: LeftOut) -> None:
        """A file was left out."""
        self._left_out += 1
        if self._left_out <= _MOST_LEFT_OUT:
            self.note(f"left out: {one.reason}")
        elif self._left_out == _MOST_LEFT_OUT + 1:
            self.note("more files are left out: left-out.csv will have them all.")

    def note(self, text: str) -> None:
        """Something about the recordings has to be known."""
        if self._live:
            self._bar.console.print(printable(text), markup=False, soft_wrap=True)
        else:
            say_error(text)

    def _write(self, line: str) -> None:
        if self._live:
            self._bar.console.print(line, markup=False)
        else:
            sys.stderr.write(f"{line}\n")


def _amount(done_s: float, total_s: float) -> str:
    """How much of the sound is done: 1.0 of 10.0 hours."""
    unit_s, unit = (3600, "hours") if total_s >= 3600 else (60, "minutes")
    return f"{done_s / unit_s:.1f} of {total_s / unit_s:.1f} {unit}"
