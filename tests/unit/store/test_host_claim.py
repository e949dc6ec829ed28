"""Only one running monitor has a name in a store."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor

import pytest
import sqlalchemy as sa

from monitor.store.database import Store
from monitor.store.host_claim import HostTaken, claim, done_of, note_done, release
from monitor.store.tables import spools
from support.listening import wait_until
from support.postgres import PostgresServer, waits


@pytest.fixture
def store(postgres: PostgresServer) -> Store:
    return Store.open(postgres.new_database())


def claimed(store: Store, run: str, *earlier: str, host: str = "hall-3") -> None:
    with store.begin() as connection:
        claim(connection, host, run, earlier)


def test_a_name_is_refused_to_a_second_monitor_as_long_as_the_first_one_runs(store: Store) -> None:
    claimed(store, "a")
    claimed(store, "a")
    with pytest.raises(HostTaken, match="under the name hall-3: give one of them another name"):
        claimed(store, "b")
    claimed(store, "b", host="hall-4")
    with store.begin() as connection:
        release(connection, "a")
    claimed(store, "b")
    with pytest.raises(HostTaken):
        claimed(store, "a")


def test_a_monitor_that_was_killed_may_go_on_at_once_and_another_one_after_a_while(store: Store) -> None:
    claimed(store, "a")
    claimed(store, "b", "a")  # the same spool
    with pytest.raises(HostTaken):
        claimed(store, "c")
    with store.begin() as connection:
        long_ago = sa.func.now() - sa.func.make_interval(0, 0, 0, 0, 0, 1)
        connection.execute(spools.update().values(seen=long_ago))
    claimed(store, "c")


def test_how_far_the_entries_of_a_run_are_copied_is_known_for_each_run(store: Store) -> None:
    with store.begin() as connection:
        claim(connection, "hall-3", "b", ["a"])
        assert [done_of(connection, "hall-3", run) for run in "ab"] == [0, 0]
        note_done(connection, "a", 7)
    claimed(store, "b", "a")
    with store.begin() as connection:
        assert [done_of(connection, "hall-3", run) for run in "ab"] == [7, 0]


def test_two_computers_with_a_copy_of_the_same_spool_do_not_copy_the_same_entries_at_the_same_time(
    store: Store,
) -> None:
    def copy(host: str, number: int) -> int:
        with store.begin() as connection:
            done = done_of(connection, host, "a")
            note_done(connection, "a", number)
            return done

    with ThreadPoolExecutor(1) as other:
        with store.begin() as connection:
            assert done_of(connection, "hall-3", "a") == 0
            same = other.submit(copy, "hall-4", 9)
            wait_until(lambda: waits(store), "the other computer, which waits")
            note_done(connection, "a", 7)
        assert same.result() == 7
