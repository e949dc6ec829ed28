"""Shows the progress of the trainings of several streams: bars in a terminal, elsewhere a line for each that ends."""

from __future__ import annotations

import logging
import threading
from collections.abc import Sequence
from types import TracebackType
from typing import Self

from rich import progress as bars
from rich.console import Console
from rich.markup import escape
from rich.progress import BarColumn, TaskID, TextColumn, TimeRemainingColumn

from monitor.core.parallel_jobs import Outcome
from monitor.core.text import duration_text, printable
from train.commands.stored_progress import standing
from train.commands.stream_training import PROGRESS_FILE, StreamTraining, TrainedStream

LOOK_EVERY_S = 0.5

log = logging.getLogger(__name__)


class StreamsProgress:
    """Shows how far the trainings of several streams are, on standard error.

    Args:
        trainings: all of them.
    """

    def __init__(self, trainings: Sequence[StreamTraining]) -> None:
        console = Console(stderr=True, highlight=False)
        self._progress = bars.Progress(
            TextColumn("{task.description}"), BarColumn(bar_width=24), TextColumn("{task.fields[what]}"),
            TimeRemainingColumn(compact=True),
            console=console, disable=not console.is_terminal, transient=True,
        )  # fmt: skip
        self._total = len(trainings)
        self._all = self._progress.add_task("all streams", total=self._total, what="")
        self._waiting = {training.name: training for training in trainings}
        self._bars: dict[str, TaskID] = {}
        self._ended = 0
        self._lock = threading.Lock()
        self._stop = threading.Event()
        self._thread = threading.Thread(target=self._watch, name="progress", daemon=True)

    def __enter__(self) -> Self:
        self._progress.start()
        if not self._progress.disable:
            self._thread.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._stop.set()
        if self._thread.is_alive():
            self._thread.join()
        self._progress.stop()

    def ended(self, outcome: Outcome[StreamTraining, TrainedStream]) -> None:
        """Shows that a training has ended, in a line that stays."""
        name = outcome.job.name
        with self._lock:
            self._waiting.pop(name, None)
            self._ended += 1
            if name in self._bars:
                self._progress.remove_task(self._bars.pop(name))
        self._progress.update(self._all, completed=self._ended, what=f"{self._ended}/{self._total}")
        result = outcome.result
        if result is None:
            log.error("[%d/%d] %s: failed: %s", self._ended, self._total, printable(name), outcome.failure)
            return
        for note in result.notes:
            log.warning("%s: %s", printable(name), note)
        how = "is trained already" if result.before else f"trained in {duration_text(result.took_s)}"
        log.info("[%d/%d] %s: %s.", self._ended, self._total, printable(name), how)

    def _watch(self) -> None:
        while not self._stop.wait(LOOK_EVERY_S):
            with self._lock:
                shares = [self._show(training) for training in self._waiting.values()]
                done = self._ended + sum(shares)
            self._progress.update(self._all, completed=done, what=f"{self._ended}/{self._total}")

    def _show(self, training: StreamTraining) -> float:
        """Shows how far one training is; returns the share that is done."""
        now = standing(training.folder / PROGRESS_FILE)
        if now is None:
            return 0.0
        if training.name not in self._bars:
            self._bars[training.name] = self._progress.add_task(escape(printable(training.name)), total=1.0, what="")
        self._progress.update(self._bars[training.name], completed=now.share, what=now.what)
        return now.share
