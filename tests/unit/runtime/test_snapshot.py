"""What a live stream tells the screen: how near the alarm is, what a changed limit means, and what was not heard."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from monitor.core.events import State
from monitor.core.snapshot import Snapshot
from monitor.outputs.sink import Sink
from support.builders import RATE, noise, small_bundle, small_config
from support.clock import Clock
from support.listening import never_alarmed, with_thresholds
from support.live_stream import HOP_S, MODULES, LiveStream

BUNDLE = never_alarmed(small_bundle(small_config("alarm.warm_up_s=0.5")))


def listening(monkeypatch: pytest.MonkeyPatch, bundle: object = BUNDLE) -> LiveStream:
    return LiveStream(Clock(monkeypatch, *MODULES), bundle)  # type: ignore[arg-type]


def test_time_without_a_microphone_is_empty_on_the_screen_while_it_lasts_and_afterwards(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    live = listening(monkeypatch)
    live.hear(noise(5 * RATE))
    live.source.lost_since = live.clock.now
    live.wait(3.0)
    live.stream.publish(0.0)
    shown = live.stream.latest
    assert np.isnan(shown.spectrogram[-28:]).all()
    assert np.isnan(shown.share_history[-28:]).all()
    assert np.isfinite(shown.share_history[20:45]).all()
    assert len(shown.share_history) == pytest.approx(80, abs=2)
    live.lose(1.0)
    live.hear(noise(3 * RATE))
    live.stream.publish(0.0)
    later = live.stream.latest
    assert np.isnan(later.spectrogram[52:85]).all()
    assert np.isfinite(later.spectrogram[-20:]).all()


def test_the_level_of_a_microphone_that_is_back_is_that_of_what_it_hears_now(monkeypatch: pytest.MonkeyPatch) -> None:
    live = listening(monkeypatch)
    live.hear(noise(RATE))
    live.lose(1.0)
    live.hear(noise(RATE // 2) / 100)
    live.stream.publish(0.0)
    assert live.stream.latest.peak_dbfs < -30.0


def test_the_share_of_the_limit_and_its_history_end_at_the_same_value(monkeypatch: pytest.MonkeyPatch) -> None:
    live = listening(monkeypatch)
    live.hear(noise(4 * RATE))
    live.stream.publish(0.0)
    shown = live.stream.latest
    share, lasting = (values[np.isfinite(values)] for values in (shown.share_history, shown.lasting_history))
    assert shown.share_of_limit == pytest.approx(share[-1], rel=1e-5)
    assert shown.lasting_sum == pytest.approx(lasting[-1], abs=1e-5)
    assert len(shown.share_history) == len(shown.error_history) == len(shown.lasting_history)


def test_a_limit_that_was_changed_no_longer_promises_the_calibrated_rate(monkeypatch: pytest.MonkeyPatch) -> None:
    bundle = small_bundle()
    known = {
        name: threshold.model_copy(update={"tenfold": 0.8 * threshold.value, "tenth": 1.4 * threshold.value})
        for name, threshold in bundle.thresholds.items()
    }
    live = listening(monkeypatch, replace(bundle, thresholds=known))
    assert live.stream.latest.threshold_note.startswith("1 false alarm a day")
    assert live.stream.latest.false_alarms == "about 1 false alarm a day"
    live.engine.scale_threshold(1.05)
    live.turn()
    note = live.stream.latest.threshold_note
    assert note.startswith("changed by key, about 0.")
    assert live.stream.latest.false_alarms in note
    live.engine.scale_threshold(1 / 1.05)
    live.turn()
    assert live.stream.latest.threshold_note.startswith("1 false alarm a day")


class Snapshots(Sink):
    """Keeps the snapshots of a stream."""

    def __init__(self) -> None:
        self.seen: list[Snapshot] = []

    def snapshot(self, snapshot: Snapshot) -> None:
        self.seen.append(snapshot)


@pytest.mark.parametrize(("looking", "expected"), [(False, 4), (True, 40)])
def test_snapshots_are_made_often_only_while_somebody_looks(
    monkeypatch: pytest.MonkeyPatch, looking: bool, expected: int
) -> None:
    sink = Snapshots()
    live = LiveStream(Clock(monkeypatch, *MODULES), BUNDLE, sinks=[sink])
    for _ in range(400):
        live.hear(noise(round(HOP_S * RATE)))
        assert live.engine.latest if looking else live.engine.published
        live.engine.publish(live.clock.now)
    assert len(sink.seen) == pytest.approx(expected, abs=2)


def test_the_mean_level_is_that_of_all_sound_since_the_last_snapshot(monkeypatch: pytest.MonkeyPatch) -> None:
    live = listening(monkeypatch)
    for quieter in (1, 100):
        live.hear(noise(RATE) / quieter)
        live.hear(noise(RATE) / 1000)
        live.stream.publish(0.0)
        shown = live.stream.latest
        assert shown.mean_level_dbfs - shown.level_dbfs == pytest.approx(57 - 20 * np.log10(quieter), abs=1.0)


def test_an_anomaly_is_passed_on_at_once_although_nobody_looks(monkeypatch: pytest.MonkeyPatch) -> None:
    """So home automation learns of it without delay."""
    sink = Snapshots()
    alarmed = with_thresholds(small_bundle(), 1e-9)
    live = LiveStream(Clock(monkeypatch, *MODULES), alarmed, sinks=[sink])
    live.engine.publish(live.clock.now)
    while not live.events("anomaly"):
        live.hear(noise(round(HOP_S * RATE)))
        live.engine.publish(live.clock.now)
    assert sink.seen[-1].state is State.ANOMALY
    assert sink.seen[-1].position_s == pytest.approx(live.clock.now - 1000.0, abs=0.01)
