"""A progress bar and a level meter for recording from a microphone."""

from __future__ import annotations

import sys
from types import TracebackType
from typing import Self

import numpy as np
from rich.console import Console
from rich.progress import BarColumn, Progress, ProgressColumn, Task, TextColumn, TimeRemainingColumn
from rich.text import Text

from monitor.audio.level import LevelMeter
from monitor.sources.recording_session import PIECE_S

_METER_CELLS, _METER_FROM_DBFS = 20, -80.0


class _Meter(ProgressColumn):
    """The present level, as a bar and as a number."""

    def render(self, task: Task) -> Text:
        level = task.fields.get("level", -np.inf)
        share = (max(level, _METER_FROM_DBFS) - _METER_FROM_DBFS) / -_METER_FROM_DBFS
        lit = min(_METER_CELLS, round(share * _METER_CELLS))
        style = "red" if task.fields.get("peak", -np.inf) > -0.5 else "yellow" if level > -6 else "green"
        figures = "no sound yet" if level == -np.inf else f"{level:.0f} dBFS"
        return Text.assemble(("━" * lit, style), ("━" * (_METER_CELLS - lit), "bright_black"), f" {figures}")


class CaptureProgress:
    """A progress bar and a level meter on standard error; one line for each recorded piece if that is not a terminal.

    Args:
        minutes: length of the recording.
    """

    def __init__(self, minutes: float) -> None:
        self._total = max(1, round(minutes * 60 / PIECE_S)) * PIECE_S
        self._console = Console(stderr=True, highlight=False)
        self._live = self._console.is_terminal
        self._progress = Progress(
            TextColumn("Listening"), BarColumn(bar_width=24), TimeRemainingColumn(compact=True), _Meter(),
            console=self._console, disable=not self._live, transient=True,
        )  # fmt: skip
        self._task = self._progress.add_task("", total=self._total)
        self._reported = 0.0

    def __enter__(self) -> Self:
        self._progress.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._progress.stop()

    def show(self, seconds: float, meter: LevelMeter) -> None:
        """Shows the number of seconds recorded so far, and the level."""
        self._progress.update(self._task, completed=seconds, level=meter.rms_dbfs, peak=meter.peak_dbfs)
        if not self._live and seconds - self._reported >= PIECE_S:
            self._reported = seconds // PIECE_S * PIECE_S
            sys.stderr.write(f"{self._reported:.0f} of {self._total:.0f} s, level {meter.rms_dbfs:.0f} dBFS\n")
