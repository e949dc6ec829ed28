"""What the page of an event shows of its clip: pictures, the score over time, contributions of bands, and sounds."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import soxr

from monitor.bundle.bundle import Bundle
from monitor.config.schema import Features
from monitor.core.errors import DataError
from monitor.core.events import Band
from monitor.core.types import DoubleArray, FloatArray
from monitor.features.mel import band_centres
from monitor.features.normalization import Normalization
from monitor.normal_sound.pieces import nearest, pieces_of, power_in_db, read_piece
from monitor.normal_sound.quarantine import QUARANTINE
from monitor.outputs.rescoring import anomalous_frames, contributions_of, rescore, typical_mean
from monitor.store.records import StoredEvent
from monitor.streaming.hops import FrameStream
from monitor.web.event.event_sound import LONGEST_S, Pair, pairs, read_clip, write_sound
from monitor.web.event.spectrogram_image import difference, heat

POINTS = 700  # of the curve of scores
TICKS_HZ = (31, 63, 125, 250, 500, 1000, 2000, 4000, 8000, 16000, 32000, 64000)
TICKS_APART = 0.09  # of the height of a picture
SMALLEST_SCALE_DB = 6.0  # of the picture of differences, so that small ones are not blown up

Facts = dict[str, Any]  # for the page, as JSON


@dataclass(frozen=True, slots=True)
class Span:
    """The place of an anomaly in its clip, in seconds from the clip's beginning."""

    began: float
    reported: float
    ended: float  # the clip's end, if it ends later

    @classmethod
    def of(cls, event: StoredEvent, length_s: float) -> Span:
        """The place of an event in a clip of this length."""
        start = event.onset if event.clip_start is None else event.clip_start
        ended = math.inf if event.ended is None else event.ended
        return cls(*(min(max(one - start, 0.0), length_s) for one in (event.onset, event.reported, ended)))

    def frames(self, hop_s: float) -> tuple[int, int]:
        """The first frame of the anomaly, and the end."""
        return round(self.began / hop_s), round(self.ended / hop_s)


def analyse(
    event: StoredEvent, clip: Path, bundle: Bundle | None, features: Features, normal_folder: Path | None, out: Path
) -> Facts:
    """Computes everything that is shown and heard of an event.

    Args:
        event: the event.
        clip: the file of its sound.
        bundle: the model; None: there is none, so there are neither a reconstruction nor scores.
        features: of the model, or how to compute a spectrogram without one.
        normal_folder: of the stream, with pieces of normal sound to compare with; None: they are on another computer.
        out: folder in which pictures (`recorded.png`, …) and sounds (`event-all.flac`, …) are written.

    Returns:
        what else the page needs to know.

    Raises:
        DataError: if the clip cannot be read, or is too short.
        OSError: if a file cannot be written.
    """
    samples = read_clip(clip, features.sample_rate)
    power = mel_frames(samples, features)
    if len(power) < 2:
        raise DataError("The clip is too short to show anything of it.")
    length_s = len(samples) / features.sample_rate
    span = Span.of(event, length_s)
    recorded: FloatArray = Normalization(features).scaled(power)
    low, high = (float(one) for one in np.percentile(recorded, (1, 99.5)))
    facts: Facts = {
        "seconds": length_s, "began": span.began, "reported": span.reported, "ended": span.ended,
        "ticks": ticks(features), "bands": [place(band, features) for band in event.bands],
        "unit": "dB" if features.scale == "log" else "power", "range": [low, high],
        "cut": f"Only the first {LONGEST_S / 60:g} minutes of the clip are shown." if length_s >= LONGEST_S else "",
    }  # fmt: skip
    pictures = {"recorded": heat(recorded, low, high)}
    if bundle is not None:
        pictures |= _compare_with_model(event, bundle, power, span, facts)
    first, stop = span.frames(features.hop_s)
    normal = None
    if normal_folder is not None:
        normal = _nearest_normal(normal_folder, power[first : max(stop, first + 1)], features, facts)
    if normal is not None:
        beside = np.resize(mel_frames(normal, features), power.shape)  # repeated, as it is heard
        pictures["normal"] = heat(Normalization(features).scaled(beside), low, high)
    for name, content in pictures.items():
        (out / f"{name}.png").write_bytes(content)
    facts["pictures"] = list(pictures)
    facts["gains"] = _write_sounds(pairs(samples, normal, features.sample_rate, event.bands), features.sample_rate, out)
    return facts


