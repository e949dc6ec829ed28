"""The normal recordings that raise the limits: those with the highest scores, and where in them."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from monitor.config.schema import Config
from monitor.core.types import DoubleArray
from monitor.detection.alarm_rules import kth_of_last, rows_per_decision
from monitor.scoring.scorer import rolling_length

NAMED = 3  # recordings that are named for each limit


@dataclass(frozen=True, slots=True)
class Place:
    """A part of a recording: its file, its first second, and the number of the alarm's decisions before it."""

    path: Path
    at_s: float = 0.0
    decisions_before: int = 0


Named = list[tuple[str, float, float]]  # name of a recording, second, and score


def of_stream(scores: Iterable[tuple[Place, DoubleArray]], config: Config) -> Named:
    """The recordings with the highest scores that sudden anomalies are decided by, the highest first.

    Args:
        scores: places, with the scores (d,) of the decisions there.
        config: settings of the model.

    Returns:
        at most NAMED recordings; the seconds are the ends of the sound that was scored.
    """
    hop_s, alarm = config.features.hop_s, config.alarm
    first, step = rolling_length(config.score, config.features), rows_per_decision(alarm, config.features.hop_s)

    def found() -> Iterator[tuple[Path, float, float]]:
        for place, values in scores:
            if len(values):
                of_alarm = kth_of_last(values, min(alarm.k, len(values)), min(alarm.n, len(values)))
                best = int(np.argmax(of_alarm))
                at_s = (first + (place.decisions_before + best) * step) * hop_s
                yield place.path, at_s, float(of_alarm[best])

    return _highest(found())


def of_recordings(scores: Iterable[tuple[Place, float]]) -> Named:
    """The recordings with the highest scores as a whole, the highest first; of long ones, the part that was scored."""
    return _highest((place.path, place.at_s, score) for place, score in scores if not np.isnan(score))


def _highest(found: Iterable[tuple[Path, float, float]]) -> Named:
    best: dict[Path, tuple[float, float]] = {}
    for path, at_s, score in found:
        if path not in best or score > best[path][1]:
            best[path] = (round(at_s, 1), score)
    ranked = sorted(best.items(), key=lambda item: -item[1][1])[:NAMED]
    return [(path.name, at_s, score) for path, (at_s, score) in ranked]
