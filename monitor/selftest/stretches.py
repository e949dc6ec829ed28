"""Stretches of normal sound: pieces of ten seconds that sound alike, joined, under which faults are mixed."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from monitor.core.errors import DataError
from monitor.core.text import counted
from monitor.core.types import FloatArray
from monitor.normal_sound.pieces import Piece, read_piece

NEWEST_S = 7 * 86_400.0  # pieces from so long before the newest one are used
LEAST_PIECES = 3
CROSS_FADE_S = 0.25  # a hard join would be a click, and a pause in the machine's tones


def newest(pieces: Sequence[Piece], sample_rate: int) -> list[Piece]:
    """The pieces of the newest week of a reservoir, ordered by time.

    Args:
        pieces: all of them.
        sample_rate: of the model; pieces at another one are left out.

    Raises:
        DataError: if there are too few.
    """
    usable = [one for one in pieces if one.sample_rate == sample_rate]
    found = [one for one in usable if one.began >= usable[-1].began - NEWEST_S]
    if len(found) < LEAST_PIECES:
        others = len(pieces) - len(usable)
        left_out = f" at the model's {sample_rate} Hz ({others} at another rate)" if others else ""
        raise DataError(
            f"there are only {counted(len(found), 'piece')} of its normal sound{left_out}, and a self-test needs "
            f"{LEAST_PIECES}: they are gathered while `monitor live` runs (normal.every_s)."
        )
    return found


def choose(pieces: Sequence[Piece], count: int, length: int) -> list[list[Piece]]:
    """Chooses stretches from all times of the pieces, each of pieces that sound most alike.

    So the machine runs in the same way throughout a stretch, as far as there are enough such pieces.

    Args:
        pieces: at least one, ordered by time.
        count: the number of stretches.
        length: the number of pieces in each. If there are fewer, they are repeated.

    Returns:
        the stretches, each ordered by time.
    """
    firsts = np.unique(np.linspace(0, len(pieces) - 1, min(count, len(pieces))).round().astype(int))
    chosen = []
    for first in firsts.tolist():
        distances = [_distance(pieces[first], one, abs(first - i)) for i, one in enumerate(pieces)]
        alike = sorted(sorted(range(len(pieces)), key=distances.__getitem__)[:length])
        chosen.append([pieces[alike[i % len(alike)]] for i in range(length)])
    return chosen


def _distance(piece: Piece, other: Piece, steps: int) -> tuple[float, int]:
    """How different two pieces are: by their spectra in dB, else by the number of pieces between them."""
    a, b = piece.spectrum_db, other.spectrum_db
    if a is None or b is None or a.shape != b.shape:
        return (0.0 if piece is other else np.inf), steps
    return float(np.sqrt(np.mean((a - b) ** 2))), steps


def joined(sounds: Sequence[FloatArray], samples: int, sample_rate: int) -> FloatArray:
    """Joins sounds (n,) by cross-fades of equal power, and cuts or repeats the result to so many samples."""
    fade = min(round(CROSS_FADE_S * sample_rate), *(len(one) // 3 for one in sounds))
    rising = np.sin(0.5 * np.pi * (np.arange(fade) + 0.5) / max(fade, 1)).astype(np.float32)
    result = np.zeros(samples, np.float32)
    at = number = 0
    while at < samples:
        sound = sounds[number % len(sounds)].copy()
        sound[: fade if number else 0] *= rising[: fade if number else 0]
        sound[len(sound) - fade :] *= rising[::-1]
        part = sound[: samples - at]
        result[at : at + len(part)] += part
        at += len(sound) - fade
        number += 1
    return result


def read(pieces: Sequence[Piece]) -> list[FloatArray]:
    """Reads the sounds (n,) of pieces; those that were replaced meanwhile are left out.

    Raises:
        DataError: if none can be read.
    """
    sounds: list[FloatArray] = []
    failure: DataError | None = None
    for one in pieces:
        try:
            sounds.append(read_piece(one))
        except DataError as error:
            failure = error
    if not sounds:
        raise failure or DataError("there is no normal sound.")
    return sounds
