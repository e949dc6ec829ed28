"""The calendar reads days that are over only once."""

from __future__ import annotations

from pathlib import Path

import sqlalchemy as sa

from monitor.store import tables
from monitor.store.database import Store
from monitor.web.events.past_days import PastDays
from support.stored import DAY_S, NOW, fill, minute_values


def test_a_day_that_is_over_is_remembered_and_today_is_read_again(tmp_path: Path) -> None:
    store = Store.open(f"sqlite:///{tmp_path / 'store.sqlite'}")
    fill(store, {"pump": minute_values(2.0)})
    starts = [NOW - 1.5 * DAY_S, NOW - 0.5 * DAY_S, NOW + 0.5 * DAY_S, NOW + 1.5 * DAY_S]
    days = PastDays()
    first = days.read(store, starts, (1,), NOW)
    assert first[0].heard_s == DAY_S
    assert first[1].heard_s == DAY_S / 2
    assert first[2].heard_s == 0, "tomorrow"
    with store.begin() as connection:
        connection.execute(sa.delete(tables.minutes))
    again = days.read(store, starts, (1,), NOW)
    assert again[0] == first[0]
    assert again[1].heard_s == 0
    assert days.read(store, starts, (1, 2), NOW)[0].heard_s == 0, "of other streams it is another day"
