"""The values of one stream in one minute: as numbers, merged with others, and as the table has them."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

MINUTE_S = 60
STATES = ("listening", "normal", "warning", "anomaly", "off", "new_mode", "not_heard")  # seconds of each are stored
LARGEST = 32_767  # of a small integer
SILENCE_DBFS = -200.0  # stands for the level of digital silence, which is -inf


@dataclass(frozen=True, slots=True)
class MinuteRow:
    """The values of one stream in one minute, or in a part of it; NaN where there is none.

    Shares are shares of the limit (1 is the alarm); the level is in dBFS.
    """

    stream: str
    minute: int  # Unix time divided by 60
    error_mean: float = math.nan
    error_max: float = math.nan
    score_mean: float = math.nan
    score_max: float = math.nan
    share_mean: float = math.nan
    share_max: float = math.nan
    level: float = math.nan
    seconds: Mapping[str, float] = field(default_factory=dict)  # by the names in STATES

    @property
    def heard_s(self) -> float:
        """Seconds that have scores."""
        return sum(seconds for state, seconds in self.seconds.items() if state != "not_heard")

    def merged(self, other: MinuteRow) -> MinuteRow:
        """This row and another one of the same stream and minute, as one.

        A minute is written in two parts if the monitor is restarted in it. It is written twice if the clock was set
        back, or a database did not answer after it had written it: seconds above 60 are scaled down to 60.
        """
        a, b = self.heard_s, other.heard_s
        seconds = {state: self.seconds.get(state, 0.0) + other.seconds.get(state, 0.0) for state in STATES}
        scale = min(1.0, MINUTE_S / max(sum(seconds.values()), 1e-9))
        return MinuteRow(
            self.stream,
            self.minute,
            _mean(self.error_mean, a, other.error_mean, b),
            _larger(self.error_max, other.error_max),
            _mean(self.score_mean, a, other.score_mean, b),
            _larger(self.score_max, other.score_max),
            _mean(self.share_mean, a, other.share_mean, b),
            _larger(self.share_max, other.share_max),
            _mean(self.level, a, other.level, b),
            {state: scale * value for state, value in seconds.items()},
        )

    def columns(self) -> dict[str, Any]:
        """The values of the table's columns, without those of its key."""
        return {
            "error_mean": _finite(self.error_mean),
            "error_max": _finite(self.error_max),
            "score_mean": _finite(self.score_mean),
            "score_max": _finite(self.score_max),
            "share_mean": _small(1000 * self.share_mean),
            "share_max": _small(1000 * self.share_max),
            "level": _small(10 * max(self.level, SILENCE_DBFS) if self.level == self.level else math.nan),
            **{f"{state}_s": value for state, value in zip(STATES, _whole_seconds(self.seconds), strict=True)},
        }

    @classmethod
    def of_columns(cls, stream: str, minute: int, columns: Mapping[str, Any]) -> MinuteRow:
        """The row of a stream from the values of the table's columns."""

        def value(name: str, unit: float = 1.0) -> float:
            stored = columns[name]
            return math.nan if stored is None else stored * unit

        return cls(
            stream, minute, value("error_mean"), value("error_max"), value("score_mean"), value("score_max"),
            value("share_mean", 1e-3), value("share_max", 1e-3), value("level", 0.1),
            {state: float(columns[f"{state}_s"]) for state in STATES},
        )  # fmt: skip


def _whole_seconds(seconds: Mapping[str, float]) -> list[int]:
    """Seconds of all states as whole numbers, whose sum is the rounded sum: the largest remainders are rounded up."""
    exact = [max(0.0, seconds.get(state, 0.0)) for state in STATES]
    whole = [math.floor(value) for value in exact]
    missing = round(sum(exact)) - sum(whole)
    for index in sorted(range(len(exact)), key=lambda i: whole[i] - exact[i])[: max(0, missing)]:
        whole[index] += 1
    return [min(value, LARGEST) for value in whole]


def _mean(a: float, weight_a: float, b: float, weight_b: float) -> float:
    if math.isnan(a) or math.isnan(b):
        return b if math.isnan(a) else a
    total = weight_a + weight_b
    return (a * weight_a + b * weight_b) / total if total > 0 else (a + b) / 2


def _larger(a: float, b: float) -> float:
    return b if math.isnan(a) or b > a else a


def _finite(value: float) -> float | None:
    return value if math.isfinite(value) else None


def _small(value: float) -> int | None:
    """A value as a small integer; None if there is none."""
    return None if math.isnan(value) else round(max(-LARGEST, min(LARGEST, value)))
