"""How loud and how long the mel frames of recordings are, to notice arrays that were made with other settings.

An array (.npy) does not say how it was made. Twice the n_fft gives 6 dB more power, and another hop_length another
number of frames.
"""

from __future__ import annotations

import logging
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from typing import Any

import numpy as np

from monitor.bundle.bundle import Bundle
from monitor.config.schema import Features
from train.data.feature_cache import Frames
from train.data.mel_arrays import ArrayFrames

SAMPLED = 200  # recordings that are measured, evenly spaced
SAMPLED_FRAMES = 4096  # frames that are measured of each
LEAST_POWER = 1e-12
LEVEL_DB = 3.0  # a larger difference of the mean levels is noticed, if it is also more than recordings differ
LENGTH_FACTOR = 1.5  # how much shorter than the shortest, or longer than the longest, recordings may be

log = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class FrameScale:
    """The level and the length of the recordings in a set."""

    level_db: float  # mean of the power of all bands and frames in dB
    spread_db: float  # standard deviation of that mean between recordings
    fewest: int  # frames of the shortest recording
    most: int  # frames of the longest recording

    @classmethod
    def of(cls, recordings: Sequence[Frames]) -> FrameScale:
        """Measures at least one recording."""
        sample = recordings[:: -(-len(recordings) // SAMPLED)]
        powers = (np.array(frames.power[:SAMPLED_FRAMES]) for frames in sample)
        levels = np.array([float(10 * np.log10(np.maximum(power, LEAST_POWER)).mean()) for power in powers])
        lengths = [len(frames.power) for frames in recordings]
        return cls(float(levels.mean()), float(levels.std()), min(lengths), max(lengths))

    def difference(self, trained: FrameScale) -> str:
        """In what this set differs from the one trained on: part of a sentence, "" if in nothing that matters."""
        found: list[str] = []
        louder = self.level_db - trained.level_db
        if abs(louder) > max(LEVEL_DB, trained.spread_db):
            found.append(f"they are {abs(louder):.1f} dB {'louder' if louder > 0 else 'quieter'} on average")
        if self.most * LENGTH_FACTOR < trained.fewest or self.fewest > LENGTH_FACTOR * trained.most:
            found.append(f"they have {_range(self)} frames each, not {_range(trained)}")
        return ", and ".join(found)


def scale_facts(recordings: Sequence[Frames], features: Features) -> dict[str, Any]:
    """What a bundle stores of the recordings that it was trained on; with arrays, also how they are taken to be made.

    Logs a warning if arrays are another scale than the sound beside them.
    """
    arrays, sound = _arrays(recordings), [f for f in recordings if not isinstance(f.power, ArrayFrames)]
    facts: dict[str, Any] = asdict(FrameScale.of(recordings)) | {"arrays": len(arrays)}
    if arrays:
        facts["assumed"] = {name: getattr(features, name) for name in ("sample_rate", "n_fft", "hop_length", "fmin")}
        facts["assumed"]["fmax"] = features.f_top
        _log_assumption(features)
        if sound:
            _warn(FrameScale.of(arrays).difference(FrameScale.of(sound)), "the sound beside them")
    return facts


def compare_scale(bundle: Bundle, recordings: Sequence[Frames]) -> None:
    """Logs how arrays among recordings are taken to be made, and a warning if they differ from the trained ones."""
    facts = bundle.provenance.get("frames")
    trained = _stored(facts)
    arrays = _arrays(recordings)
    if arrays:
        _log_assumption(bundle.config.features)
    elif isinstance(facts, Mapping) and facts.get("arrays"):
        arrays = list(recordings)  # sound for a model of arrays
    if arrays and trained is not None:
        _warn(FrameScale.of(arrays).difference(trained), "the recordings that the model was trained on")


def _arrays(recordings: Sequence[Frames]) -> list[Frames]:
    return [frames for frames in recordings if isinstance(frames.power, ArrayFrames)]


def _stored(facts: object) -> FrameScale | None:
    """The scale that a bundle stores; None if it stores none."""
    if not isinstance(facts, Mapping):
        return None
    numbers = [facts.get(name) for name in ("level_db", "spread_db", "fewest", "most")]
    if not all(type(number) in (int, float) for number in numbers):
        return None
    return FrameScale(*numbers)  # type: ignore[arg-type]


def _log_assumption(features: Features) -> None:
    log.info(
        "Arrays (.npy) do not say how they were made: sample_rate %d, bands up to %.0f Hz, n_fft %d and hop_length %d "
        "are assumed.",
        features.sample_rate,
        features.f_top,
        features.n_fft,
        features.hop_length,
    )


def _warn(difference: str, others: str) -> None:
    if difference:
        log.warning(
            "The arrays (.npy) may have been made with other settings than %s: %s. If so, scores mean nothing: "
            "make them all with the same n_fft and hop_length, and train with these settings.",
            others,
            difference,
        )


def _range(scale: FrameScale) -> str:
    return str(scale.fewest) if scale.fewest == scale.most else f"{scale.fewest} to {scale.most}"
