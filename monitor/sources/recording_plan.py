"""The plan of a recording whose pieces are spread over days: when the next one is due, and what is done."""

from __future__ import annotations

import json
import math
import random
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Self

from monitor.core.atomic_io import write_atomically
from monitor.core.errors import ConfigError, DataError
from monitor.core.text import counted, duration_text

PLAN = "recording-plan.json"  # in the folder of the recordings
OPENING_S = 5.0  # that opening a microphone may take


@dataclass(frozen=True, slots=True)
class Run:
    """Pieces to be recorded one after another."""

    at: float  # Unix time
    latest: float  # Unix time from which on it counts as missed
    pieces: int


@dataclass(slots=True)
class RecordingPlan:
    """Divides the time that remains into as many slots as runs remain; each run is at a random moment of its slot.

    So every part of the period is represented. What was missed, because the computer was off or the microphone was
    lost, is spread over the time that remains. Runs are single pieces, unless these would follow each other so closely
    that opening the microphone each time took too long. Times are Unix times: changes to summer time do no harm.

    Attributes:
        pieces: number of pieces to record.
        over_s: the period.
        piece_s: length of a piece.
        began: when the period began.
        until: when it ends; later than planned if too little time remained for what was missed.
        planned_until: the time up to which slots have been planned.
        done: number of pieces that are recorded.
    """

    pieces: int
    over_s: float
    piece_s: float
    began: float
    until: float
    planned_until: float
    done: int = 0

    @classmethod
    def new(cls, pieces: int, over_s: float, piece_s: float, now: float) -> Self:
        """A plan for a period that begins now."""
        return cls(pieces, over_s, piece_s, now, now + over_s, now)

    @classmethod
    def load(cls, folder: Path) -> Self | None:
        """The plan in a folder of recordings; None if there is none.

        Raises:
            DataError: if it cannot be read.
        """
        path = folder / PLAN
        try:
            plan = cls(**json.loads(path.read_text(encoding="utf-8")))
            numbers = all(math.isfinite(value) for value in asdict(plan).values())
            counts = isinstance(plan.pieces, int) and isinstance(plan.done, int)
            if not (numbers and counts and 0 <= plan.done <= plan.pieces and plan.over_s > 0 and plan.piece_s > 0):
                raise ValueError
        except FileNotFoundError:
            return None
        except NotADirectoryError:
            raise DataError(f"{folder}: is no folder: choose another one for the recordings.") from None
        except OSError as error:
            raise DataError(f"{path}: cannot be read: {error.strerror}.") from None
        except (ValueError, TypeError, RecursionError):
            raise DataError(f"{path}: is damaged: delete it, and a new recording begins in {folder}.") from None
        return plan

    def save(self, folder: Path) -> None:
        """Writes the plan into the folder of the recordings, whole.

        Raises:
            MonitorError: if it cannot be written.
        """
        write_atomically(folder / PLAN, json.dumps(asdict(self), indent=1).encode())

    def require_same(self, folder: Path, pieces: int, over_s: float) -> None:
        """Checks that a command goes on with this plan.

        Raises:
            ConfigError: if it asks for another amount or another period.
        """
        if (pieces, over_s) != (self.pieces, self.over_s):
            minutes, over = self.pieces * self.piece_s / 60, duration_text(self.over_s)
            raise ConfigError(
                f"{folder}: a recording of {minutes:g} minutes over {over} is in this folder already "
                f"({self.done} of {counted(self.pieces, 'piece')}): give these to go on with it, or another --out."
            )

    @property
    def complete(self) -> bool:
        """Whether all pieces are recorded."""
        return self.done >= self.pieces

    @property
    def distance_s(self) -> float:
        """The mean time from one piece to the next, as it was planned."""
        return self.over_s / self.pieces

    def next_run(self, now: float, chance: random.Random) -> Run:
        """Plans the next run: at a random moment of the next slot, which begins now if the last one is over.

        If the time that remains is too short for what is missing, the period is extended (`until`).
        """
        remaining = self.pieces - self.done
        if self.until - now > 2 * self.over_s:  # the clock was set back, as it is at the start of some computers
            self.planned_until, self.until = now, now + self.distance_s * remaining
        begin = max(now, self.planned_until)
        if self.until - begin < min(self.distance_s, 2 * self.piece_s) * remaining - 1e-6:
            self.until = begin + self.distance_s * remaining
        distance = (self.until - begin) / remaining
        count = min(remaining, self._pieces_at_once(distance))
        self.planned_until = begin + distance * count
        free = max(0.0, distance * count - count * self.piece_s - min(OPENING_S, self.piece_s / 2))
        at = begin + chance.uniform(0.0, free)
        return Run(at, max(self.planned_until, at + self.piece_s), count)

    def _pieces_at_once(self, distance_s: float) -> int:
        """The number of pieces in a run, so that its slot leaves time to open the microphone."""
        spare = distance_s - self.piece_s
        if spare >= min(self.piece_s, OPENING_S):
            return 1
        return self.pieces if spare <= 0 else math.ceil(OPENING_S / spare)
