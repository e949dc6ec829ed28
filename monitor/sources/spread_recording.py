"""Records pieces of sound that are spread over days, and goes on after whatever interrupts it."""

from __future__ import annotations

import contextlib
import datetime
import logging
import random
import time
from collections.abc import Callable, Generator, Iterator
from pathlib import Path
from typing import Protocol

from monitor.audio.quality import QualityCheck
from monitor.core.errors import ConfigError, DataError, MonitorError
from monitor.core.types import FloatArray
from monitor.sources.recording_plan import RecordingPlan, Run
from monitor.sources.recording_session import write_recording

STEP_S = 0.5  # of waiting: the clock may be set meanwhile, and the computer may sleep

Capture = Callable[[int], Generator[FloatArray]]

log = logging.getLogger(__name__)


class Clock(Protocol):
    """The time, and waiting."""

    def time(self) -> float:
        """Unix time."""

    def sleep(self, seconds: float, /) -> None:
        """Waits."""


class SpreadRecorder:
    """Records the pieces of a plan into a folder, as 16-bit files with the time of their beginning in their names.

    The microphone is opened for each run only, so other programs can use it meanwhile, and a computer may sleep. A
    microphone that is lost, a muted one and a full disk are told once and waited for: what is missed meanwhile is made
    up for later. Only if nothing has been recorded yet, such an error ends the recording: it is one of the command.

    Args:
        plan: the plan, which is kept in the folder.
        folder: for the recordings; it is created if necessary.
        capture: records a number of pieces (n,) one after another, as `recording_session.capture_pieces`.
        sample_rate: of the pieces in Hz.
        suffix: "wav" or "flac".
        waiting: is told the Unix time of the next run.
        clock: the time.
        seed: of the random moments; None: another one each time.
    """

    def __init__(
        self,
        plan: RecordingPlan,
        folder: Path,
        capture: Capture,
        *,
        sample_rate: int,
        suffix: str = "flac",
        waiting: Callable[[float], None] = lambda _: None,
        clock: Clock = time,
        seed: int | None = None,
    ) -> None:
        self._plan, self._folder, self._capture = plan, folder, capture
        self._rate, self._suffix, self._waiting, self._clock = sample_rate, suffix, waiting, clock
        self._chance = random.Random(seed)
        self._failure = ""  # what was told of it

    def record(self) -> Iterator[Path]:
        """Records what is missing, and yields the path of each piece.

        The first piece of a plan is recorded at once, so that whoever starts it sees that it works.

        Raises:
            MonitorError: if the first piece cannot be recorded.
        """
        plan = self._plan
        if not plan.done:
            yield from self._run(Run(self._clock.time(), 0.0, 1))
        plan.save(self._folder)
        while not plan.complete:
            until = plan.until
            run = plan.next_run(self._clock.time(), self._chance)
            plan.save(self._folder)
            if plan.until > until + 1:
                log.warning("The period is over before all is recorded: it goes on until %s.", local_time(plan.until))
            if self._wait(run):
                yield from self._run(run)

    def _wait(self, run: Run) -> bool:
        """Waits for a run; returns False if its time has passed meanwhile, or the clock was set back."""
        self._waiting(run.at)
        last = self._clock.time()
        while (now := self._clock.time()) < run.at:
            if now < last - self._plan.piece_s:
                log.warning("The clock was set back: the next piece is planned anew.")
                self._plan.planned_until = min(self._plan.planned_until, now)
                return False
            last = now
            self._clock.sleep(min(STEP_S, run.at - now))
        if now > run.latest:
            log.warning("The piece of %s was missed; it is made up for later.", local_time(run.at))
            return False
        return True

    def _run(self, run: Run) -> Iterator[Path]:
        plan, quality = self._plan, QualityCheck(self._rate)
        try:
            for piece in self._pieces(run):
                defect = quality.defect_of(piece)
                if defect is not None and defect.kind == "silent":
                    raise DataError(f"There is no sound to learn from: {defect.advice}")
                began = self._clock.time() - len(piece) / self._rate
                name = datetime.datetime.fromtimestamp(began, datetime.UTC).strftime("normal_%Y%m%dT%H%M%SZ")
                if defect is not None:
                    log.warning("%s: %s", name, defect.advice)
                path = write_recording(self._folder / f"{name}.{self._suffix}", piece, self._rate)
                plan.done += 1
                plan.save(self._folder)
                if self._failure:
                    log.warning("Pieces are recorded again.")
                    self._failure = ""
                yield path
        except MonitorError as error:
            if not plan.done or isinstance(error, ConfigError):
                raise
            if self._failure != str(error):
                self._failure = str(error)
                log.warning("%s What is missed meanwhile is made up for later.", error)

    def _pieces(self, run: Run) -> Iterator[FloatArray]:
        with contextlib.closing(self._capture(run.pieces)) as pieces:  # so that the microphone is closed at once
            yield from pieces


def local_time(at: float) -> str:
    """A Unix time as local weekday, date and time of day."""
    return time.strftime("%a %Y-%m-%d %H:%M:%S", time.localtime(at))
