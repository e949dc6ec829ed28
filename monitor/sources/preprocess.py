"""Reads samples from a ring for scoring: resamples them, and discards the constant signal of a dead microphone."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from monitor.audio.invalid_samples import MAX_AMPLITUDE, replace_invalid
from monitor.audio.resampling import Resampler
from monitor.audio.ring_buffer import RingReader
from monitor.core.types import BoolArray, FloatArray

SILENT_S = 0.5  # a signal that is constant for this long is silent; no working microphone delivers that
TAIL_S = 0.01  # a constant end of at least this length is held back until it is known whether the signal stays constant


@dataclass(frozen=True, slots=True)
class Chunk:
    """Samples that were read in one call."""

    captured: FloatArray  # (n,) as read, at the ring's sample rate
    samples: FloatArray  # (m,) samples to be scored, at the model's sample rate
    lost: int = 0  # number of samples just before them that were overwritten in the ring
    invalid: int = 0  # number of captured samples that were no numbers, and are zeros now


class Preprocessor:
    """Reads samples from one ring for scoring, and counts the scored and the discarded ones, in samples of the ring.

    Args:
        reader: a reader of the ring.
        ring_rate: sample rate of the ring in Hz.
        sample_rate: sample rate of the model in Hz.
        hold_silence: hold back a constant signal (zeros, or any other value) for up to SILENT_S, and discard it if it
            lasts longer; `silent` is then set. Thus a dead or muted microphone is not scored.
    """

    def __init__(self, reader: RingReader, ring_rate: int, sample_rate: int, *, hold_silence: bool) -> None:
        self.reader, self.ring_rate = reader, ring_rate
        self.scored = 0  # number of samples returned for scoring
        self.discarded = 0  # number of samples discarded or overwritten
        self.silent = False
        self._sample_rate, self._hold_silence = sample_rate, hold_silence
        self._empty = np.zeros(0, np.float32)
        self._newest = 0.0  # value of the newest sample
        self._held_count = 0
        self.reset()

    def reset(self) -> None:
        """Starts again after a gap: restarts the resampler, and discards the samples held back."""
        self.discarded += self._held_count
        self._resampler = Resampler(self.ring_rate, self._sample_rate)
        self._held: list[FloatArray] = []
        self._held_count = 0
        self._constant_run = 0  # number of samples up to the newest one that have its value

    @property
    def waiting(self) -> int:
        """Number of samples in the ring or held back."""
        return self.reader.available + self._held_count

    def take(self, max_count: int) -> Chunk:
        """Reads the next samples, at most `max_count` of the ring."""
        taken = self.reader.take(max_count)
        if taken.lost:
            self.discarded += taken.lost
            self.reset()
        return self.examine(taken.samples, taken.lost)

    def examine(self, taken: FloatArray, lost: int = 0) -> Chunk:
        """Makes the next samples of the ring (n,), which have been read, ready to be scored.

        Args:
            taken: the samples.
            lost: number of samples just before them that were overwritten in the ring.
        """
        samples, invalid = replace_invalid(taken)
        usable = self._without_silence(samples) if self._hold_silence and len(samples) else samples
        self.scored += len(usable)
        return Chunk(samples, self._resampler.push(usable) if len(usable) else self._empty, lost, invalid)

    @property
    def passes_on(self) -> bool:
        """Whether the next samples are scored as they are in the ring, unless they are `unusual`."""
        return self._resampler.passes_on and not self.holds_back

    @property
    def holds_back(self) -> bool:
        """Whether the newest samples are a constant signal, which is held back or discarded."""
        return self.silent or self._held_count > 0

    def flush(self) -> FloatArray:
        """Returns the samples (m,) that the resampler still holds at the end of the sound."""
        return self._resampler.push(self._empty, last=True)

    def discard(self) -> int:
        """Discards all waiting samples; returns their number."""
        skipped, held = self.reader.skip(), self._held_count
        self.discarded += skipped
        self.reset()
        return skipped + held

    def _without_silence(self, samples: FloatArray) -> FloatArray:
        """Returns the samples to score of a portion, preceded by the samples held back before it."""
        changes = samples != samples[-1]
        tail = int(changes[::-1].argmax()) if changes.any() else len(samples)
        constant = tail == len(samples)
        continues = float(samples[0]) == self._newest
        self._constant_run = tail + (self._constant_run if constant and continues else 0)
        self._newest = float(samples[-1])
        long = self._constant_run >= TAIL_S * self.ring_rate
        if constant and (continues if self._held or self.silent else long):
            self._held.append(samples)
            self._held_count += tail
            self.silent = self.silent or self._held_count >= SILENT_S * self.ring_rate
            if self.silent:
                self.discarded += self._held_count
                self._held, self._held_count = [], 0
            return self._empty
        self.silent = False
        before, self._held, self._held_count = self._held, [], 0
        if long:
            self._held, self._held_count = [samples[len(samples) - tail :]], tail
            samples = samples[: len(samples) - tail]
        return np.concatenate((*before, samples)) if before else samples


def unusual(samples: FloatArray, peaks: FloatArray, sample_rate: int) -> BoolArray:
    """Which of the next samples of several streams have to be examined, because they may not be scored as they are.

    Args:
        samples: (n, m).
        peaks: (n,) the highest absolute value of each row, NaN if it contains one.
        sample_rate: in Hz.

    Returns:
        (n,): those that contain invalid samples, or end with a constant signal, which may be the beginning of silence.
    """
    tail = samples[:, -max(1, int(TAIL_S * sample_rate)) :]
    found: BoolArray = ~(peaks <= MAX_AMPLITUDE) | (tail == tail[:, -1:]).all(axis=1)
    return found
