"""From what a source's ring holds to the samples the model hears: channel, rate, and whether it is sound at all."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from monitor.audio.reader import Resampler, select_channel
from monitor.config.schema import Channel
from monitor.audio.ring_buffer import Readable
from monitor.core.snapshot import FloatArray

SILENT_S = 0.5  # of one and the same number: no microphone that hears does that
TAIL_S = 0.01  # of it, at the end of a portion, are kept back until it is known how they go on


@dataclass(frozen=True, slots=True)
class Chunk:
    """What was taken at once."""

    heard: FloatArray  # (n,) the channel that counts, at the ring's rate
    samples: FloatArray  # (m,) of it what is to be judged, at the model's rate
    lost: int = 0  # samples before it that the ring had no room for


class Intake:
    """Takes from one ring. Counts what it handed over and what it threw away, in samples of the ring.

    Args:
        ring_rate: samples a second in the ring.
        sample_rate: samples a second that the model wants.
        hold_silence: keep back what does not change (all zeros, or a constant), for up to SILENT_S, and throw it
            away where it lasts: `silent` says so. A microphone that is dead or muted is not to be judged.
    """

    def __init__(
        self, ring: Readable, ring_rate: int, sample_rate: int, channel: Channel, *, hold_silence: bool
    ) -> None:
        self.ring, self.ring_rate = ring, ring_rate
        self.scored = 0  # samples handed over
        self.discarded = 0  # samples thrown away, or overrun
        self.silent = False
        self._sample_rate, self._channel, self._hold_silence = sample_rate, channel, hold_silence
        self._none = np.zeros(0, np.float32)
        self._value = 0.0  # what is held, or silent, consists of
        self.reset()

    def reset(self) -> None:
        """What comes next is another sound: nothing of before is kept."""
        self._resampler = Resampler(self.ring_rate, self._sample_rate)
        self._held: list[FloatArray] = []
        self._held_count = 0

    @property
    def waiting(self) -> int:
        """Samples in the ring, or kept back."""
        return self.ring.available + self._held_count

    def take(self, most: int) -> Chunk:
        """The next samples, at most `most` of the ring's."""
        taken = self.ring.take(most)
        if taken.lost:
            self.discarded += taken.lost + self._held_count
            self.reset()
        mono = select_channel(taken.samples, self._channel)
        judged = self._alive(mono) if self._hold_silence and len(mono) else mono
        self.scored += len(judged)
        return Chunk(mono, self._resampler.push(judged) if len(judged) else self._none, taken.lost)

    def flush(self) -> FloatArray:
        """What the resampler still holds at the end of the sound: (m,)."""
        return self._resampler.push(self._none, last=True)

    def discard(self) -> int:
        """Throws away all that waits; returns how much that was."""
        count = self.ring.skip() + self._held_count
        self.discarded += count
        self.reset()
        return count

    def _alive(self, mono: FloatArray) -> FloatArray:
        """Of a portion, with what was kept back before it, what is known to be sound."""
        changes = mono != mono[-1]
        tail = int(changes[::-1].argmax()) if changes.any() else len(mono)
        long = tail >= TAIL_S * self.ring_rate
        goes_on = float(mono[0]) == self._value if self._held or self.silent else long
        if tail == len(mono) and goes_on:
            self._value = float(mono[0])
            self._held.append(mono)
            self._held_count += tail
            self.silent = self.silent or self._held_count >= SILENT_S * self.ring_rate
            if self.silent:
                self.discarded += self._held_count
                self._held, self._held_count = [], 0
            return self._none
        self.silent = False
        before, self._held, self._held_count = self._held, [], 0
        if long:
            self._held, self._held_count, self._value = [mono[len(mono) - tail :]], tail, float(mono[-1])
            mono = mono[: len(mono) - tail]
        return np.concatenate((*before, mono)) if before else mono
