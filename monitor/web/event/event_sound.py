"""The sounds of an event for A-B listening: the event and normal sound at the same gain, whole and in some bands."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import soundfile
import soxr

from monitor.audio.reader import read_blocks
from monitor.audio.writer import as_int16
from monitor.core.events import Band
from monitor.core.types import FloatArray
from monitor.web.event.band_filter import common_gain_db, only_bands

PLAYABLE = (8_000, 96_000)  # sample rates in Hz that all browsers play
FADE_S = 0.02  # where the normal piece begins again
LONGEST_S = 600.0  # of a clip that is looked at and played; the file itself may be longer


@dataclass(frozen=True, slots=True)
class Pair:
    """Two sounds of equal length to compare, at the same gain."""

    event: FloatArray  # (n,)
    normal: FloatArray | None  # (n,) repeated as often as needed; None: there is none to compare with
    gain_db: float  # that both have already


def read_clip(path: Path, rate: int) -> FloatArray:
    """The first minutes of a clip at a sample rate: (n,).

    Raises:
        DataError: if it cannot be read.
    """
    longest, count = round(LONGEST_S * rate), 0
    blocks: list[FloatArray] = []
    for block in read_blocks(path, rate, 0):
        blocks.append(block)
        count += len(block)
        if count >= longest:
            break
    return np.concatenate([np.zeros(0, np.float32), *blocks])[:longest]


def pairs(event: FloatArray, normal: FloatArray | None, rate: int, bands: Sequence[Band]) -> dict[str, Pair]:
    """What can be listened to: "all", and "bands" if there are bands.

    Args:
        event: (n,) the clip.
        normal: (m,) normal sound, with m > 0; None: there is none.
        rate: the sample rate of both.
        bands: of the event.
    """
    beside = None if normal is None else repeated(normal, len(event), round(FADE_S * rate))
    found = {"all": _amplified(event, beside)}
    if bands:
        filtered = (
            None if normal is None else repeated(only_bands(normal, rate, bands), len(event), round(FADE_S * rate))
        )
        found["bands"] = _amplified(only_bands(event, rate, bands), filtered)
    return found


def repeated(samples: FloatArray, count: int, fade: int) -> FloatArray:
    """Sound repeated, or cut, to a number of samples; where it begins again, its end fades into its beginning.

    Args:
        samples: (m,), m > 0.
        count: samples of the result.
        fade: samples over which it is faded; not more than a quarter of the sound.
    """
    fade = min(fade, len(samples) // 4)
    if count <= len(samples) or not fade:
        return np.resize(samples, count)
    rise = np.linspace(0.0, 1.0, fade, dtype=np.float32)
    body = samples[: len(samples) - fade].copy()  # of a round: begins faded over the end of the one before
    body[:fade] = samples[:fade] * rise + samples[len(samples) - fade :] * (1 - rise)
    rounds = np.resize(body, count)
    rounds[:fade] = samples[:fade]
    return rounds


def write_sound(samples: FloatArray, rate: int, path: Path) -> None:
    """Writes samples (n,) as FLAC, at a sample rate that browsers play."""
    playable = min(max(rate, PLAYABLE[0]), PLAYABLE[1])
    if playable != rate:
        samples = np.asarray(soxr.resample(samples, rate, playable), np.float32)
    soundfile.write(path, as_int16(samples), playable, subtype="PCM_16", format="FLAC")


def _amplified(event: FloatArray, normal: FloatArray | None) -> Pair:
    gain_db = common_gain_db([event] if normal is None else [event, normal])
    gain = np.float32(10 ** (gain_db / 20))
    return Pair(event * gain, None if normal is None else normal * gain, gain_db)
