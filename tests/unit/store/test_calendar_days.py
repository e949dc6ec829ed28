"""The days of a calendar: in local time, also where the clock is changed."""

from __future__ import annotations

import datetime
import math

import numpy as np
import pytest

from monitor.store import verdicts
from monitor.store.calendar_days import anomalies_by_day, day_starts, minutes_by_day
from monitor.store.database import Store
from support.stored import fill, minute_values, stored_event

pytestmark = pytest.mark.usefixtures("berlin")


def local(*moment: int) -> float:
    return datetime.datetime(*moment).timestamp()  # type: ignore[arg-type]


def test_days_begin_at_local_midnight_and_the_day_of_a_clock_change_has_25_hours() -> None:
    starts = day_starts(datetime.date(2026, 10, 24), 3)
    assert np.diff(starts).tolist() == [86_400, 90_000, 86_400]
    assert starts[0] == local(2026, 10, 24)


def test_anomalies_are_counted_on_their_local_day_by_their_newest_verdict(store_url: str) -> None:
    store = Store.open(store_url)
    late, early = local(2026, 10, 25, 23, 59, 30), local(2026, 10, 26, 0, 0, 30)
    fill(store, {}, [
        stored_event(0, onset=local(2026, 10, 25, 0, 0, 30), peak_share=1.5),
        stored_event(1, onset=late, peak_share=2.5), stored_event(2, onset=late, peak_share=None),
        stored_event(3, onset=early), stored_event(4, onset=early, kind="gap"),
        stored_event(5, onset=early, stream="fan"),
    ])  # fmt: skip
    verdicts.record(store, stored_event(1).id, "sensor", by="Maria")
    verdicts.record(store, stored_event(1).id, "real fault", by="Maria")
    starts = day_starts(datetime.date(2026, 10, 24), 4)
    days = anomalies_by_day(store, starts)
    assert [one.by_verdict for one in days] == [{}, {"": 2, "real fault": 1}, {"": 2}, {}]
    assert days[1].peak_share == pytest.approx(2.5)
    assert math.isnan(days[0].peak_share)
    fan = anomalies_by_day(store, starts, [2])
    assert [one.total for one in fan] == [0, 0, 1, 0]


def test_the_minutes_of_a_day_are_summed_over_streams(store_url: str) -> None:
    store = Store.open(store_url)
    until = local(2026, 10, 27)
    values = minute_values(3.0, until=until)
    values.seconds["normal"][:], values.seconds["off"][:], values.seconds["anomaly"][:] = 60.0, 0.0, 0.0
    values.seconds["not_heard"][:] = 0.0
    values.share_max[:] = 0.5
    values.share_max[-10] = 1.75  # in the evening of the 26th
    values.seconds["normal"][-30:-20], values.seconds["not_heard"][-30:-20] = 0.0, 60.0
    fill(store, {"pump": values, "fan": values})
    days = minutes_by_day(store, day_starts(datetime.date(2026, 10, 24), 4), [1, 2])
    assert [one.heard_s + one.not_heard_s for one in days] == [2 * 82_800, 2 * 90_000, 2 * 86_400, 0]  # 72 h up to then
    assert days[2].worst_share == pytest.approx(1.75)
    assert days[2].not_heard_s == 2 * 600
    assert days[1].worst_share == pytest.approx(0.5)
    assert math.isnan(days[3].worst_share)
    assert minutes_by_day(store, day_starts(datetime.date(2026, 10, 26), 1), [2])[0].heard_s == 86_400 - 600
