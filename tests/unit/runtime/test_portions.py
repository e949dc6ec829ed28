"""Live sound is scored in portions, which change no score and lose no sound."""

from __future__ import annotations

import numpy as np
import pytest

from monitor.runtime.builder import build_engine
from monitor.runtime.latency import algorithmic_delay_s
from support.builders import RATE, noise, small_bundle, small_config
from support.clock import Clock
from support.listening import HandFedSource, plan
from support.live_stream import HOP_S, MODULES, LiveStream


def listening(monkeypatch: pytest.MonkeyPatch, portion_ms: float, rate: int = RATE, *settings: str) -> LiveStream:
    bundle = small_bundle(small_config(f"listening.portion_ms={portion_ms}", *settings))
    return LiveStream(Clock(monkeypatch, *MODULES), bundle, rate)


def test_live_sound_is_scored_a_portion_at_a_time(monkeypatch: pytest.MonkeyPatch) -> None:
    live = listening(monkeypatch, 50)
    live.hear(noise(RATE))
    before = live.stream.scored
    scored = []
    for _ in range(20):
        live.hear(noise(round(HOP_S * RATE)))
        scored.append(live.stream.scored - before)
    assert set(np.diff(scored)) == {0, round(0.05 * RATE)}


@pytest.mark.parametrize("hop_length", [512, 1001])
def test_the_longest_portion_is_scored_when_it_is_there_whatever_the_length_of_a_hop(
    monkeypatch: pytest.MonkeyPatch, hop_length: int
) -> None:
    """Also if whole hops are a little longer than the setting."""
    live = listening(monkeypatch, 500, RATE, f"features.hop_length={hop_length}", "features.n_fft=1024")
    live.hear(noise(4 * RATE))
    portion = round(RATE / 2 / hop_length) * hop_length
    assert live.stream.scored == 4 * RATE // portion * portion


@pytest.mark.parametrize("rate", [RATE, 22050], ids=["as it is", "resampled"])
@pytest.mark.parametrize("portion_ms", [1, 30, 100, 500])
def test_portions_of_any_length_give_the_scores_of_sound_that_is_scored_hop_by_hop(
    monkeypatch: pytest.MonkeyPatch, portion_ms: float, rate: int
) -> None:
    sound = noise(2 * rate + 777)
    heard = []
    for length in (portion_ms, 10):
        live = listening(monkeypatch, length, rate)
        live.hear(sound)
        live.end()
        heard.append(live)
    in_portions, singly = heard
    np.testing.assert_allclose(in_portions.sink.score, singly.sink.score, rtol=1e-4)
    assert len(in_portions.errors) == len(singly.errors)
    assert in_portions.stream.discarded == 0


def test_where_no_more_sound_follows_the_beginning_of_a_portion_is_scored(monkeypatch: pytest.MonkeyPatch) -> None:
    """As before a device is lost, or in the pauses of a network."""
    live = listening(monkeypatch, 100)
    live.hear(noise(RATE))
    begun = round(7 * HOP_S * RATE)
    live.hear(noise(begun))
    assert live.stream.scored == RATE
    live.wait(0.15)
    assert live.stream.scored == RATE + begun


def test_the_stated_delay_is_that_of_the_portions_in_which_the_stream_is_scored() -> None:
    """Streams of one model share what a turn costs, so their portions are shorter."""
    bundle = small_bundle(small_config("listening.portion_ms=100"))
    delay_s = algorithmic_delay_s(bundle.config.features)
    for count, longer_s in ((1, 0.09), (5, 0.01), (20, 0.0)):
        plans = [plan(bundle, HandFedSource(), name=str(number)) for number in range(count)]
        for snapshot in build_engine(plans, device="cpu", precision="float32").latest:
            assert snapshot.algorithmic_delay_s == pytest.approx(delay_s + longer_s)
