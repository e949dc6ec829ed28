"""Thresholds, with the data that they were found from."""

from __future__ import annotations

import datetime
from typing import Literal

from pydantic import BaseModel, ConfigDict, Field

from monitor.core.text import counted

# "score": of a stream's anomaly score, for sudden anomalies; "error": of its rolling reconstruction error;
# "recording": of the score of a whole recording; "cusum": of the cumulative sum, for lasting anomalies.
THRESHOLDS = ("score", "error", "recording", "cusum")


class Threshold(BaseModel):
    """A threshold with the method and the data that it was found from. The fields are stored in bundles."""

    model_config = ConfigDict(frozen=True, extra="forbid", strict=True, allow_inf_nan=False)

    value: float = Field(ge=0)
    method: Literal["normal", "labelled"]  # as calibration.method
    recordings: int = Field(ge=0)  # number of recordings that it was found from
    seconds: float = Field(ge=0)  # of sound in these recordings
    expected: float = Field(ge=0)  # false alarms a day; for "recording" the false-positive rate
    upper: float | None = Field(None, ge=0)  # 95 % confidence bound of the false alarms a day, from that sound alone
    more_s: float | None = Field(None, ge=0)  # of further normal sound without an alarm that prove `expected`
    note: str = Field("", max_length=1000)  # how it was found, in a few words for the user
    date: str = Field("", max_length=100)  # when it was found, in ISO format

    def age_note(self, today: datetime.date | None = None) -> str:
        """The note with the age of the threshold in days; `today` is for tests."""
        try:
            days = ((today or datetime.date.today()) - datetime.date.fromisoformat(self.date)).days
        except ValueError:
            return self.note
        return f"{self.note}, {'today' if days <= 0 else counted(days, 'day') + ' ago'}"
