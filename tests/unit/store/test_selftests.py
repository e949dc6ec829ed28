"""Self-tests are kept in the store, in a file and on a server."""

from __future__ import annotations

from monitor.store.database import Store
from monitor.store.rows import stream_id
from monitor.store.selftests import StoredSelfTest, self_tests, write_in


def test_self_tests_of_a_stream_are_read_as_they_were_written_oldest_first(store_url: str) -> None:
    newer = StoredSelfTest(1_764_252_000.5, "1f0c", "squeal", None, None, {"lost": True})
    older = StoredSelfTest(1_764_000_000.0, "", "clicks", -12.0, 1.5, {"lost": False, "trials": [{"level_db": -12.0}]})
    with Store.open(store_url) as store:
        with store.begin() as connection:
            pump, fan = (stream_id(connection, "hall", name, 0.0) for name in ("pump", "fan"))
            write_in(connection, pump, newer)
            write_in(connection, pump, older)
        assert self_tests(store, pump) == [older, newer]
        assert self_tests(store, fan) == []
    assert newer.lost
    assert not older.lost
