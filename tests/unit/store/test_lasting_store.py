"""A program that runs for months writes into the store that is there, also after its file was moved away."""

from __future__ import annotations

from pathlib import Path

import pytest

from monitor.core.errors import MonitorError
from monitor.store.database import Store
from monitor.store.lasting_store import LastingStore

FILE = Path("store.sqlite")


def opened_once_more() -> Store:
    return Store.open(f"sqlite:///{FILE.absolute()}")


def test_a_store_is_opened_when_it_is_needed_and_only_once() -> None:
    store = LastingStore(opened_once_more)
    assert not FILE.exists()
    first = store.opened()
    assert store.opened() is first
    store.close()
    assert store.opened() is not first
    store.close()


def test_a_file_that_was_moved_away_is_written_no_more() -> None:
    moved: list[str] = []
    store = LastingStore(opened_once_more, moved=moved.append)
    first = store.opened()
    FILE.rename("kept.sqlite")
    second = store.opened()
    assert second is not first
    assert FILE.exists()
    assert moved == [str(FILE.absolute())]
    assert store.opened() is second
    store.close()


def test_a_store_that_cannot_be_prepared_is_prepared_again_before_it_is_used() -> None:
    failures = ["not now."]

    def prepare(_: Store) -> None:
        if failures:
            raise MonitorError(failures.pop())

    store = LastingStore(opened_once_more, prepare=prepare)
    with pytest.raises(MonitorError, match="not now"):
        store.opened()
    store.opened()
    store.close()
