"""Fair comparisons: rivals run in turn in one process, and what counts is the median of their ratios."""

from __future__ import annotations

import statistics
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

ROUNDS = 5
REST_S = 0.1  # before each: the threads of a rival's library may wait for more work, busily, for some time


@dataclass(frozen=True, slots=True)
class Section:
    """One part of the bench: its figures, ready for JSON, and what to print."""

    figures: dict[str, Any]
    lines: list[str]


@dataclass(frozen=True, slots=True)
class Timings:
    """Seconds of each contestant in each round; a round runs all of them, one after another."""

    rounds: Mapping[str, list[float]]

    def seconds(self, name: str) -> float:
        """The median of a contestant."""
        return statistics.median(self.rounds[name])

    def ratio(self, slow: str, fast: str) -> float:
        """How many times as long `slow` takes as `fast`: the median over rounds, so that a busy moment hits both."""
        pairs = zip(self.rounds[slow], self.rounds[fast], strict=True)
        return statistics.median(a / b for a, b in pairs)


def race(contestants: Mapping[str, Callable[[], object]], *, rounds: int = ROUNDS, warm: bool = True) -> Timings:
    """Times contestants, in turn, so many rounds; with `warm` each runs once before, uncounted."""
    if warm:
        for run in contestants.values():
            run()
    taken: dict[str, list[float]] = {name: [] for name in contestants}
    for _ in range(rounds):
        for name, run in contestants.items():
            time.sleep(REST_S)
            began = time.perf_counter()
            run()
            taken[name].append(time.perf_counter() - began)
    return Timings(taken)


def against(ratio: float, target: float) -> str:
    """A ratio beside the one that is aimed at."""
    return f"{ratio:5.1f} times as fast (aim: {target:g})"
