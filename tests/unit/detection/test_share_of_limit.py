"""The share of the limit says how near an alarm is."""

from __future__ import annotations

import math

import numpy as np
from hypothesis import given, settings
from hypothesis import strategies as st

from monitor.core.events import State
from support.alarms import NO_CUSUM, alarm
from support.builders import pieces


@settings(max_examples=200, deadline=None)
@given(
    rows=st.lists(st.tuples(st.sampled_from([1.0, 5.0, 9.95, 10.5, 13.0, math.nan]), st.integers(1, 9)), max_size=30),
    cuts=st.lists(st.integers(1, 25), min_size=1, max_size=5),
    block=st.integers(0, 5),
    n=st.integers(1, 4),
    k=st.integers(1, 4),
    limit=st.sampled_from([NO_CUSUM, 2.0, 4.0]),
    warm_up=st.integers(0, 12),
)
def test_the_share_of_the_limit_is_above_100_per_cent_exactly_where_an_alarm_begins(
    rows, cuts, block, n, k, limit, warm_up
) -> None:
    """Whichever way it is raised, however the scores are divided, and without a value where there are no decisions."""
    scores = np.array([score for score, times in rows for _ in range(times)])
    options = {"block": block, "n": n, "k": min(k, n), "limit": limit, "warm_up": warm_up}
    machine, whole = alarm(**options), alarm(**options)
    whole.push(scores)
    traces = [np.empty((0, 2))]
    for part in pieces(len(scores), cuts):
        before = machine.anomaly
        machine.push(scores[part])
        traces.append(machine.trace)
        if before is None and machine.anomaly is not None:
            assert machine.trace[machine.anomaly.reported - part.start, 0] > 1
        if machine.state is State.NORMAL:
            assert machine.share_of_limit <= 1
        if machine.state is State.LISTENING:
            assert math.isnan(machine.share_of_limit)
    trace = np.concatenate(traces)
    np.testing.assert_array_equal(trace, whole.trace)
    assert np.isnan(trace[np.isnan(scores)]).all()


def test_the_share_of_the_limit_is_that_of_the_sum_where_it_is_nearer_to_its_limit() -> None:
    machine = alarm(limit=4.0)
    for _ in range(3):
        machine.push(np.array([9.95]))
    assert machine.lasting_sum > 0.99
    assert machine.share_of_limit == machine.lasting_sum
    machine.push(np.array([9.95]))
    assert machine.state is State.ANOMALY
    assert machine.share_of_limit > 1
