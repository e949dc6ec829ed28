"""Dead channels of a microphone, and channels that cancel each other, are told once, when they are so for a while."""

from __future__ import annotations

import numpy as np

from monitor.audio.ring_buffer import SampleRing
from monitor.sources.device.channel_watch import CHECK_EVERY_S, CHECKS, ChannelWatch
from support.builders import noise

RATE = 1000


def told(channels: np.ndarray, *, again: np.ndarray | None = None) -> list[str]:
    """What is told while the channels (RATE, channels) are heard for a while, and then others."""
    ring = SampleRing(3 * RATE, channels.shape[1])
    watch, now, notes = ChannelWatch(ring, RATE, 0.0), 0.0, []
    for sound in (channels, channels if again is None else again):
        for _ in range(CHECKS + 2):
            ring.write(sound)
            now += CHECK_EVERY_S
            notes.append(watch.check(now - CHECK_EVERY_S / 2))
            notes.append(watch.check(now))
    return [note for note in notes if note]


def test_a_dead_channel_is_named_once() -> None:
    sound, nothing = noise(RATE), np.zeros(RATE, np.float32)
    [note] = told(np.stack([sound, nothing], axis=1))
    assert note.startswith("channel 1 (counted from 0) is silent")
    assert len(told(np.stack([sound, nothing], axis=1), again=np.stack([nothing, sound], axis=1))) == 2


def test_channels_that_cancel_each_other_are_told() -> None:
    [note] = told(np.stack([noise(RATE), -noise(RATE)], axis=1))
    assert "cancel each other" in note


def test_sound_channels_a_single_one_and_silence_of_all_are_no_news() -> None:
    both = noise(RATE, streams=2).T
    for channels in (both, both[:, :1], 0 * both):
        assert told(np.ascontiguousarray(channels)) == []
