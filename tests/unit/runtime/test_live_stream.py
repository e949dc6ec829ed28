"""A live stream never goes blind: damaged samples, a busy computer and a clock that is set do not hide an anomaly."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import pytest

from monitor.core.errors import MonitorError
from monitor.core.events import State
from monitor.outputs.named import NamedSink
from monitor.outputs.sink import Sink
from support.builders import RATE, noise, small_config
from support.clock import Clock
from support.listening import alarmed_by_loud_noise
from support.live_stream import HOP_S, MODULES, LiveStream

SETTINGS = small_config(
    "alarm.warm_up_s=0.5", "alarm.run_up_s=2", "alarm.hold_s=0.3", "alarm.release_s=0.3", "alarm.cool_down_s=1"
)


BUNDLE = alarmed_by_loud_noise(SETTINGS)


@pytest.fixture
def live(monkeypatch: pytest.MonkeyPatch) -> LiveStream:
    return LiveStream(Clock(monkeypatch, *MODULES), BUNDLE)


def normal(seconds: float, seed: int = 5) -> np.ndarray:
    return noise(round(seconds * RATE), seed=seed)


def faulty(seconds: float, seed: int = 6) -> np.ndarray:
    return 4 * noise(round(seconds * RATE), seed=seed)


# Samples that are no numbers


@pytest.mark.parametrize("bad", [np.nan, np.inf, -np.inf, 1e30])
def test_an_invalid_sample_now_and_then_hides_no_anomaly_and_is_one_event(live: LiveStream, bad: float) -> None:
    sound = np.concatenate([normal(9), faulty(9)])
    sound[:: 2 * RATE] = bad
    live.hear(sound)
    live.hear(normal(2))
    assert np.isfinite(live.sink.score[100:]).all()
    assert live.stream.anomalies == 1
    live.stream.publish(0.0)
    assert np.isfinite(live.stream.latest.level_dbfs)
    live.end()
    begun, ended = live.events("invalid samples")
    assert (begun.end_s, begun.id) == (None, ended.id)
    assert ended.lost_samples == 9
    assert ended.end_s == pytest.approx(16.0, abs=0.6)


def test_invalid_samples_end_when_there_was_none_for_a_minute(live: LiveStream) -> None:
    sound = normal(70)
    sound[RATE] = np.nan
    live.hear(sound)
    assert [event.end_s is not None for event in live.events("invalid samples")] == [False, True]


# A computer that is busy


def stopped_now_and_then(live: LiveStream, sound: np.ndarray, *, share: float) -> None:
    """The program stops for 0.8 s in every 4; then a share of the sound of that time arrives in a burst."""
    for start in range(0, len(sound), 4 * RATE):
        part = sound[start : start + 4 * RATE]
        stop = round(0.8 * RATE)
        live.clock.sleep(0.8)
        live.source.write(part[round((1 - share) * stop) : stop])
        live.hear(part[stop:])


def test_a_program_that_is_stopped_again_and_again_misses_nothing_if_all_sound_arrives_late(live: LiveStream) -> None:
    live.hear(normal(4))
    stopped_now_and_then(live, normal(16), share=1.0)
    stopped_now_and_then(live, faulty(8), share=1.0)
    live.end()
    assert live.events("gap", "overloaded", "lost") == []
    assert live.stream.anomalies == 1
    assert live.stream.discarded == 0
    assert live.stream.latest.lost_s == 0


def test_sound_that_arrives_late_has_the_scores_of_sound_in_time(
    live: LiveStream, monkeypatch: pytest.MonkeyPatch
) -> None:
    sound = normal(20)
    live.hear(sound[: 4 * RATE])
    stopped_now_and_then(live, sound[4 * RATE :], share=1.0)
    live.end()
    in_time = LiveStream(Clock(monkeypatch, *MODULES), BUNDLE)
    in_time.hear(sound)
    in_time.end()
    np.testing.assert_allclose(live.sink.score, in_time.sink.score, rtol=1e-4)


@pytest.mark.long
def test_a_program_that_misses_much_is_overloaded_and_says_how_much_was_not_heard(live: LiveStream) -> None:
    live.hear(normal(4))
    stopped_now_and_then(live, normal(80), share=0.0)
    assert live.state is State.OVERLOADED
    live.hear(normal(80))
    assert live.state is not State.OVERLOADED
    begun, ended = live.events("overloaded")
    assert (begun.end_s, begun.id) == (None, ended.id)
    missing = sum(event.lost_samples for event in live.events("gap"))
    assert missing == pytest.approx(20 * 0.8 * RATE, rel=0.1)
    assert ended.lost_samples == pytest.approx(missing, rel=0.01)
    live.end()


def test_an_anomaly_is_shown_even_if_much_is_missed(live: LiveStream) -> None:
    live.hear(normal(4))
    stopped_now_and_then(live, normal(60), share=0.0)
    live.hear(faulty(4))
    assert live.state is State.ANOMALY


# The time of an event


def test_the_time_of_an_anomaly_is_right_after_the_clock_was_set(
    live: LiveStream, monkeypatch: pytest.MonkeyPatch
) -> None:
    live.hear(normal(10))
    time_before: Callable[[], float] = live.clock.time
    monkeypatch.setattr(live.clock, "time", lambda: time_before() + 3600)
    began = live.clock.time()
    live.hear(faulty(4))
    [anomaly] = [event for event in live.events("anomaly") if event.end_s is None and not event.reminders]
    assert anomaly.wall_time == pytest.approx(began, abs=0.5)


def test_the_time_of_an_anomaly_is_right_for_a_sound_card_whose_clock_is_wrong(live: LiveStream) -> None:
    """By 1 % here, so that half a minute is enough: after 30 s the samples are 0.3 s behind the clock."""
    for _ in range(3000):
        live.source.write(normal(0.01))
        live.clock.sleep(0.0001)
        live.turn()
    began = live.clock.time()
    live.hear(faulty(3))
    [anomaly] = [event for event in live.events("anomaly") if event.end_s is None and not event.reminders]
    assert began <= anomaly.wall_time < began + 0.25


# Outputs


class Diary(Sink):
    """A sink that keeps samples, and can be in trouble."""

    def __init__(self) -> None:
        self.kept: list[np.ndarray] = []

    def samples(self, samples: np.ndarray) -> None:
        self.kept.append(samples)


def test_the_screen_shows_what_is_wrong_with_an_output_while_it_is_wrong(monkeypatch: pytest.MonkeyPatch) -> None:
    diary = Diary()
    live = LiveStream(Clock(monkeypatch, *MODULES), BUNDLE, sinks=[diary])
    live.stream.publish(0.0)
    assert live.stream.latest.outputs == ()
    diary.error = MonitorError("diary.txt: cannot be written: No space left on device.")
    live.stream.publish(0.0)
    assert live.stream.latest.outputs == ("diary.txt: cannot be written: No space left on device.",)
    diary.error = None
    live.stream.publish(0.0)
    assert live.stream.latest.outputs == ()


def test_of_many_streams_a_snapshot_shows_the_last_decision_and_evaluates_no_stream_alone(live: LiveStream) -> None:
    live.hear(normal(3.2))  # decisions are due each half second
    scored = len(live.sink.score)
    live.stream.publish(0.0, decide=False)
    assert (len(live.sink.score), live.stream.latest.position_s) == (scored, pytest.approx(3.2))
    assert live.stream.latest.score == live.sink.score[-1]
    live.stream.publish(0.0)
    assert len(live.sink.score) > scored
    assert live.stream.latest.score == live.sink.score[-1]


def test_a_sink_gets_the_samples_that_are_scored(monkeypatch: pytest.MonkeyPatch) -> None:
    """Also behind another one, and they do not change when more are heard."""
    diary, behind, sound = Diary(), Diary(), normal(3)
    live = LiveStream(Clock(monkeypatch, *MODULES), BUNDLE, sinks=[diary, NamedSink(behind, "press")])
    live.hear(sound)
    live.end()
    np.testing.assert_array_equal(np.concatenate(diary.kept), sound)
    np.testing.assert_array_equal(np.concatenate(behind.kept), sound)


@pytest.mark.parametrize("rate", [8000, 48000])
def test_a_source_whose_sample_rate_is_known_only_when_it_connects_is_heard_at_its_rate(
    live: LiveStream, rate: int
) -> None:
    live.turn()
    live.reopen(rate)
    live.turn()  # the first sound comes later
    live.hear(noise(3 * rate, seed=5))
    live.end()
    assert len(live.errors) * HOP_S == pytest.approx(3.0, abs=0.05)


def test_seconds_are_counted_right_of_a_source_that_comes_back_with_another_sample_rate(live: LiveStream) -> None:
    live.hear(normal(2))
    live.lose(1.0, rate=48000)
    live.hear(noise(3 * 48000, seed=5))
    live.end()
    assert live.stream.captured_s == pytest.approx(5.0)
    assert live.stream.scored_s == pytest.approx(5.0, abs=0.1)  # not what the ring still had when the source was lost
