"""Recordings that do not suit the settings of a model: those of a low sample rate, and those with dead channels."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from monitor.audio.bandwidth import highest_hz, is_narrow, narrow_note
from monitor.audio.quality import channel_note
from monitor.config.schema import Features
from monitor.core.errors import DataError
from monitor.core.text import counted
from train.data.feature_cache import Frames


def without_narrow(recordings: Sequence[Frames], features: Features) -> tuple[list[Frames], list[tuple[Path, str]]]:
    """Separates recordings of a low sample rate, from which a model would learn that its highest bands are silent.

    Returns:
        the other recordings, and those of a low sample rate with the reason.

    Raises:
        DataError: if all are of a low sample rate.
    """
    kept = [frames for frames in recordings if not is_narrow(frames.sound.sample_rate, features)]
    narrow = [frames for frames in recordings if is_narrow(frames.sound.sample_rate, features)]
    if narrow and not kept:
        highest = highest_hz(min(frames.sound.sample_rate for frames in narrow))
        raise DataError(
            f"{narrow[0].path}: {narrow_note(narrow[0].sound.sample_rate, features)}, and "
            f"{counted(len(narrow), 'such recording')} are all that can be used: record at "
            f"{features.sample_rate} samples a second, or train a model with --set features.fmax={highest:.0f}."
        )
    return kept, [(frames.path, f"{narrow_note(frames.sound.sample_rate, features)}.") for frames in narrow]


def suitability_notes(recordings: Sequence[Frames], features: Features) -> list[tuple[Path, str]]:
    """What the user should know of recordings that are used: recordings, each with a sentence."""
    notes: list[tuple[Path, str]] = []
    for frames in recordings:
        if note := narrow_note(frames.sound.sample_rate, features):
            notes.append((frames.path, f"{note}: its score is not comparable with the limit."))
        if note := channel_note(frames.sound):
            notes.append((frames.path, note))
    return notes
