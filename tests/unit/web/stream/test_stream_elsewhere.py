"""The page of a stream of another computer: what the store knows of its present, and how old that is."""

from __future__ import annotations

import math
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from monitor.store import fleet, rows, tables
from monitor.store.database import Store, StoreError
from monitor.web.hall.elsewhere import NOT_RUNNING
from monitor.web.stream.stream_elsewhere import read_elsewhere

NOW = time.time()


@pytest.fixture
def store(tmp_path: Path) -> Iterator[Store]:
    """A store with a stream of hall-b, which was heard until now."""
    with Store.open(f"sqlite:///{tmp_path / 'monitor.sqlite'}") as made:
        with made.begin() as connection:
            assert rows.stream_id(connection, "hall-b", "press", NOW) == 1
            minute = {"stream_id": 1, "minute": int(NOW // 60), "share_max": 930, "level": -352, "warning_s": 20}
            connection.execute(tables.minutes.insert().values(**minute))
        yield made


def sign(store: Store, age_s: float = 1.0) -> None:
    """A sign of life of hall-b."""
    with store.begin() as connection:
        facts = {"every_s": 30, "streams": {"press": "NORMAL"}}
        values = {"version": "1", "started": NOW - 9000, "last_seen": time.time() - age_s, "spooled": 0}
        fleet.write_sign(connection, "hall-b", {**values, "facts": facts})


def test_its_state_share_and_level_are_those_of_the_last_minute_and_sign_of_life(store: Store) -> None:
    sign(store)
    found = read_elsewhere(store, 1)
    assert (found.state, found.share, found.level) == ("NORMAL", pytest.approx(0.93), pytest.approx(-35.2))
    assert found.note.startswith("Live values are shown on the page of hall-b itself.")


def test_of_a_silent_computer_nothing_is_shown_as_present(store: Store) -> None:
    sign(store, age_s=1000.0)
    found = read_elsewhere(store, 1)
    assert (found.state, found.share, found.note) == (NOT_RUNNING, None, "The monitor of hall-b is silent.")
    assert math.isnan(found.level)


def test_a_computer_that_has_never_given_a_sign_of_life_is_said_so(store: Store) -> None:
    assert "hall-b has given no sign of life" in read_elsewhere(store, 1).note
    with pytest.raises(StoreError, match="no stream number 7"):
        read_elsewhere(store, 7)
