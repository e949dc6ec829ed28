"""A machine that runs in a mode that was never heard in training: a state and an event, no alarm, no verdict."""

from __future__ import annotations

import math
from collections.abc import Iterator
from dataclasses import replace

import numpy as np
import pytest

from monitor.bundle.bundle import Bundle
from monitor.core.events import Event, State
from monitor.core.thread_pool import single_threaded_blas
from monitor.detection.detector import Detector
from monitor.detection.recording import Recording, RecordingResult
from monitor.detection.verdict import Word, verdict
from monitor.scoring.operating_modes import OperatingModes
from monitor.streaming.hops import HopCutter
from monitor.streaming.stream_batch import StreamBatch
from support.builders import RATE, noise, small_bundle, small_config
from support.listening import RememberingSink, never_alarmed

OVERRIDES = ("alarm.warm_up_s=0.2", "alarm.run_up_s=0.5", "alarm.lasting=false", "score.window_s=1.0")
CONFIG = small_config(*OVERRIDES)
MEAN_S = CONFIG.score.window_s


def with_two_modes() -> Bundle:
    """A model for which noise of amplitude 0.1 is normal in both modes."""
    made = small_bundle(CONFIG, modes=2)
    [portion] = StreamBatch(made).push(noise(20 * RATE, seed=4, streams=1), [0]).portions()
    known = np.isfinite(portion.score)
    means, layout = portion.means[known], made.layout
    highest, lowest = layout.extreme_columns
    of_band = (means[:, layout.level_columns], means[:, highest] - means[:, lowest])
    usual = np.stack([figure for values in of_band for figure in (values.mean(0), 3 * values.std(0))])
    assert made.modes is not None
    modes: OperatingModes = replace(made.modes, usual=np.repeat(usual[:, None], 2, axis=1).astype(np.float32))
    score = made.thresholds["score"].model_copy(update={"value": 1.5 * float(portion.score[known].max())})
    recording = made.thresholds["recording"].model_copy(update={"highest": 1e-6, "length_s": 2.0})
    return replace(made, modes=modes, thresholds=made.thresholds | {"score": score, "recording": recording})


