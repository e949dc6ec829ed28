"""What the demo says at its end: what broke, when, and what the monitor said."""

from __future__ import annotations

from types import SimpleNamespace
from typing import Any

from monitor.core.events import Event
from train.demo.demo import ONSET_S, _story
from train.demo.modes import FAST, SLOW, Change


def anomaly(start_s: float, cause: str, peak: float = 8.0) -> Event:
    return Event("anomaly", start_s, None, 0.0, "belt.wav", peak=peak, threshold=4.0, cause=cause)


def told(*events: Event, heard_s: float = 45.0, changes: tuple[Change, ...] = ()) -> str:
    stream: Any = SimpleNamespace(results=[SimpleNamespace(seconds=heard_s)], events=list(events))
    return _story(stream, "belt", changes)


def test_an_anomaly_after_the_onset_is_told_with_its_kind_and_height() -> None:
    story = told(anomaly(22.0, "lasting", peak=2.8))
    assert "an anomaly that began at 22.0 s (small but lasting); its score rose to 70 % of the limit" in story
    assert "was no false alarm" in story


def test_false_alarms_before_the_onset_are_counted() -> None:
    assert "there was 1 false alarm." in told(anomaly(3.0, "sudden"), anomaly(22.0, "sudden"))
    assert "there were 2 false alarms." in told(anomaly(3.0, "sudden"), anomaly(9.0, "lasting"))


def test_a_recording_that_is_unusual_as_a_whole_is_neither_a_false_alarm_nor_silence() -> None:
    story = told(anomaly(0.0, "recording"))
    assert "the recording as a whole was above all normal recordings" in story
    assert "was no false alarm" in story
    assert "did not call it an anomaly" in told()


def test_changes_of_speed_are_told_as_far_as_they_were_heard() -> None:
    changes = (Change(5.0, 1.0, FAST), Change(40.0, 1.0, SLOW))
    assert "At 5 s its speed changed: fast." in told(changes=changes)
    assert "At 40 s" not in told(heard_s=30.0, changes=changes)


def test_leaving_before_the_fault_is_told() -> None:
    assert told(heard_s=ONSET_S).startswith("You left before the belt fault set in")
