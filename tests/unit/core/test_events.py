"""Events have unique identifiers that sort by creation time."""

from __future__ import annotations

import time
import uuid
from dataclasses import replace

import pytest

from monitor.core.events import Event, new_event_id


def test_the_id_of_an_event_is_a_uuid_of_version_7() -> None:
    for _ in range(200):
        text = new_event_id()
        parsed = uuid.UUID(text)
        assert str(parsed) == text
        assert parsed.version == 7
        assert parsed.variant == uuid.RFC_4122


def test_ids_sort_by_creation_time(monkeypatch: pytest.MonkeyPatch) -> None:
    """From the first millisecond of Unix time to the year 10889."""
    times = [0, 1_000_000, 2_000_000, 1_700_000_000_000_000_000, 1_700_000_000_001_000_000, (2**48 - 1) * 1_000_000]
    ids = []
    for at in times:
        monkeypatch.setattr(time, "time_ns", lambda at=at: at)
        ids.append(new_event_id())
        assert uuid.UUID(ids[-1]).int >> 80 == at // 1_000_000
    assert ids == sorted(ids)


def test_no_two_events_have_the_same_id_even_in_the_same_millisecond(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(time, "time_ns", lambda: 1_700_000_000_000_000_000)
    assert len({new_event_id() for _ in range(10_000)}) == 10_000
    first, second = (Event("anomaly", 1.0, None, 0.0, "pump") for _ in range(2))
    assert first.id != second.id
    assert replace(first, end_s=3.0).id == first.id, "the same event when it ends"


def test_an_event_has_a_duration_only_when_it_has_ended() -> None:
    event = Event("anomaly", 1.5, None, 0.0, "pump")
    assert event.duration_s is None
    assert replace(event, end_s=4.0).duration_s == 2.5
