"""Timing comparisons: candidates run alternately in one process, and are compared by the median of their ratios."""

from __future__ import annotations

import statistics
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any

from monitor.bench.targets import Target

ROUNDS = 5
REST_S = 0.1  # pause before each run, because threads of the library timed before may still be busy-waiting


@dataclass(frozen=True, slots=True)
class Section:
    """The result of one section of the benchmark."""

    figures: dict[str, Any]  # for the JSON output
    lines: list[str]  # to print
    targets: list[Target] = field(default_factory=list)


@dataclass(frozen=True, slots=True)
class Timings:
    """The times of candidates. A round runs all candidates once, one after another."""

    rounds: Mapping[str, list[float]]  # seconds of each candidate in each round

    def seconds(self, name: str) -> float:
        """The median time of a candidate."""
        return statistics.median(self.rounds[name])

    def ratio(self, slow: str, fast: str) -> float:
        """The time of `slow` divided by that of `fast`: the median of the rounds, because other load affects both."""
        pairs = zip(self.rounds[slow], self.rounds[fast], strict=True)
        return statistics.median(a / b for a, b in pairs)


def time_all(candidates: Mapping[str, Callable[[], object]], *, rounds: int = ROUNDS, warm: bool = True) -> Timings:
    """Times candidates alternately.

    Args:
        candidates: functions to time, by name.
        rounds: how many times each is timed.
        warm: whether to run each once before, without timing it.
    """
    if warm:
        for run in candidates.values():
            run()
    seconds: dict[str, list[float]] = {name: [] for name in candidates}
    for _ in range(rounds):
        for name, run in candidates.items():
            time.sleep(REST_S)
            began = time.perf_counter()
            run()
            seconds[name].append(time.perf_counter() - began)
    return Timings(seconds)
