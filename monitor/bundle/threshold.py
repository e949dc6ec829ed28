"""Thresholds, with the data that they were found from."""

from __future__ import annotations

import datetime
import math
from collections.abc import Sequence
from typing import Literal

import numpy as np
from pydantic import BaseModel, ConfigDict, Field, field_validator

from monitor.config.schema import Sensitivity
from monitor.core.text import counted

# "score": of a stream's anomaly score, for sudden anomalies; "error": of its rolling reconstruction error;
# "recording": of the score of a whole recording; "cusum": of the cumulative sum, for lasting anomalies.
THRESHOLDS = ("score", "error", "recording", "cusum")

# For a threshold without values for other rates: factors that roughly correspond to them.
FACTORS: dict[Sensitivity, float] = {"low": 1.25, "normal": 1.0, "high": 0.8}

SAME_LENGTH = 0.98  # share of a length from which on it counts as the same
# The limit of an older bundle is for pieces of recordings of at most this length, or for the recordings if they were
# shorter. It is applied to recordings that are not much shorter.
OLD_PIECE_S, NOT_MUCH_SHORTER = 10.0, 0.8


class ShorterLimit(BaseModel):
    """By how much the scores of shorter recordings are higher."""

    model_config = ConfigDict(frozen=True, extra="forbid", strict=True, allow_inf_nan=False)

    seconds: float = Field(gt=0)  # length of the recordings
    factor: float = Field(ge=1)  # their limit as a multiple of `Threshold.value`
    highest: float | None = Field(None, ge=1)  # the same for `Threshold.highest`


class Threshold(BaseModel):
    """A threshold with the method and the data that it was found from. The fields are stored in bundles."""

    model_config = ConfigDict(frozen=True, extra="forbid", strict=True, allow_inf_nan=False)

    value: float = Field(ge=0)
    method: Literal["normal", "labelled"]  # as calibration.method
    recordings: int = Field(ge=0)  # number of recordings that it was found from
    seconds: float = Field(ge=0)  # of sound in these recordings
    expected: float = Field(ge=0)  # false alarms a day; for "recording" the false-positive rate
    upper: float | None = Field(None, ge=0)  # 95 % confidence bound of the false alarms a day, from that sound alone
    # The values that are exceeded ten times as often, and a tenth as often, as `expected`; unknown in older bundles.
    tenfold: float | None = Field(None, ge=0)
    tenth: float | None = Field(None, ge=0)
    more_s: float | None = Field(None, ge=0)  # of further normal sound without an alarm that prove `expected`
    # Of "recording": the length of the recordings that `value` is for, and what shorter ones have, shortest first.
    length_s: float | None = Field(None, ge=0)
    shorter: list[ShorterLimit] = Field(default_factory=list, max_length=20)
    # Of "recording": what hardly any normal recording of that length exceeds. Unknown in older bundles, and where there
    # were too few recordings.
    highest: float | None = Field(None, ge=0)
    note: str = Field("", max_length=1000)  # how it was found, in a few words for the user
    date: str = Field("", max_length=100)  # when it was found, in ISO format

    @field_validator("note", "date")
    @classmethod
    def _one_line(cls, text: str) -> str:
        if not text.isprintable():
            raise ValueError("it has to be one line of printable characters")
        return text

    def at(self, sensitivity: Sensitivity) -> float:
        """The threshold for a sensitivity: exceeded a tenth as often as `expected`, as often, or ten times as often."""
        stored = {"low": self.tenth, "normal": self.value, "high": self.tenfold}[sensitivity]
        return self.value * FACTORS[sensitivity] if stored is None else stored

    def length_factor(self, seconds: float) -> float:
        """By how much the limit of a recording of this length is higher than `value`; NaN if it is too short to judge.

        The shorter a recording is, the less its score averages out. Between known lengths the factor is interpolated on
        logarithmic scales. Recordings that are longer than those that the value was found from have the same limit.
        """
        if self.length_s is None:
            usual = min(OLD_PIECE_S, self.seconds / self.recordings) if self.recordings else 0.0
            return 1.0 if seconds >= NOT_MUCH_SHORTER * usual else math.nan
        return _at_length(seconds, self.length_s, [(one.seconds, one.factor) for one in self.shorter])

    def highest_at(self, seconds: float) -> float:
        """What hardly any normal recording of this length exceeds; NaN if that is not known."""
        if self.highest is None or self.length_s is None:
            return math.nan
        shorter = [(one.seconds, one.highest) for one in self.shorter if one.highest is not None]
        return self.highest * _at_length(seconds, self.length_s, shorter)

    def age_note(self, today: datetime.date | None = None) -> str:
        """The note with the age of the threshold in days; `today` is for tests."""
        try:
            days = ((today or datetime.date.today()) - datetime.date.fromisoformat(self.date)).days
        except ValueError:
            return self.note
        return f"{self.note}, {'today' if days <= 0 else counted(days, 'day') + ' ago'}"


def _at_length(seconds: float, length_s: float, shorter: Sequence[tuple[float, float]]) -> float:
    """The factor for recordings of a length; NaN if they are too short.

    Args:
        seconds: their length.
        length_s: the length from which on the factor is 1.
        shorter: shorter lengths with their factors, shortest first.
    """
    if seconds >= SAME_LENGTH * length_s:
        return 1.0
    lengths = [*(length for length, _ in shorter), length_s]
    if seconds < SAME_LENGTH * lengths[0]:
        return math.nan
    logs = [math.log(factor) for _, factor in shorter]
    return math.exp(float(np.interp(math.log(seconds), np.log(lengths), [*logs, 0.0])))
