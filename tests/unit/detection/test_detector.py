"""A detector's results do not depend on how the sound came in, and nothing waits for ever."""

from __future__ import annotations

import dataclasses
from collections.abc import Iterator, Sequence
from dataclasses import replace
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from monitor.bundle.bundle import Bundle
from monitor.config.loader import load_config
from monitor.config.schema import Config
from monitor.core.events import Event, State
from monitor.core.thread_pool import single_threaded_blas
from monitor.detection.detector import Detector
from monitor.detection.drift import CALM_S, Drift
from monitor.detection.recording import Recording
from monitor.streaming.hops import HopCutter
from monitor.streaming.stream_batch import StreamBatch
from support.builders import noise, pieces, small_config
from support.listening import RememberingSink, alarmed_by_loud_noise, never_alarmed

HOP, RATE = 160, 16000
CONFIG = small_config(
    "alarm.warm_up_s=0.2", "alarm.run_up_s=0.5", "alarm.hold_s=0.3", "alarm.release_s=0.2", "alarm.cool_down_s=0.2"
)
LOUDNESS = [0.1] * 4 + [0.0] * 4 + ([0.1] * 4 + [0.4] * 2) * 2 + [0.1] * 4  # by half-seconds


def sound() -> np.ndarray:
    loudness = np.repeat(np.array(LOUDNESS, np.float32), RATE // 2)
    return noise(len(loudness), seed=3, amplitude=1.0) * loudness


SOUND = sound()
HOPS = len(SOUND) // HOP


@pytest.fixture(autouse=True, scope="module")
def one_thread() -> Iterator[None]:
    """As in the engine: products this small are not worth sharing."""
    with single_threaded_blas():
        yield


class Listening:
    """A detector with one stream and a sink that records its output; `push` gives it sound."""

    def __init__(self, bundle: Bundle, *, config: Config | None = None, **options: Any) -> None:
        self.sink, self.batch, self.cutter = RememberingSink(), StreamBatch(bundle), HopCutter(HOP)
        self.detector = Detector(bundle, config or bundle.config, self.batch, 0, self.sink, **options)
        self.detector.begin(Recording("x"))

    def push(self, samples: np.ndarray) -> int:
        """Pushes samples (n,) of any length; returns the number of windows scored."""
        [portion] = self.batch.push(self.cutter.push(samples)[None], [0]).portions()
        self.detector.push(portion)
        return len(portion.score)

    def end(self, seconds: float) -> None:
        self.detector.push(self.batch.flush(0, self.cutter.remainder))
        self.detector.end(seconds)

    def anomalies(self) -> list[Event]:
        return [event for event in self.sink.events if event.kind == "anomaly"]


BUNDLE = alarmed_by_loud_noise(CONFIG)


def played(cuts: Sequence[int]) -> Listening:
    """Runs the detector on SOUND, in portions of these numbers of hops."""
    run = Listening(BUNDLE, keep_recording_scores=True)
    for part in pieces(HOPS, cuts):
        run.push(SOUND[part.start * HOP : part.stop * HOP])
    run.end(len(SOUND) / RATE)
    return run


@settings(max_examples=10, deadline=None)
@given(cuts=st.lists(st.integers(3, 130), min_size=1, max_size=4))
def test_any_portions_give_the_same_events_scores_and_last_minute(cuts: list[int]) -> None:
    found, expected = played(cuts), played([50])
    events, whole = (
        [dataclasses.asdict(replace(event, wall_time=0.0, id="")) for event in run.sink.events]
        for run in (found, expected)
    )
    assert {event["kind"] for event in whole} == {"anomaly", "off"}
    names = ("kind", "start_s", "end_s", "reported_s", "cause")
    assert [[event[name] for name in names] for event in events] == [[event[name] for name in names] for event in whole]
    for name in ("peak", "mean"):
        np.testing.assert_allclose([event[name] for event in events], [event[name] for event in whole], rtol=1e-4)
    np.testing.assert_allclose(found.sink.score, expected.sink.score, rtol=1e-4)
    for ours, theirs in zip(found.detector.timeline.view()[1:], expected.detector.timeline.view()[1:], strict=True):
        np.testing.assert_allclose(ours, theirs, rtol=1e-3, atol=1e-3)
    [ours], [theirs] = found.detector.results, expected.detector.results
    assert ours.anomalies == theirs.anomalies
    assert ours.score == pytest.approx(theirs.score, rel=1e-4)


def test_an_anomaly_is_reported_by_the_very_hop_that_decides_it() -> None:
    """Although scores are otherwise evaluated less often."""
    expected = [event.reported_s for event in played([1]).anomalies() if event.end_s is None]
    run, windows, reported = Listening(BUNDLE), 0, []
    for start in range(0, len(SOUND), HOP):
        before = len(run.anomalies())
        windows += run.push(SOUND[start : start + HOP])
        reported += [(windows - 1) * HOP / RATE for event in run.anomalies()[before:] if event.end_s is None]
    assert reported
    np.testing.assert_allclose(reported, expected[: len(reported)], atol=1e-9)


def test_an_event_has_one_id_from_its_beginning_to_its_end_and_no_two_have_the_same() -> None:
    events = played([50]).sink.events
    by_id: dict[str, list[Event]] = {}
    for event in events:
        by_id.setdefault(event.id, []).append(event)
    assert len(by_id) == 3
    for begun, ended in by_id.values():
        assert (begun.end_s, begun.kind, begun.start_s) == (None, ended.kind, ended.start_s)
        assert ended.end_s is not None


def test_what_begins_an_anomaly_says_what_was_known_then_and_what_ends_it_all_of_it() -> None:
    """Peak and mean are those of the scores that had come, even where much sound comes at once."""
    run = played([HOPS])
    score = run.sink.score
    pairs = [
        (begun, ended)
        for begun, ended in zip(run.anomalies(), run.anomalies()[1:], strict=False)
        if begun.id == ended.id
    ]
    assert pairs
    for begun, ended in pairs:
        assert ended.end_s is not None
        first, reported, last = (round(at * 100) for at in (begun.start_s, begun.reported_s, ended.end_s))
        assert begun.peak == pytest.approx(score[first : reported + 1].max())
        assert begun.mean == pytest.approx(score[first : reported + 1].mean())
        assert ended.peak == pytest.approx(score[first:last].max())
        assert ended.mean == pytest.approx(score[first:last].mean())
        assert ended.reported_s == begun.reported_s >= begun.start_s
        assert begun.threshold == BUNDLE.thresholds["score"].value
        assert begun.bands
        assert begun.model_id == BUNDLE.model_id


def test_a_machine_that_is_off_has_no_scores_and_no_anomaly() -> None:
    run = played([50])
    [begun, ended] = [event for event in run.sink.events if event.kind == "off"]
    assert 3.0 <= begun.start_s <= 3.5
    assert ended.end_s is not None
    off = slice(round(begun.start_s * 100), round(ended.end_s * 100))
    assert np.isnan(run.sink.score[off]).all()
    assert np.isfinite(run.sink.score[off.stop : off.stop + 200]).all()
    for event in run.anomalies():
        assert event.start_s >= ended.end_s or event.end_s is None or event.end_s <= begun.start_s


def test_the_state_is_off_while_the_machine_is_off() -> None:
    run, states = Listening(BUNDLE), []
    for part in np.split(SOUND, len(LOUDNESS)):
        run.push(part)
        run.detector.decide()
        states.append(run.detector.state)
    assert State.OFF in states[6:9]
    assert State.OFF not in states[:6] + states[10:]


def test_a_scaled_threshold_holds_from_the_next_score_on_and_for_the_error_too() -> None:
    """Not for scores that had come and had not been looked at, because no decision was due."""
    run = Listening(never_alarmed(BUNDLE), config=small_config("alarm.lasting=false"))
    threshold, error_threshold = run.detector.threshold, run.detector.error_threshold
    before = run.push(SOUND[: 2 * RATE]) + run.push(SOUND[: RATE // 10])
    assert sum(len(rows.score) for rows in run.sink.rows) < before
    run.detector.scale_threshold(1e-12)
    assert (run.detector.threshold, run.detector.error_threshold) == (threshold * 1e-12, error_threshold * 1e-12)
    assert run.detector.anomalies == 0
    run.push(SOUND[: 2 * RATE])
    run.detector.decide()
    assert sum(len(rows.score) for rows in run.sink.rows if rows.threshold == threshold) == before
    [event] = run.sink.events
    assert event.start_s == pytest.approx(before / 100), "where the next score is"
    assert event.threshold == threshold * 1e-12


def test_behind_a_gap_times_go_on_where_the_sound_goes_on() -> None:
    """Scores, frames and the last minute have no values for the time of the gap."""
    run = Listening(never_alarmed(BUNDLE))
    run.push(SOUND[: 2 * RATE])
    run.detector.interrupt()
    assert np.isnan(run.detector.last).all()
    run.batch.reset([0])
    run.detector.resume(5.0)
    run.push(SOUND[: 2 * RATE])
    run.detector.decide()
    assert [rows.first for rows in run.sink.rows] == [0, 500]
    assert [first for first, _ in run.sink.power] == [0, 500]
    _, error, _, spectrogram = run.detector.timeline.view()
    for values in (error, spectrogram[:, 0]):
        assert np.isnan(values[20:50]).all()
        assert np.isfinite(values[53:60]).all()


def test_each_recording_has_its_own_score_times_and_count_of_anomalies() -> None:
    loud, calm = SOUND[5 * RATE : 8 * RATE], SOUND[: 2 * RATE]
    run = Listening(BUNDLE, keep_recording_scores=True)
    for number, samples in enumerate((calm, loud, calm)):
        run.detector.begin(Recording(f"{number}.wav"))
        run.push(samples)
        run.end(len(samples) / RATE)
        run.cutter.reset()
    first, second, third = run.detector.results
    assert [one.name for one in (first, second, third)] == ["0.wav", "1.wav", "2.wav"]
    assert [one.seconds for one in (first, second, third)] == [2.0, 3.0, 2.0]
    assert first.score == third.score < second.score
    assert [one.anomalies for one in (first, second, third)] == [0, 1, 0]
    assert {event.source for event in run.anomalies()} == {"1.wav"}
    assert [rows.first for rows in run.sink.rows if rows.source == "2.wav"][:1] == [0]


def test_what_lasts_when_a_recording_ends_is_ended_with_it() -> None:
    run = Listening(BUNDLE)
    run.push(SOUND[5 * RATE : 7 * RATE])
    run.end(2.0)
    begun, ended = run.anomalies()
    assert begun.end_s is None
    assert ended.end_s == pytest.approx(2.01)
    assert ended.id == begun.id
    quiet = Listening(BUNDLE)
    quiet.push(SOUND[2 * RATE : 4 * RATE])
    quiet.end(2.0)
    assert [(event.kind, event.end_s) for event in quiet.sink.events] == [("off", None), ("off", pytest.approx(2.01))]


def test_events_and_scores_carry_the_name_of_the_stream() -> None:
    run = Listening(BUNDLE, stream="press 1")
    run.push(SOUND)
    run.end(len(SOUND) / RATE)
    assert {event.stream for event in run.sink.events} == {"press 1"}
    assert {rows.stream for rows in run.sink.rows} == {"press 1"}


def test_bands_contribute_to_the_newest_score_in_its_units() -> None:
    run = Listening(BUNDLE)
    assert not run.detector.band_contribution().any()
    run.push(SOUND[: 2 * RATE])
    run.detector.decide()
    assert np.abs(run.detector.band_contribution()).sum() == pytest.approx(run.detector.last[1], rel=1e-4)


def test_a_reference_that_follows_changes_later_scores_and_says_how_far_it_has_moved() -> None:
    config = load_config(overrides=("drift.enabled=true", "drift.half_life_h=0.001", "drift.cap=100"))
    calm = never_alarmed(replace(BUNDLE, normal_scores=np.full(10, 1e9)))
    drift = Drift(calm, config.drift)
    following, fixed = Listening(calm, drift=drift), Listening(calm)
    long = np.concatenate([SOUND[: 2 * RATE]] * 35)
    for run in (following, fixed):
        for part in np.split(long, 70):
            run.push(part)
        run.detector.decide()
    moved = [event for event in following.sink.events if event.kind == "drift"]
    assert moved
    assert moved[0].start_s >= CALM_S - 0.3, "the first window that it learns from begins then"
    assert moved[-1].peak == pytest.approx(drift.share, abs=0.02)
    assert not fixed.sink.events
    np.testing.assert_array_equal(following.sink.score[:6000], fixed.sink.score[:6000])
    assert np.nanmean(following.sink.score[-200:]) < 0.9 * np.nanmean(fixed.sink.score[-200:])


def off_at_the_end() -> np.ndarray:
    return np.concatenate([noise(3 * RATE, seed=4, amplitude=0.1), noise(3 * RATE, seed=5, amplitude=1e-5)])


def test_a_machine_that_is_off_when_the_recording_ends_is_not_reported_as_on_again() -> None:
    run = Listening(BUNDLE)
    run.push(off_at_the_end())
    run.end(6.0)
    begun, ended = run.sink.events
    assert (begun.kind, begun.end_s, begun.cut_off) == ("off", None, False)
    assert (ended.id, ended.cut_off) == (begun.id, True)
    assert ended.end_s == pytest.approx(6.0, abs=0.05)
    assert run.detector.state is State.OFF
    run.detector.begin(Recording("y"))
    assert run.detector.state is not State.OFF


def test_an_anomaly_that_lasts_to_the_end_says_so_and_one_that_ends_before_does_not() -> None:
    run = Listening(BUNDLE)
    run.push(noise(2 * RATE, seed=4, amplitude=0.1))
    run.push(noise(2 * RATE, seed=5, amplitude=0.4))
    run.push(noise(3 * RATE, seed=6, amplitude=0.1))
    run.push(noise(2 * RATE, seed=7, amplitude=0.4))
    run.end(9.0)
    assert [event.cut_off for event in run.anomalies() if event.end_s is not None] == [False, True]
    assert run.detector.state is State.ANOMALY


def test_events_of_a_recording_have_the_time_at_which_it_was_made() -> None:
    run = Listening(BUNDLE)
    run.detector.begin(Recording("x", began=1.6e9))
    run.push(noise(3 * RATE, seed=4, amplitude=0.1))
    run.push(noise(3 * RATE, seed=5, amplitude=0.4))
    run.push(off_at_the_end())
    run.end(12.0)
    assert {event.kind for event in run.sink.events} == {"anomaly", "off"}
    for event in run.sink.events:
        assert event.wall_time == pytest.approx(1.6e9 + event.start_s)


def test_a_recording_knows_how_near_its_alarm_came_and_its_worst_anomaly() -> None:
    run = played([50])
    [result] = run.detector.results
    assert result.highest_share > 1
    assert result.worst is not None
    assert result.worst.peak == max(event.peak for event in run.anomalies())
    run.detector.begin(Recording("calm"))
    run.push(noise(5 * RATE, seed=4))
    run.end(5.0)
    calm = run.detector.results[-1]
    assert calm.highest_share < 1
    assert calm.worst is None
