"""Notices dead channels of a microphone, and channels that cancel each other, while their mean is monitored."""

from __future__ import annotations

import numpy as np

from monitor.audio.quality import channel_note
from monitor.audio.ring_buffer import SampleRing
from monitor.audio.sound_facts import SoundSurvey

CHECK_EVERY_S = 10.0
CHECKS = 3  # that have to agree


class ChannelWatch:
    """Looks at the newest second of a ring from time to time.

    Args:
        ring: the ring of a device stream.
        sample_rate: in Hz.
        began: time on the monotonic clock.
    """

    def __init__(self, ring: SampleRing, sample_rate: int, began: float) -> None:
        self._ring, self._sample_rate = ring, sample_rate
        self._due = began + CHECK_EVERY_S
        self._last, self._agreed, self._reported = "", 0, ""

    def check(self, now: float) -> str:
        """Returns what is wrong with the channels, once: a sentence in which "it" is the microphone, otherwise ""."""
        ring = self._ring
        if now < self._due or ring.written < self._sample_rate or ring.samples.shape[1] < 2:
            return ""
        self._due = now + CHECK_EVERY_S
        indices = np.arange(ring.written - min(self._sample_rate, ring.capacity), ring.written) % ring.capacity
        newest, survey = ring.samples[indices], SoundSurvey()
        survey.add(newest, newest.mean(axis=1), self._sample_rate)
        note = channel_note(survey.facts())
        self._agreed = self._agreed + 1 if note == self._last else 1
        self._last = note
        if self._agreed < CHECKS or note == self._reported:
            return ""
        self._reported = note
        return note
