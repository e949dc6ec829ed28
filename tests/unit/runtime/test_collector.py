"""Samples of many streams are taken together, and each stream hears what it would hear alone."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from monitor.audio.ring_buffer import RingReader, SampleRing
from monitor.config.setting_types import Channel
from monitor.core.events import Event
from monitor.core.types import FloatArray
from monitor.outputs.sink import Sink
from monitor.runtime.builder import build_engine
from monitor.runtime.engine import Engine
from support.builders import RATE, noise, small_bundle, small_config
from support.clock import Clock
from support.listening import HandFedSource, RememberingSink, never_alarmed, plan
from support.live_stream import MODULES

BUNDLE = never_alarmed(small_bundle(small_config("listening.portion_ms=1")))  # alone and together the same portions
HOP = RATE // 100
CHANNELS: tuple[Channel, ...] = (0, 1, 2, "mix")


class Device:
    """A device of three channels, each of which is a stream, as is the mean of all."""

    def __init__(self) -> None:
        self.ring = SampleRing(40 * RATE, 3)
        self.sources = [HandFedSource() for _ in CHANNELS]
        for source, channel in zip(self.sources, CHANNELS, strict=True):
            source.ring, source.reader = self.ring, RingReader(self.ring, channel)


class Everything(RememberingSink):
    """A sink that keeps samples as well."""

    def __init__(self) -> None:
        super().__init__()
        self.kept: list[FloatArray] = []

    def samples(self, samples: FloatArray) -> None:
        self.kept.append(samples)


def engine_of(sources: Sequence[HandFedSource], sinks: Sequence[Sink]) -> Engine:
    plans = [
        plan(BUNDLE, source, name=str(number), sinks=[sink])
        for number, (source, sink) in enumerate(zip(sources, sinks, strict=True))
    ]
    return build_engine(plans, device="cpu", precision="float32")


def heard(clock: Clock, sound: FloatArray, cuts: Sequence[int]) -> Everything:
    """What a stream tells that hears a sound (n,) alone, in blocks of these lengths in turn."""
    source, sink = HandFedSource(), Everything()
    run(clock, engine_of([source], [sink]), [source], sound[None], cuts)
    return sink


def run(
    clock: Clock, engine: Engine, sources: Sequence[HandFedSource], sounds: FloatArray, cuts: Sequence[int]
) -> None:
    """Lets each source deliver its sound (m, n) in blocks of these lengths in turn, and ends all of them."""
    start, number = 0, 0
    while start < sounds.shape[1]:
        size = cuts[number % len(cuts)]
        for source, sound in zip(sources, sounds, strict=True):
            source.write(sound[start : start + size])
        clock.sleep(size / RATE)  # in real time, because otherwise there would be gaps
        engine.take_turns()
        start, number = start + size, number + 1
    engine_ended(clock, engine, sources)


def engine_ended(clock: Clock, engine: Engine, sources: Sequence[HandFedSource]) -> None:
    for source in sources:
        source.end()
    for _ in range(3):
        clock.sleep(0.01)
        engine.take_turns()
    assert all(stream.latest.finished for stream in engine.streams)
    assert engine.error is None


def told(sink: Everything) -> list[tuple[str, float, float | None, int]]:
    """The interruptions that a sink was told of."""
    events: list[Event] = sink.events
    return [(one.kind, round(one.start_s, 2), one.end_s and round(one.end_s, 2), one.lost_samples) for one in events]


@pytest.mark.parametrize("size", [3 * HOP, 1000])
def test_streams_of_one_device_hear_their_channels(size: int, monkeypatch: pytest.MonkeyPatch) -> None:
    """All at once, also where they are not the first ones of it, and the mean of all."""
    clock, device = Clock(monkeypatch, *MODULES), Device()
    sinks = [Everything() for _ in CHANNELS]
    engine = engine_of(device.sources, sinks)
    sound = noise(RATE * 3, seed=1).reshape(-1, 3)
    for start in range(0, len(sound), size):
        device.ring.write(sound[start : start + size])
        clock.sleep(size / RATE)
        engine.take_turns()
    engine_ended(clock, engine, device.sources)
    for sink, channel in zip(sinks, CHANNELS, strict=True):
        own = sound.mean(axis=1, dtype=np.float32) if channel == "mix" else sound[:, channel]
        np.testing.assert_array_equal(np.concatenate(sink.kept), own)
        np.testing.assert_allclose(sink.score, heard(clock, own, [size]).score, rtol=1e-4, equal_nan=True)


TROUBLES = st.lists(
    st.tuples(st.integers(0, 2), st.sampled_from(["invalid", "silence", "short silence"]), st.integers(0, RATE // 2)),
    max_size=4,
)  # of which stream, what, and where


@settings(max_examples=8, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(troubles=TROUBLES, cuts=st.lists(st.integers(2 * HOP, 12 * HOP), min_size=1, max_size=3))
def test_a_stream_in_which_something_happens_changes_nothing_for_the_others(
    troubles: list[tuple[int, str, int]], cuts: list[int], monkeypatch: pytest.MonkeyPatch
) -> None:
    """And is itself told the same as if it were alone: each sample is scored or counted, and each event reported."""
    sounds = noise(3 * 2 * RATE, seed=7).reshape(3, -1).copy()
    for number, kind, start in troubles:
        if kind == "invalid":
            sounds[number, start] = np.nan
        else:
            sounds[number, start : start + (RATE if kind == "silence" else RATE // 20)] = 0.25  # constant
    clock, sources, sinks = (
        Clock(monkeypatch, *MODULES),
        [HandFedSource() for _ in sounds],
        [Everything() for _ in sounds],
    )
    engine = engine_of(sources, sinks)
    run(clock, engine, sources, sounds, cuts)
    for sound, sink, stream in zip(sounds, sinks, engine.streams, strict=True):
        alone = heard(clock, sound, cuts)
        np.testing.assert_allclose(sink.score, alone.score, rtol=1e-4, equal_nan=True)
        np.testing.assert_array_equal(np.concatenate(sink.kept), np.concatenate(alone.kept))
        assert told(sink) == told(alone)
        assert stream.captured == stream.scored + stream.discarded == sounds.shape[1]
