"""Live sound is scored in portions, which change no score and lose no sound."""

from __future__ import annotations

import numpy as np
import pytest

from monitor.runtime.builder import build_engine
from monitor.runtime.latency import algorithmic_delay_s
from monitor.runtime.turn_pacer import HOPS_AT_ONCE, choose_portions
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


def test_the_stated_delay_is_that_of_the_portions_however_many_streams_there_are() -> None:
    bundle = small_bundle(small_config("listening.portion_ms=100"))
    delay_s = algorithmic_delay_s(bundle.config.features)
    for count in (1, 5, 20):
        plans = [plan(bundle, HandFedSource(), name=str(number)) for number in range(count)]
        for snapshot in build_engine(plans, device="cpu", precision="float32").latest:
            assert snapshot.algorithmic_delay_s == pytest.approx(delay_s + 0.09)


def test_many_streams_are_scored_a_few_at_a_time_each_as_often_as_if_it_were_alone(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """So no turn is long, and what a turn costs is shared by the hops of a whole portion."""
    bundle, count = small_bundle(small_config("listening.portion_ms=100")), 48
    clock, sources = Clock(monkeypatch, *MODULES), [HandFedSource() for _ in range(count)]
    engine = build_engine([plan(bundle, one) for one in sources], device="cpu", precision="float32")
    scored = []
    for _ in range(51):
        for source in sources:
            source.write(noise(round(HOP_S * RATE)))
        clock.sleep(HOP_S)
        engine.take_turns()
        scored.append([stream.scored for stream in engine.streams])
    turns = np.diff(scored, axis=0)[10:]
    assert set(turns.ravel()) == {0, round(0.1 * RATE)}
    assert (turns > 0).sum(axis=1).max() <= HOPS_AT_ONCE / 10
    assert ((turns > 0).sum(axis=0) == len(turns) // 10).all()


@pytest.mark.parametrize("rate", [RATE, 22050], ids=["as it is", "resampled"])
def test_sound_that_nobody_looks_at_is_scored_when_the_alarm_decides_with_the_same_result(
    monkeypatch: pytest.MonkeyPatch, rate: int
) -> None:
    """In two pieces, of which the second is as long as a portion, so that the decision does not take long."""
    sound, heard = noise(4 * rate), []
    for seen in (True, False):
        live, turns = listening(monkeypatch, 100, rate), []
        for start in range(0, len(sound), round(HOP_S * rate)):
            choose_portions(live.engine.streams, seen=seen)
            before = live.stream.scored, len(live.sink.rows)
            live.hear(sound[start : start + round(HOP_S * rate)])
            turns.append((live.stream.scored - before[0], len(live.sink.rows) - before[1]))
        live.end()
        heard.append((live, turns[len(turns) // 2 :]))
    (one, portions), (other, decisions) = heard
    np.testing.assert_allclose(other.sink.score, one.sink.score, rtol=1e-4)
    assert sum(scored > 0 for scored, _ in portions) >= 20
    assert sum(scored > 0 for scored, _ in decisions) <= 9
    if rate == RATE:
        assert {scored for scored, decided in decisions if decided} == {round(0.1 * RATE)}


def test_decisions_that_are_more_frequent_than_portions_do_not_make_them_shorter(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    live = listening(monkeypatch, 100, RATE, "alarm.block_s=0.02")
    scored = []
    for _ in range(200):
        choose_portions(live.engine.streams, seen=False)
        live.hear(noise(round(HOP_S * RATE)))
        scored.append(live.stream.scored)
    assert set(np.diff(scored)[-50:]) == {0, round(0.1 * RATE)}


def hear_unseen(live: LiveStream, sound: np.ndarray) -> None:
    """Writes samples (n,) while nobody looks."""
    for start in range(0, len(sound), round(HOP_S * RATE)):
        choose_portions(live.engine.streams, seen=False)
        live.hear(sound[start : start + round(HOP_S * RATE)])


def test_what_was_heard_before_a_loss_is_scored_although_no_decision_was_due(monkeypatch: pytest.MonkeyPatch) -> None:
    live = listening(monkeypatch, 100)
    hear_unseen(live, noise(2 * RATE + round(17 * HOP_S * RATE)))
    assert live.stream.scored < live.stream.captured
    live.source.lost_since = live.clock.now
    live.wait(0.1)
    assert live.events("lost")
    assert live.stream.scored == live.stream.captured
    assert live.stream.discarded == 0


def test_the_end_of_a_silence_is_not_noticed_later_because_nobody_looks(monkeypatch: pytest.MonkeyPatch) -> None:
    live = listening(monkeypatch, 100)
    hear_unseen(live, noise(2 * RATE))
    hear_unseen(live, np.zeros(RATE, np.float32))
    assert live.events("no signal")
    choose_portions(live.engine.streams, seen=False)
    assert live.stream.input.portion_at() <= live.clock.now + 0.1