def mel_frames(samples: FloatArray, features: Features) -> FloatArray:
    """The power mel frames (t, n_mels) of samples (n,), as a stream computes them."""
    stream = FrameStream(features)
    return np.concatenate([stream.push(samples), stream.flush()])


def curve(values: DoubleArray, points: int = POINTS) -> list[float | None]:
    """The highest value of each of at most so many equal parts of a curve (t,); None where there is none."""
    count = min(len(values), points)
    edges = np.arange(count) * len(values) // max(count, 1)
    highest = np.maximum.reduceat(np.nan_to_num(values, nan=-np.inf, posinf=np.inf), edges) if count else values
    return [float(one) if np.isfinite(one) else None for one in highest]


def ticks(features: Features) -> list[tuple[str, float]]:
    """Round frequencies with their heights in a spectrogram: 0 is its lower edge, 1 the upper one; high ones first."""
    found: list[tuple[str, float]] = []
    centres = band_centres(features)
    for hz in reversed(TICKS_HZ):
        height = _height(hz, features)
        if centres[0] <= hz <= centres[-1] and all(abs(height - other) > TICKS_APART for _, other in found):
            found.append((f"{hz / 1000:g}k" if hz >= 1000 else str(hz), height))
    return found


def place(band: Band, features: Features) -> tuple[float, float]:
    """The heights between which a frequency band is in a spectrogram, as those of `ticks`."""
    return _height(band.low_hz, features), _height(band.high_hz, features)


def _height(hz: float, features: Features) -> float:
    centres = band_centres(features)
    middles = (np.arange(features.n_mels) + 0.5) / features.n_mels
    return float(np.interp(hz, centres, middles, left=0.0, right=1.0))


def _compare_with_model(
    event: StoredEvent, bundle: Bundle, power: FloatArray, span: Span, facts: Facts
) -> dict[str, bytes]:
    """Adds what the model says of the clip to the facts, and returns its pictures."""
    rescored, features = rescore(bundle, power), bundle.config.features
    if len(rescored.reconstructed) != len(power):  # less than a window
        return {}
    # The limit of a whole recording is not that of the scores in it.
    known = event.threshold if event.cause != "recording" else None
    limit = known or bundle.thresholds["score"].value
    facts |= {"limit": limit, "score": curve(rescored.score / limit)}
    inside = anomalous_frames(rescored.score, *span.frames(features.hop_s))
    if inside.any():
        contribution = contributions_of(bundle, typical_mean(rescored, inside))
        total = float(np.abs(contribution).sum()) or 1.0
        facts["contributions"] = [round(float(one) / total, 4) for one in contribution]
    residual = rescored.recorded - rescored.reconstructed
    smallest = SMALLEST_SCALE_DB if features.scale == "log" else 0.0
    facts["scale"] = max(float(np.percentile(np.abs(residual), 99.5)), smallest)
    low, high = facts["range"]
    return {
        "reconstructed": heat(rescored.reconstructed, low, high),
        "difference": difference(residual, facts["scale"]),
    }


def _nearest_normal(folder: Path, power: FloatArray, features: Features, facts: Facts) -> FloatArray | None:
    """The samples (m,) of the normal sound that is nearest to some frames, which is noted in the facts."""
    wanted = power_in_db(power, features.floor)
    try:
        piece = nearest(pieces_of(folder), wanted)
        # After an anomaly all pieces may be held back from learning; to listen to they are still the best there is.
        held = None if piece else nearest(pieces_of(folder / QUARANTINE), wanted)
        piece = piece or held
        if piece is None:
            return None
        samples = read_piece(piece)
    except DataError as error:  # deleted just now, or damaged: the event itself can be looked at
        facts["normal_missing"] = str(error)
        return None
    if piece.sample_rate != features.sample_rate:
        samples = np.asarray(soxr.resample(samples, piece.sample_rate, features.sample_rate), np.float32)
    share = None if math.isnan(piece.share) else piece.share
    facts["normal"] = {"began": piece.began, "seconds": piece.seconds, "share": share, "held": held is not None}
    return samples if len(samples) else None


def _write_sounds(compared: Mapping[str, Pair], rate: int, out: Path) -> dict[str, float]:
    """Writes the sounds, and returns the gain of each pair in dB."""
    for name, pair in compared.items():
        write_sound(pair.event, rate, out / f"event-{name}.flac")
        if pair.normal is not None:
            write_sound(pair.normal, rate, out / f"normal-{name}.flac")
    return {name: pair.gain_db for name, pair in compared.items()}
