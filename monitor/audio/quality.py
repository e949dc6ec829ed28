"""Checks whether sound can be used for training and calibration: not silent, not clipped, and of a steady level."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from monitor.audio.level import dbfs
from monitor.audio.sound_facts import SoundFacts, count_clipped
from monitor.core.types import FloatArray

SILENT_DBFS = -80.0  # RMS level of a 16-bit recording with a range of three quantization steps
SILENT_PEAK = 1e-5  # a 16-bit recording that is not constant has a peak (half of its range) of at least 1.5e-5
CLIPPED_SHARE = 1e-3  # share of samples at full scale; a loud moment or a normalised peak has fewer
LEVEL_CHANGE_DB = 3.0  # between the median levels of the first and the last third
LEVEL_SPREAD_DB = 6.0  # between the 10th and the 90th percentile of the levels of all seconds


def recording_defect(facts: SoundFacts) -> str | None:
    """Why a recording cannot be learnt from: a few words or a sentence, with a full stop; None if it can."""
    if facts.cancelled:
        return (
            "silent, because its channels cancel each other: choose one of them, with --channel or, to train, with "
            "--set features.channel=0."
        )
    if facts.peak < SILENT_PEAK:
        return "silent."
    if facts.clipped_share > CLIPPED_SHARE:
        return f"clipped ({facts.clipped_share:.1%} of its samples are at full scale)."
    return None


def channel_note(facts: SoundFacts) -> str:
    """What is wrong with the channels of a recording that is heard as their mean: a sentence, "" if nothing is."""
    if facts.cancelled:
        return "its channels cancel each other, so that little is heard of them: choose one of them."
    if len(facts.dead_channels) == 1:
        return f"channel {facts.dead_channels[0]} (counted from 0) is silent: is its microphone connected?"
    if facts.dead_channels:
        numbers = ", ".join(map(str, facts.dead_channels))
        return f"channels {numbers} (counted from 0) are silent: are their microphones connected?"
    return ""


@dataclass(frozen=True, slots=True)
class Defect:
    """A reason why sound cannot be used for training or calibration."""

    kind: str  # "silent", "clipped" or "unsteady"
    advice: str  # what is wrong and what to do; a sentence in which "it" is the sound


class QualityCheck:
    """Checks consecutive pieces of sound, each by itself and all together."""

    def __init__(self, sample_rate: int) -> None:
        self._rate = sample_rate
        self._levels: list[float] = []  # RMS level of each second in dBFS, without a constant offset

    def defect_of(self, samples: FloatArray) -> Defect | None:
        """The defect of the next piece of sound (n,) by itself; None if it has none."""
        seconds = samples[: len(samples) // self._rate * self._rate].reshape(-1, self._rate)
        levels = [dbfs(float(np.std(second, dtype=np.float64))) for second in seconds]  # without a constant offset
        self._levels += levels
        if samples.max() == samples.min() or (levels and max(levels) < SILENT_DBFS):
            return Defect("silent", "it is silent: check that the microphone is not muted or turned down.")
        clipped = count_clipped(samples) / len(samples)
        if clipped > CLIPPED_SHARE:
            return Defect(
                "clipped",
                f"it is clipped ({clipped:.1%} of the samples are at full scale): turn the microphone's level down.",
            )
        return None

    def unsteadiness(self) -> Defect | None:
        """The defect of all pieces so far together, if their level is not steady enough; otherwise None."""
        levels = np.asarray(self._levels)
        if len(levels) < 3:
            return Defect("unsteady", "it is too short: at least three seconds are needed.")
        third = len(levels) // 3
        first, last = float(np.median(levels[:third])), float(np.median(levels[-third:]))
        quiet, loud = (float(level) for level in np.percentile(levels, (10, 90)))
        if abs(last - first) > LEVEL_CHANGE_DB:
            return Defect(
                "unsteady",
                f"its level changed from {first:.0f} to {last:.0f} dBFS: let the machine run as it usually does.",
            )
        if loud - quiet > LEVEL_SPREAD_DB:
            return Defect(
                "unsteady",
                f"its level varies between {quiet:.0f} and {loud:.0f} dBFS: let the machine run evenly, without "
                "other noise, or record all of its usual operation and calibrate with the recordings.",
            )
        return None
