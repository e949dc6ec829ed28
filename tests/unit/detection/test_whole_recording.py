"""A recording whose score is above those of all normal recordings is an anomaly, even if there was no alarm in it."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace

import numpy as np
import pytest

from monitor.bundle.bundle import Bundle
from monitor.config.loader import load_config
from monitor.core.events import State
from monitor.core.thread_pool import single_threaded_blas
from monitor.detection.detector import Detector
from monitor.detection.drift import Drift
from monitor.detection.recording import Recording
from monitor.detection.verdict import Word, verdict
from monitor.streaming.hops import HopCutter
from monitor.streaming.stream_batch import StreamBatch
from support.builders import RATE, noise, small_config
from support.listening import RememberingSink, alarmed_by_loud_noise, never_alarmed

CONFIG = small_config("alarm.warm_up_s=0.2", "alarm.lasting=false")
ALARMED = alarmed_by_loud_noise(CONFIG)
CALM = never_alarmed(ALARMED)
NORMAL, LOUD = noise(3 * RATE, seed=4, amplitude=0.1), noise(3 * RATE, seed=5, amplitude=0.4)


@pytest.fixture(autouse=True, scope="module")
def one_thread() -> Iterator[None]:
    with single_threaded_blas():
        yield


class Playing:
    """A detector that hears recordings, and remembers what it reports."""

    def __init__(self, bundle: Bundle, *, drift: Drift | None = None) -> None:
        self.sink, self.batch = RememberingSink(), StreamBatch(bundle)
        self.detector = Detector(
            bundle, bundle.config, self.batch, 0, self.sink, keep_recording_scores=True, drift=drift
        )

    def play(self, samples: np.ndarray, name: str = "x.wav", *, gap: bool = False) -> None:
        cutter = HopCutter(CONFIG.features.hop_length)
        self.detector.begin(Recording(name, began=1.6e9))
        for part in np.array_split(samples, 4):
            self.detector.push(self.batch.push(cutter.push(part)[None], [0]).portions()[0])
            if gap:
                self.detector.interrupt()
        self.detector.push(self.batch.flush(0, cutter.remainder))
        self.detector.end(len(samples) / RATE)

    def state(self) -> State:
        return self.detector.state


def whole_score(samples: np.ndarray) -> float:
    playing = Playing(CALM)
    playing.play(samples)
    return playing.detector.results[0].score


def knowing(bundle: Bundle, highest: float | None, **fields: object) -> Bundle:
    """The model, with the score that hardly any normal recording exceeds."""
    changed = {"value": 0.5 * whole_score(NORMAL), "length_s": 2.0, "highest": highest} | fields
    threshold = bundle.thresholds["recording"].model_copy(update=changed)
    return replace(bundle, thresholds=bundle.thresholds | {"recording": threshold})


HIGHEST = 0.5 * (whole_score(NORMAL) + whole_score(LOUD))


def test_it_is_reported_once_from_its_beginning_to_its_end_with_the_bands_that_contribute() -> None:
    playing = Playing(knowing(CALM, HIGHEST))
    playing.play(LOUD)
    begun, ended = playing.sink.events
    [result] = playing.detector.results
    assert (begun.kind, begun.cause, begun.source, begun.start_s, begun.end_s) == (
        "anomaly", "recording", "x.wav", 0.0, None,
    )  # fmt: skip
    assert ended == replace(begun, end_s=3.0)
    assert ended.peak == ended.mean == result.score > ended.threshold == HIGHEST
    assert (ended.reported_s, ended.wall_time, ended.model_id) == (3.0, 1.6e9, CALM.model_id)
    assert ended.bands
    assert (result.anomalies, result.worst, playing.detector.anomalies) == (1, ended, 1)
    found = verdict(result, CALM.recording_limit(3.0))
    assert (found.word, found.reason.split(",")[0]) == (Word.ANOMALY, "above all normal recordings")


def test_a_score_that_normal_recordings_have_had_is_suspicious_at_most() -> None:
    playing = Playing(knowing(CALM, 2 * whole_score(LOUD)))
    playing.play(LOUD)
    assert not playing.sink.events
    assert verdict(playing.detector.results[0], 0.5 * HIGHEST).word is Word.SUSPICIOUS


def test_a_model_that_does_not_know_reports_nothing() -> None:
    """For example one of an older version, or one of a few recordings."""
    playing = Playing(knowing(CALM, None))
    playing.play(LOUD)
    assert not playing.sink.events


def test_a_recording_with_an_alarm_is_not_reported_a_second_time() -> None:
    playing = Playing(knowing(ALARMED, HIGHEST))
    playing.play(LOUD)
    assert [event.cause for event in playing.sink.events] == ["sudden", "sudden"]
    assert playing.detector.results[0].anomalies == 1


def test_a_machine_that_stops_is_not_reported_for_that() -> None:
    playing = Playing(knowing(CALM, 0.0))
    playing.play(np.concatenate([NORMAL, noise(3 * RATE, seed=5, amplitude=1e-5)]))
    assert {event.kind for event in playing.sink.events} == {"off"}


def test_a_recording_that_is_too_short_or_has_gaps_is_not_judged_as_a_whole() -> None:
    for changed, gap in (({"length_s": 10.0}, False), ({}, True)):
        playing = Playing(knowing(CALM, HIGHEST, **changed))
        playing.play(LOUD, gap=gap)
        assert not playing.sink.events


def test_where_the_reference_follows_the_machine_recordings_are_not_compared_with_the_one_it_began_with() -> None:
    drift = Drift(CALM, load_config(overrides=("drift.enabled=true",)).drift)
    playing = Playing(knowing(CALM, HIGHEST), drift=drift)
    playing.play(LOUD)
    assert not playing.sink.events


def test_a_limit_from_labelled_recordings_may_be_higher_than_all_normal_sound() -> None:
    bundle = knowing(CALM, HIGHEST, value=2 * HIGHEST)
    assert bundle.highest_normal(3.0) == bundle.recording_limit(3.0) == 2 * HIGHEST


def test_the_state_is_anomaly_until_the_next_recording_begins() -> None:
    playing = Playing(knowing(CALM, HIGHEST))
    playing.play(LOUD)
    assert playing.state() is State.ANOMALY
    playing.play(NORMAL, "y.wav")
    assert playing.state() is State.NORMAL
    assert {event.source for event in playing.sink.events} == {"x.wav"}
