"""What a self-test has to know of a machine's own sound: its level, its tonal lines, and what the microphone has lost.

A covered or moved microphone hears a fault as weakened as the machine itself. So the newest normal sound is compared,
band by band, with the sound that the configured model was trained on: where it is weaker, a fault is weakened as much.
A rise is not taken over. The noise of the room and of the sound card is that of the newest sound. It hides how much is
lost where the machine was not much louder than it. There an assumption takes the place of a measurement: what covers a
microphone weakens high frequencies at least as much as low ones, so each band has lost at least as much as those below
it. If only low frequencies are weaker, this overstates what is lost above; it never understates what is measured.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from scipy import ndimage, signal

from monitor.bundle.bundle import Bundle
from monitor.config.schema import Features
from monitor.core.types import BoolArray, DoubleArray, FloatArray
from monitor.features.mel import MelTransform, band_centres
from monitor.features.normalization import Normalization

SMOOTHED = 5  # neighbouring bands of which the median difference is taken
LINE_DB = 10.0  # by how much a tonal line is above the spectrum beside it
BESIDE_HZ = 25.0  # width of the spectrum beside a line, on each side
FILTER_S = 0.016  # half the length of the filter that weakens a fault


@dataclass(frozen=True, slots=True)
class OwnSound:
    """What is known of the normal sound of a stream.

    Attributes:
        sample_rate: in Hz.
        rms: of the normal sound when the configured model was made, in the frequencies of the model; 1 is full scale.
        band_hz: (n_mels,) centres of the bands.
        loss_db: (n_mels,) by how much each band is weaker now than then, at least 0, and not less than those below it.
        lines_hz: frequencies of the tonal lines of the newest sound, first the one that stands out most from the sound
            beside it.
        lowest_hz: lower end of what the model hears.
    """

    sample_rate: int
    rms: float
    band_hz: FloatArray
    loss_db: DoubleArray
    lines_hz: tuple[float, ...]
    lowest_hz: float = 0.0

    @property
    def level_dbfs(self) -> float:
        """`rms` in dBFS."""
        return 20 * math.log10(max(self.rms, 1e-10))

    def weakened(self, sound: DoubleArray) -> DoubleArray:
        """A sound (n,) as the microphone hears it now: (n,)."""
        if not self.loss_db.any():
            return sound
        half = round(FILTER_S * self.sample_rate)
        ends = np.array([0.0, self.sample_rate / 2])
        hz = np.unique(np.concatenate((ends, np.clip(self.band_hz, *ends))))
        gains = 10 ** (-np.interp(hz, self.band_hz, self.loss_db) / 20)
        taps = signal.firwin2(2 * half + 1, hz, gains, fs=self.sample_rate)
        return np.asarray(signal.oaconvolve(sound, taps)[half : half + len(sound)])


def own_sound(sounds: Sequence[FloatArray], reference: Bundle) -> OwnSound:
    """Measures the newest normal sound of a stream, and compares it with that of a model's training.

    Args:
        sounds: the newest normal sound in pieces (n,), at the sample rate of the model.
        reference: the configured model. Its mean spectrum is the normal sound of the time when it was made, and stays
            so when a model that was relearnt takes its place.
    """
    features = reference.config.features
    rise_db = _mean_db(sounds, features) - _training_db(reference)
    rise_db = ndimage.median_filter(rise_db, size=min(SMOOTHED, len(rise_db)), mode="nearest")
    centres = band_centres(features)
    hz, density = _spectrum(sounds, features.sample_rate)
    heard = (hz >= features.fmin) & (hz <= features.f_top) & (hz > 0)
    before = density * 10 ** (-np.interp(hz, centres, rise_db) / 10)
    return OwnSound(
        sample_rate=features.sample_rate,
        rms=math.sqrt(float(before[heard].sum() * hz[1])),
        band_hz=centres,
        loss_db=np.maximum.accumulate(np.maximum(0.0, -rise_db)),
        lines_hz=_lines(hz, density, heard),
        lowest_hz=features.fmin,
    )


def _mean_db(sounds: Sequence[FloatArray], features: Features) -> DoubleArray:
    """The mean scaled frame (n_mels,) of the sounds in dB, as in training."""
    transform, scaled = MelTransform(features), Normalization(features).scaled
    frames = [scaled(transform(sound[None])[0]) for sound in sounds]
    return _in_db(np.concatenate(frames).mean(axis=0, dtype=np.float64), features)


def _training_db(bundle: Bundle) -> DoubleArray:
    return _in_db(bundle.mean.astype(np.float64), bundle.config.features)


def _in_db(mean: DoubleArray, features: Features) -> DoubleArray:
    """A mean scaled frame in dB; with `features.scale` power it is not in dB yet."""
    return mean if features.scale == "log" else 10 * np.log10(np.maximum(mean, features.floor))


def _spectrum(sounds: Sequence[FloatArray], sample_rate: int) -> tuple[DoubleArray, DoubleArray]:
    """Frequencies in steps of 1 Hz, and the mean power density of the sounds."""
    found = [signal.welch(sound, sample_rate, nperseg=min(sample_rate, len(sound))) for sound in sounds]
    longest = max(len(hz) for hz, _ in found)
    used = [(hz, density) for hz, density in found if len(hz) == longest]
    return used[0][0].astype(np.float64), np.mean([density for _, density in used], axis=0, dtype=np.float64)


def _lines(hz: DoubleArray, density: DoubleArray, heard: BoolArray) -> tuple[float, ...]:
    """The frequencies of the tonal lines, those first that stand out most from the spectrum beside them."""
    levels = 10 * np.log10(np.maximum(density, 1e-30))
    beside = ndimage.median_filter(levels, size=2 * round(BESIDE_HZ / hz[1]) + 1, mode="nearest")
    heights = np.where(heard, levels - beside, 0.0)
    at, _ = signal.find_peaks(heights, height=LINE_DB)
    return tuple(float(hz[i]) for i in sorted(at, key=lambda i: -heights[i]))
