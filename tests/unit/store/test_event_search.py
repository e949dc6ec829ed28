"""Searching events: filters, order, and pages that follow each other."""

from __future__ import annotations

import time

import pytest

from monitor.core.events import Event
from monitor.store import queries, rows, verdicts
from monitor.store.database import Store
from monitor.store.event_search import EventSearch, Place, count, neighbours, page
from support.stored import NOW, fill, stored_event


@pytest.fixture
def store(store_url: str) -> Store:
    """Twelve events of two streams, hour by hour; every third is a gap, and two anomalies have verdicts."""
    made = Store.open(store_url)
    fill(made, {}, [
        stored_event(n, kind="gap" if n % 3 == 2 else "anomaly", stream="pump" if n % 2 else "fan",
                     ended=None if n == 0 else NOW - 3600.0 * n,
                     acknowledged=NOW if n in (3, 4) else None) for n in range(12)
    ])  # fmt: skip
    verdicts.record(made, stored_event(0).id, "real fault", by="Maria")
    verdicts.record(made, stored_event(4).id, "disturbance", by="Maria")
    verdicts.record(made, stored_event(6).id, "sensor", by="Maria")
    verdicts.record(made, stored_event(6).id, "", by="Maria")
    return made


def numbers(store: Store, wanted: EventSearch, size: int = 100) -> list[int]:
    """The numbers of the events that are found, page by page."""
    found: list[int] = []
    after: Place | None = None
    while True:
        got = page(store, wanted, after=after, size=size)
        assert len(got.events) <= size
        found += [int(one.id[9:13], 16) for one in got.events]
        if (after := got.next) is None:
            return found


def test_anomalies_that_nobody_has_judged_come_first_and_a_withdrawn_verdict_is_none(store: Store) -> None:
    wanted = EventSearch(kinds=("anomaly",), order="to judge")
    assert numbers(store, wanted) == [1, 3, 6, 7, 9, 10, 0, 4]
    assert numbers(store, EventSearch(kinds=("anomaly",))) == [0, 1, 3, 4, 6, 7, 9, 10]


@pytest.mark.parametrize("order", ["newest", "to judge"])
@pytest.mark.parametrize("size", [1, 3, 5])
def test_pages_have_each_event_once_in_the_order_of_the_whole_list(store: Store, order: str, size: int) -> None:
    wanted = EventSearch(order=order)  # type: ignore[arg-type]
    whole = numbers(store, wanted)
    assert sorted(whole) == list(range(12))
    assert numbers(store, wanted, size) == whole


def test_filters_narrow_each_other(store: Store) -> None:
    ids = {one.name: one.id for one in queries.streams(store)}
    assert numbers(store, EventSearch(streams=(ids["fan"],), kinds=("gap",))) == [2, 8]
    assert numbers(store, EventSearch(verdicts=("real fault", "disturbance"))) == [0, 4]
    assert numbers(store, EventSearch(kinds=("anomaly",), verdicts=("",))) == [1, 3, 6, 7, 9, 10]
    assert numbers(store, EventSearch(since=NOW - 3 * 3600 - 600, until=NOW - 3600 - 600)) == [2, 3]
    judged = {0, 4, 6}  # a verdict acknowledges, too
    assert numbers(store, EventSearch(open_only=True)) == [n for n in range(12) if n == 0 or n not in {3} | judged]
    assert numbers(store, EventSearch(verdicts=("",), order="to judge", kinds=("gap",))) == [2, 5, 8, 11]


def test_the_number_of_events_is_that_of_the_list(store: Store) -> None:
    for wanted in (EventSearch(), EventSearch(verdicts=("",)), EventSearch(open_only=True, kinds=("anomaly",))):
        assert count(store, wanted) == len(numbers(store, wanted))


def test_the_neighbours_of_an_event_are_those_beside_it_in_the_list(store: Store) -> None:
    for wanted in (EventSearch(), EventSearch(kinds=("anomaly",), order="to judge")):
        listed = page(store, wanted).events
        for i, one in enumerate(listed):
            before, behind = neighbours(store, wanted, one)
            assert before == (listed[i - 1].id if i else "")
            assert behind == (listed[i + 1].id if i + 1 < len(listed) else "")


def test_an_event_that_arrives_while_one_scrolls_moves_no_page(store: Store) -> None:
    first = page(store, EventSearch(), size=5)
    with store.begin() as connection:
        new = Event("anomaly", 0.0, 1.0, time.time(), "mic")
        rows.write_event(connection, 1, rows.event_columns(new, 1.2, 1.0))
    second = page(store, EventSearch(), after=first.next, size=5)
    assert [int(one.id[9:13], 16) for one in second.events] == [5, 6, 7, 8, 9]
