"""A stream with interruptions: every sample is scored or counted as discarded, and no window contains a gap."""

from __future__ import annotations

from typing import cast

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from monitor.core.events import State
from monitor.streaming.stream_batch import StreamBatch
from support.builders import RATE, noise, small_bundle, small_config
from support.clock import Clock
from support.listening import never_alarmed
from support.live_stream import MODULES, LiveStream

HOP_S = 0.01
BUNDLE = never_alarmed(small_bundle(small_config()))


@pytest.fixture
def listening(monkeypatch: pytest.MonkeyPatch) -> LiveStream:
    return LiveStream(Clock(monkeypatch, *MODULES), BUNDLE)


@pytest.mark.parametrize("constant", [0.0, 0.25])
def test_sound_that_does_not_change_is_no_signal_and_is_not_scored(listening: LiveStream, constant: float) -> None:
    listening.hear(noise(2 * RATE))
    listening.hear(np.full(RATE, constant, np.float32))
    assert listening.state is State.NO_SIGNAL
    assert len(listening.sink.score) <= 200
    listening.hear(noise(RATE, seed=5))
    assert listening.state is not State.NO_SIGNAL
    listening.end()
    begun, ended = listening.events("no signal", "gap", "lost")
    assert (begun.kind, begun.end_s) == ("no signal", None)
    assert ended.id == begun.id
    assert ended.duration_s == pytest.approx(1.0, abs=0.05)
    stream = listening.stream
    assert (stream.captured, stream.scored, stream.discarded) == (4 * RATE, 3 * RATE, RATE)


@pytest.mark.parametrize("rate", [RATE, 44_100])
def test_sound_after_a_gap_is_scored_like_a_stream_that_begins_there(listening: LiveStream, rate: int) -> None:
    first, second = noise(24_000), noise(round(1.5 * rate), seed=1)
    listening.hear(first)
    old = listening.source.ring
    listening.source.lost_since = listening.clock.now
    listening.turn()
    assert listening.state is State.LOST
    old.write(noise(800, seed=2)[:, None])  # samples that still arrived, and are discarded
    before = len(listening.errors)
    listening.lose(3.0, rate)
    assert listening.state is not State.LOST
    listening.hear(second)
    listening.end()
    begun, ended = listening.events("lost", "gap", "no signal")
    assert (begun.kind, begun.end_s, ended.id) == ("lost", None, begun.id)
    assert ended.duration_s == pytest.approx(3.0, abs=0.05)
    stream = listening.stream
    assert stream.captured == stream.scored + stream.discarded == 24_000 + 800 + len(second)
    assert stream.discarded == 800
    if rate != RATE:
        assert len(listening.errors) - before > 100
        return
    fresh = StreamBatch(BUNDLE)
    whole = len(second) // 160 * 160
    [portion] = fresh.push(second[None, :whole], (0,)).portions()
    expected = np.concatenate([portion.error, fresh.flush(0, second[whole:]).error])
    np.testing.assert_allclose(listening.errors[before:], expected, rtol=1e-5)


def test_missing_time_counts_in_the_position_of_the_stream_and_as_lost(listening: LiveStream) -> None:
    listening.hear(noise(2 * RATE))
    listening.wait(3.0)
    listening.hear(noise(2 * RATE))
    [gap] = listening.events("gap")
    assert gap.duration_s == pytest.approx(3.0, abs=0.4)
    listening.stream.publish(0.0)
    shown = listening.stream.latest
    assert shown.lost_s == gap.duration_s
    assert shown.position_s == pytest.approx(7.0, abs=0.3)
    assert gap.lost_samples == round(shown.lost_s * RATE)


STEPS = st.lists(
    st.tuples(st.sampled_from(["sound", "silence", "stall", "lost", "other rate", "overflow"]), st.integers(1, 150)),
    max_size=8,
)


@settings(max_examples=25, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(steps=STEPS)
def test_whatever_a_microphone_does_every_sample_is_scored_or_counted_and_every_event_ends(
    steps: list[tuple[str, int]], monkeypatch: pytest.MonkeyPatch
) -> None:
    listening = LiveStream(Clock(monkeypatch, *MODULES), BUNDLE)
    written = 0
    for kind, hops in steps:
        if kind == "overflow":
            listening.source.overflows += 1
        elif kind == "stall":
            listening.wait(hops * HOP_S)
        elif kind in ("lost", "other rate"):
            listening.lose(hops * HOP_S, 8000 if kind == "other rate" else None)
        else:
            size = hops * round(HOP_S * listening.rate)
            written += size
            listening.hear(noise(size) if kind == "sound" else np.zeros(size, np.float32))
    listening.end()
    stream = listening.stream
    assert stream.captured == stream.scored + stream.discarded == written
    begun = [event.id for event in listening.sink.events if event.end_s is None]
    ended = [event.id for event in listening.sink.events if event.end_s is not None]
    assert set(begun) <= set(ended)
    assert len(ended) == len(set(ended))
    assert stream.latest.lost_s == pytest.approx(
        sum(
            cast(float, event.duration_s)
            for event in listening.sink.events
            if event.end_s is not None and event.kind != "overloaded"
        )
    )
