"""The newest events are kept for the screen, all that is found goes to every sink, and one that fails disturbs none."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import numpy as np
import pytest

from monitor.core.events import Event
from monitor.detection.anomaly import Anomaly
from monitor.outputs.event_tracker import KEPT, EventTracker
from monitor.outputs.sink import Sink
from support.listening import RememberingSink
from support.outputs import anomaly, score_rows


def gap(start_s: float) -> Event:
    return Event("gap", start_s, start_s + 1, 0.0, "mic", lost_samples=100)


def test_an_event_that_ends_takes_the_place_of_its_beginning_whatever_came_between() -> None:
    tracker = EventTracker([])
    begun = anomaly(end_s=None)
    reminded, ended = replace(begun, reminders=1), replace(begun, end_s=9.0)
    for event in (begun, gap(3), reminded, gap(5), ended, gap(7)):
        tracker.event(event)
    assert [(event.kind, event.start_s, event.end_s) for event in tracker.events] == [
        ("anomaly", 1.5, 9.0), ("gap", 3, 4), ("gap", 5, 6), ("gap", 7, 8)
    ]  # fmt: skip


def test_two_anomalies_at_the_same_time_of_two_recordings_are_two() -> None:
    tracker = EventTracker([])
    for source in ("a.wav", "b.wav"):
        begun = anomaly(end_s=None, source=source)
        tracker.event(begun)
        tracker.event(replace(begun, end_s=4.0))
    assert [event.source for event in tracker.events] == ["a.wav", "b.wav"]


def test_the_newest_hundred_events_are_kept_and_the_sinks_get_all() -> None:
    sink = RememberingSink()
    tracker = EventTracker([sink])
    events = [gap(float(number)) for number in range(250)]
    for event in events:
        tracker.event(event)
    assert KEPT == 100
    assert list(tracker.events) == events[-100:]
    assert sink.events == events


def test_the_screen_shows_what_is_known_by_now_of_the_anomaly_that_lasts() -> None:
    tracker = EventTracker([])
    begun = anomaly(end_s=None)
    for event in (gap(0), begun):
        tracker.event(event)
    assert tracker.current(None) == (tracker.events[0], begun)
    ongoing = Anomaly(150, "sudden", id=begun.id)
    ongoing.add(np.array([50.0, 60.0]))
    before, now = tracker.current(ongoing)
    assert before == tracker.events[0]
    assert now == replace(begun, peak=60.0, mean=55.0)
    assert tracker.events[1] == begun


class Broken(Sink):
    """A sink that raises an error in one of its methods."""

    def __init__(self, kind: str) -> None:
        self.calls: list[str] = []
        self._kind = kind

    def _called(self, kind: str) -> None:
        self.calls.append(kind)
        if kind == self._kind:
            raise ZeroDivisionError("by nobody's fault")

    def frames(self, first: int, power: Any) -> None:
        self._called("frames")

    def event(self, event: Event) -> None:
        self._called("event")

    def scores(self, rows: Any) -> None:
        self._called("scores")


@pytest.mark.parametrize("kind", ["frames", "event", "scores"])
def test_a_sink_that_raises_gets_nothing_more_and_its_error_is_logged_once(
    kind: str, caplog: pytest.LogCaptureFixture
) -> None:
    broken, healthy = Broken(kind), RememberingSink()
    tracker = EventTracker([broken, healthy])
    for number in range(3):
        tracker.frames(number, np.zeros((1, 4), np.float32))
        tracker.event(gap(number))
        tracker.scores(score_rows())
    assert broken.calls[-1] == kind
    assert broken.calls.count(kind) == 1
    assert "by nobody's fault" in str(broken.error)
    assert [len(healthy.power), len(healthy.events), len(healthy.rows)] == [3, 3, 3]
    assert healthy.error is None
    assert len(tracker.events) == 3
    assert [record.message for record in caplog.records] == [str(broken.error)]
