"""The page of an event says what is known of it, why there is nothing to hear, and leads to the next one."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from monitor.store import verdicts
from monitor.store.database import Store
from monitor.web.event import event_html
from monitor.web.event.event_view import CONSEQUENCES, consequence, facts, read_view, why_silent
from support.stored import fill, stored_event


@pytest.fixture
def store(tmp_path: Path) -> Iterator[Store]:
    with Store.open(f"sqlite:///{tmp_path / 'store.sqlite'}") as store:
        fill(store, {}, [stored_event(number) for number in range(4)])  # 0 is the newest
        yield store


def ids(number: int) -> str:
    return stored_event(number).id


def test_events_lead_to_their_neighbours_in_time(store: Store) -> None:
    view = read_view(store, ids(1))
    assert view.newer is not None
    assert view.older is not None
    assert (view.newer.id, view.older.id) == (ids(0), ids(2))
    assert read_view(store, ids(0)).newer is None
    assert read_view(store, ids(3)).older is None


def test_the_next_one_without_a_verdict_is_older_or_else_the_newest(store: Store) -> None:
    verdicts.record(store, ids(2), "disturbance", by="mia")
    verdicts.record(store, ids(3), "sensor", by="mia")
    verdicts.record(store, ids(3), "", by="mia")  # withdrawn
    for here, expected in ((1, 3), (3, 0), (2, 3)):
        unjudged = read_view(store, ids(here)).unjudged
        assert unjudged is not None
        assert unjudged.id == ids(expected)
    for number in range(4):
        verdicts.record(store, ids(number), "sensor", by="mia")
    assert read_view(store, ids(0)).unjudged is None


def test_the_facts_are_those_of_the_event(store: Store) -> None:
    text = {one.name: one.text for one in facts(read_view(store, ids(0)))}
    assert text["Bands"] == "2.1-2.8 kHz, new, 60 %\n310-420 Hz, missing, 20 %"
    assert (text["Peak"], text["Lasted"], text["Cause"]) == ("355 % of the limit", "45 s", "sudden")
    assert (text["Model"], text["Seen by"]) == ("1f0c", "nobody")


@pytest.mark.parametrize(
    ("changes", "expected"),
    [
        ({"note": "Speech: the clip is not kept."}, "Speech: the clip is not kept."),
        ({"ended": None}, "It lasts."),
        ({"kind": "gap"}, "Sound is kept of anomalies only."),
        ({}, "There is no clip of it"),
    ],
)
def test_an_event_without_a_clip_says_why(changes: dict[str, object], expected: str) -> None:
    assert why_silent(stored_event(**changes), clips_enabled=True).startswith(expected)


def test_with_clips_switched_off_that_is_the_reason() -> None:
    assert "clips.enabled" in why_silent(stored_event(), clips_enabled=False)


def test_each_verdict_says_what_it_leads_to() -> None:
    assert set(CONSEQUENCES) == set(verdicts.VERDICTS)
    assert consequence("new but normal", "pump").startswith("`monitor improve pump` makes the next model learn it")
    assert "improve 'gear box 2'" in consequence("new but normal", "gear box 2")


def test_whoever_may_not_write_sees_the_verdict_but_no_buttons(store: Store) -> None:
    verdicts.record(store, ids(0), "disturbance", by="mia", comment="the <b>crew</b>")
    view = read_view(store, ids(0))
    reader, writer = (event_html.parts(view, may_write=one, clips_enabled=True)["judge"] for one in (False, True))
    assert "data-verdict" not in reader
    assert writer.count("data-verdict") == 6  # five, and to withdraw
    for html in (reader, writer):
        assert "the &lt;b&gt;crew&lt;/b&gt;" in html
        assert "mia" in html
