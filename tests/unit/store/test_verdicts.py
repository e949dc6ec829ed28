"""What people say of events is kept with who, when and which model; the newest verdict counts."""

from __future__ import annotations

from collections.abc import Iterator

import pytest
import sqlalchemy as sa

from monitor.core.errors import EXIT_USAGE
from monitor.store import queries, tables
from monitor.store.database import Store, StoreError
from monitor.store.retention import DAY_S, Retention
from monitor.store.verdicts import VERDICTS, VerdictError, record, verdict_named, verdicts_of
from support.stored import NOW, fill, stored_event

EVENT, OTHER = stored_event(1, clip=None), stored_event(2, clip=None)


@pytest.fixture
def store(store_url: str) -> Iterator[Store]:
    with Store.open(store_url) as opened:
        fill(opened, {}, [EVENT, OTHER])
        yield opened


def trail(store: Store) -> list[tuple[str, str, str, object]]:
    with store.reading() as connection:
        rows = connection.execute(sa.select(tables.audit).order_by(tables.audit.c.id)).mappings()
        return [(row["by"], row["what"], row["subject"], row["facts"]) for row in rows]


def test_a_verdict_is_kept_with_who_when_and_which_model_and_in_the_audit_trail(store: Store) -> None:
    record(store, EVENT.id, "real fault", by="anna", comment=" worn\n bearing ")
    [one] = verdicts_of(store, EVENT.id)
    assert (one.verdict, one.by, one.comment, one.model_id) == ("real fault", "anna", "worn bearing", "1f0c")
    event = queries.event(store, EVENT.id)
    assert (event.verdict, event.verdict_by, event.verdict_comment) == ("real fault", "anna", "worn bearing")
    assert event.verdict_time == pytest.approx(one.time)
    after = {"verdict": "real fault", "comment": "worn bearing", "model_id": "1f0c"}
    assert trail(store) == [
        ("anna", "verdict", EVENT.id, {"before": None, "after": after}),
        ("anna", "acknowledge", EVENT.id, {"before": None, "after": True}),
    ]


def test_whoever_judges_an_event_has_seen_it_and_who_saw_it_first_stays_known(store: Store) -> None:
    record(store, EVENT.id, "sensor", by="anna")
    record(store, EVENT.id, "maintenance", by="ben")
    assert queries.event(store, EVENT.id).acknowledged_by == "anna"
    assert queries.event(store, OTHER.id).acknowledged is None


def test_the_newest_verdict_counts_and_withdrawing_it_leaves_the_history(store: Store) -> None:
    for verdict, by in (("disturbance", "anna"), ("real fault", "ben"), ("", "ben")):
        record(store, EVENT.id, verdict, by=by)
    assert [one.verdict for one in verdicts_of(store, EVENT.id)] == ["disturbance", "real fault", ""]
    event = queries.event(store, EVENT.id)
    assert (event.verdict, event.verdict_by, event.verdict_time) == ("", "", None)


def test_a_verdict_that_is_given_twice_is_written_once(store: Store) -> None:
    for by in ("anna", "anna", "ben"):
        record(store, EVENT.id, "sensor", by=by)
    record(store, OTHER.id, "", by="anna")  # there is nothing to withdraw
    assert [one.by for one in verdicts_of(store, EVENT.id)] == ["anna", "ben"]
    assert verdicts_of(store, OTHER.id) == []


def test_events_are_found_by_their_newest_verdict(store: Store) -> None:
    record(store, EVENT.id, "sensor", by="anna")
    record(store, EVENT.id, "real fault", by="anna")
    found = {
        verdict: [one.id for one in queries.events(store, verdicts=[verdict])]
        for verdict in ("sensor", "real fault", "")
    }
    assert found == {"sensor": [], "real fault": [EVENT.id], "": [OTHER.id]}
    record(store, EVENT.id, "", by="anna")
    assert len(queries.events(store, verdicts=[""])) == 2


def test_an_event_is_kept_as_long_as_it_has_a_verdict(store: Store) -> None:
    record(store, EVENT.id, "sensor", by="anna")
    old = Retention(DAY_S, DAY_S, 1e12)
    while old.step(store, NOW + 10 * DAY_S):
        pass
    assert [one.id for one in queries.events(store)] == [EVENT.id]
    record(store, EVENT.id, "", by="anna")
    while old.step(store, NOW + 10 * DAY_S):
        pass
    assert queries.events(store) == []


def test_what_is_no_verdict_or_of_no_event_is_refused_and_nothing_is_written(store: Store) -> None:
    with pytest.raises(VerdictError, match="'fine' is no verdict") as caught:
        record(store, EVENT.id, "fine", by="anna")
    assert caught.value.exit_code == EXIT_USAGE
    with pytest.raises(StoreError, match="there is no event 019"):
        record(store, "019", "sensor", by="anna")
    assert trail(store) == []


@pytest.mark.parametrize(
    ("text", "verdict"),
    [
        *((verdict, verdict) for verdict in VERDICTS),
        ("fault", "real fault"),
        ("Normal", "new but normal"),
        ("new-but-normal", "new but normal"),
        ("new_normal", "new but normal"),
        ("dist", "disturbance"),
        ("m", "maintenance"),
    ],
)
def test_a_word_that_only_one_verdict_has_is_enough(text: str, verdict: str) -> None:
    assert verdict_named(text) == verdict


@pytest.mark.parametrize("text", ["", " ", "false alarm", "normal new", "faulty"])
def test_other_words_are_no_verdict_and_the_message_has_all_that_are(text: str) -> None:
    with pytest.raises(VerdictError, match="real fault, new but normal, disturbance, maintenance, sensor"):
        verdict_named(text)