BUNDLE = with_two_modes()
KNOWN, OTHER, OFF = (noise(6 * RATE, seed=5 + n, amplitude=level) for n, level in enumerate((0.1, 0.4, 1e-5)))
FAULT = OTHER * np.tile(np.repeat(np.array([0.2, 1.8], np.float32), RATE // 10), 30)  # as loud, but rough: it rattles


@pytest.fixture(autouse=True, scope="module")
def one_thread() -> Iterator[None]:
    with single_threaded_blas():
        yield


class Heard:
    """What a detector reports about a recording, in pushes of a tenth of a second."""

    def __init__(self, *parts: np.ndarray, bundle: Bundle = BUNDLE, judge_whole: bool = False) -> None:
        self.sink, batch = RememberingSink(), StreamBatch(bundle)
        self.detector = Detector(bundle, bundle.config, batch, 0, self.sink, keep_recording_scores=judge_whole)
        self.detector.begin(Recording("x.wav"))
        self.states, cutter = [], HopCutter(CONFIG.features.hop_length)
        samples = np.concatenate(parts)
        for piece in np.split(samples, len(samples) // (RATE // 10)):
            self.detector.push(batch.push(cutter.push(piece)[None], [0]).portions()[0])
            self.detector.decide()
            self.states.append(self.detector.state)
        self.detector.push(batch.flush(0, cutter.remainder))
        self.detector.end(len(samples) / RATE)
        [self.result] = self.detector.results

    @property
    def events(self) -> list[Event]:
        return self.sink.events

    def kinds(self) -> list[tuple[str, bool]]:
        """The kind of each report, and whether it is that of the end."""
        return [(event.kind, event.end_s is not None) for event in self.events]


def test_it_is_an_event_that_begins_and_ends_once_and_no_anomaly() -> None:
    heard = Heard(KNOWN, OTHER, KNOWN)
    assert heard.kinds() == [("new mode", False), ("new mode", True)]
    begun, ended = heard.events
    assert ended.id == begun.id
    assert not ended.cut_off
    assert 6.0 < begun.start_s <= 6.0 + 1.5 * MEAN_S
    assert ended.end_s is not None
    assert 12.0 < ended.end_s <= 12.0 + 2 * MEAN_S
    assert heard.result.anomalies == heard.detector.anomalies == 0
    assert heard.result.new_mode_s == pytest.approx(ended.end_s - begun.start_s)


def test_the_state_says_so_while_it_lasts_and_is_normal_again_after_it() -> None:
    states = Heard(KNOWN, OTHER, KNOWN).states
    assert set(states[75:120]) == {State.NEW_MODE}
    assert State.NEW_MODE not in states[:60] + states[145:]
    assert states[-1] is State.NORMAL


def test_while_it_lasts_the_alarm_makes_no_decisions_but_there_are_scores() -> None:
    heard = Heard(KNOWN, OTHER)
    assert math.isnan(heard.detector.share_of_limit)
    assert np.isfinite(heard.sink.score[-300:]).all()
    assert heard.result.highest_share <= 1


def test_a_fault_in_a_known_mode_is_reported_with_a_mean_more_of_delay_at_most() -> None:
    heard = Heard(KNOWN, FAULT)
    assert heard.kinds() == [("anomaly", False), ("anomaly", True)]
    assert heard.events[0].reported_s <= 6.0 + 2 * MEAN_S + CONFIG.alarm.n * CONFIG.alarm.block_s


def test_an_anomaly_that_lasts_ends_before_the_new_mode_begins() -> None:
    heard = Heard(KNOWN, FAULT, OTHER)
    assert heard.kinds() == [("anomaly", False), ("anomaly", True), ("new mode", False), ("new mode", True)]
    _, anomaly, mode, _ = heard.events
    assert anomaly.end_s is not None
    assert anomaly.end_s <= mode.start_s
    assert not anomaly.cut_off


def test_a_machine_that_is_off_is_off_and_not_in_a_new_mode() -> None:
    heard = Heard(KNOWN, OTHER, OFF, KNOWN)
    new, off = ([event for event in heard.events if event.kind == kind] for kind in ("new mode", "off"))
    assert [event.end_s is not None for event in new] == [False, True]
    assert [event.end_s is not None for event in off] == [False, True]
    assert new[1].end_s is not None
    assert new[1].end_s <= off[0].start_s
    assert heard.events.index(new[1]) < heard.events.index(off[0])
    assert not heard.result.anomalies
    whole = 24.0 - heard.result.off_s - heard.result.new_mode_s
    assert 0 < whole < 24.0


@pytest.mark.parametrize(("off_below", "kind"), [("never", "new mode"), ("-5", "off")])
def test_a_machine_that_is_quiet_enough_to_be_off_is_not_in_a_new_mode(off_below: str, kind: str) -> None:
    config = small_config(*OVERRIDES, f"alarm.off_below_dbfs={off_below}")
    heard = Heard(OTHER, bundle=replace(BUNDLE, config=config))
    assert heard.kinds() == [(kind, False), (kind, True)]


def test_where_the_recording_ends_in_it_the_event_is_cut_off_and_the_state_remains() -> None:
    heard = Heard(KNOWN, OTHER)
    assert [event.cut_off for event in heard.events] == [False, True]
    assert heard.events[-1].end_s == pytest.approx(12.0, abs=0.02)
    assert heard.detector.state is State.NEW_MODE
    heard.detector.begin(Recording("y.wav"))
    assert heard.detector.state is State.LISTENING


def test_a_gap_ends_it_and_what_comes_after_is_judged_anew() -> None:
    heard = Heard(KNOWN, OTHER)
    heard.detector.interrupt()
    assert heard.detector.state is State.LISTENING


def test_such_a_recording_is_not_judged_as_a_whole_although_its_score_is_above_all_normal_ones() -> None:
    assert Heard(KNOWN, judge_whole=True).result.anomalies == 1
    heard = Heard(KNOWN, OTHER, judge_whole=True)
    assert heard.result.anomalies == 0
    found = verdict(heard.result, 0.0)
    assert found.word is Word.UNKNOWN
    assert "an operating mode not heard in training" in found.reason


def test_an_anomaly_is_the_verdict_even_if_the_mode_was_unknown_for_a_time() -> None:
    result = RecordingResult("a.wav", 9.0, 30.0, 1, 1.2, new_mode_s=8.0)
    assert verdict(result, 1.0).word is Word.ANOMALY
    found = verdict(replace(result, anomalies=0), 1.0)
    assert (found.word, found.reason) == (Word.UNKNOWN, "an operating mode not heard in training, 8 s")


def test_a_machine_with_one_mode_is_never_in_a_new_one() -> None:
    heard = Heard(KNOWN, OTHER, bundle=replace(never_alarmed(small_bundle(CONFIG))))
    assert not heard.events
    assert heard.result.new_mode_s == 0.0
