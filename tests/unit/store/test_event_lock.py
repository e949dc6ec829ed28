"""Events that somebody locks stay, and the audit trail says who did it."""

from __future__ import annotations

import pytest
import sqlalchemy as sa

from monitor.store import queries, tables
from monitor.store.database import Store, StoreError
from monitor.store.event_lock import set_locked
from support.stored import fill, stored_event


def test_who_locked_and_unlocked_an_event_is_in_the_audit_trail(store_url: str) -> None:
    event = stored_event()
    with Store.open(store_url) as store:
        fill(store, {}, [event])
        for locked in (True, True, False):  # the second changes nothing
            set_locked(store, event.id, locked, by="mia")
            assert queries.event(store, event.id).locked is locked
        with store.reading() as connection:
            rows = connection.execute(sa.select(tables.audit).order_by(tables.audit.c.id)).mappings().all()
    assert [(row["by"], row["what"], row["subject"], row["facts"]["after"]) for row in rows] == [
        ("mia", "lock", event.id, True),
        ("mia", "lock", event.id, False),
    ]


def test_an_event_that_is_not_there_cannot_be_locked(store_url: str) -> None:
    with Store.open(store_url) as store, pytest.raises(StoreError, match="there is no event"):
        set_locked(store, "019ac4f0", True, by="mia")
