"""The verdict on a recording that has ended, with its reason in plain words."""

from __future__ import annotations

import math
from dataclasses import dataclass
from enum import StrEnum

from monitor.core.events import CAUSES, Event
from monitor.core.text import band_list, counted, duration_text
from monitor.detection.recording import RecordingResult

TOO_SHORT = "too short to judge as a whole"
_ROOM = 60  # characters for the frequencies of an anomaly


class Word(StrEnum):
    """The verdict in a word."""

    NORMAL = "NORMAL"
    SUSPICIOUS = "SUSPICIOUS"  # above the limit for recordings, but not an anomaly
    ANOMALY = "ANOMALY"  # with an alarm, or as a whole above all normal recordings
    UNKNOWN = "UNKNOWN"


@dataclass(frozen=True, slots=True)
class Verdict:
    """A verdict and its reason."""

    word: Word
    reason: str  # a part of a sentence; empty where there is nothing to say


def verdict(result: RecordingResult, limit: float) -> Verdict:
    """The verdict on a recording.

    Args:
        result: the result of the recording.
        limit: the limit of the score of a whole recording of this length; NaN if it is too short for one.
    """
    if result.anomalies:
        return Verdict(Word.ANOMALY, _of_anomalies(result))
    if result.new_mode_s:
        return Verdict(Word.UNKNOWN, f"an operating mode not heard in training, {duration_text(result.new_mode_s)}")
    if math.isnan(result.score) and math.isnan(result.highest_share):
        return Verdict(Word.UNKNOWN, "too short")
    if math.isnan(result.score):
        return Verdict(Word.NORMAL, f"no alarm, but {TOO_SHORT}")
    if math.isnan(limit):
        if math.isnan(result.highest_share):
            return Verdict(Word.UNKNOWN, TOO_SHORT)
        return Verdict(Word.NORMAL, f"no alarm, but {TOO_SHORT}")
    if result.off_s:
        return Verdict(Word.NORMAL, f"no alarm; the machine was off for {duration_text(result.off_s)}")
    if result.score >= limit:
        return Verdict(Word.SUSPICIOUS, "above the limit as a whole, but no alarm")
    return Verdict(Word.NORMAL, "")


def _of_anomalies(result: RecordingResult) -> str:
    parts = [] if result.anomalies == 1 else [counted(result.anomalies, "anomaly", "anomalies")]
    return ", ".join([*parts, *(_why(result.worst) if result.worst else ())])


def _why(event: Event) -> list[str]:
    """The cause of an anomaly, and its frequencies."""
    return [part for part in (CAUSES.get(event.cause, ""), band_list(event.bands, _ROOM)) if part]
