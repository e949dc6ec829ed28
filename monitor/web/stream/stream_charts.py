"""The history of a stream as the chart in the browser takes it."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from itertools import groupby
from typing import Any

import numpy as np

from monitor.core.types import DoubleArray
from monitor.dashboard.render.time_grid import NOTHING, STATES
from monitor.report import event_text as words
from monitor.store.records import StoredEvent
from monitor.web.stream.stream_facts import ModelChange
from monitor.web.stream.stream_history import StreamHistory, axis_labels, clock_changes

DIGITS = {"share": 4, "level": 1}


def chart_values(
    history: StreamHistory,
    quantity: str,
    *,
    limit: float | None,
    compare: bool,
    changes: Sequence[ModelChange] = (),
) -> dict[str, Any]:
    """What the chart shows, as JSON: None where there is no value, so that a gap stays a gap.

    Args:
        history: of the stream.
        quantity: a key of QUANTITIES.
        limit: of the quantity; None: it has none.
        compare: whether the time before is shown, too.
        changes: of the model.
    """
    digits = DIGITS.get(quantity, 6)
    series, before = history.series[quantity], history.before[quantity]
    return {
        "quantity": quantity,
        "since": history.since,
        "until": history.until,
        "step": history.range.step_s,
        "time": history.time.tolist(),
        "mean": _numbers(series.mean, digits),
        "highest": _numbers(series.highest, digits),
        "before": _numbers(before.mean, digits) if compare and history.has_before else None,
        "before_name": history.range.before_name,
        "limit": limit,
        "strip": list(state_strip(history)),
        "words": STATES,
        "ticks": axis_labels(history),
        "offsets": clock_changes(history.since, history.until),
        "models": [
            {"time": one.time, "label": one.what} for one in changes if history.since <= one.time < history.until
        ],
        "events": [{"id": one.id, "time": one.onset, "text": event_line(one)} for one in history.events],
    }


def state_strip(history: StreamHistory) -> Iterator[tuple[float, float, str]]:
    """The states as stretches of time: beginning, end, and the key of the state; nothing where nothing is stored."""
    step, names = history.range.step_s, list(STATES)
    seconds = np.stack([np.nan_to_num(history.seconds[name]) for name in names], axis=1)
    usual = np.argmax(seconds, axis=1)
    anomaly = names.index("anomaly")
    found = np.where(seconds[:, anomaly] > 0, anomaly, usual)
    found = np.where(seconds.sum(axis=1) > 0, found, NOTHING)
    at = 0
    for state, group in groupby(found.tolist()):
        length = len(list(group))
        if state != NOTHING:
            yield history.since + at * step, history.since + (at + length) * step, names[state]
        at += length


def event_line(event: StoredEvent) -> str:
    """An event in a line: Anomaly, 27 Nov 14:00:05, 45 s, 355 % of the limit."""
    peak = words.peak(event)
    parts = [
        words.kind(event).capitalize(), words.moment(event.onset).strip(), words.length(event),
        f"{peak} of the limit" if peak else "", event.verdict,
    ]  # fmt: skip
    return ", ".join(part for part in parts if part)


def _numbers(values: DoubleArray, digits: int) -> list[float | None]:
    return [round(value, digits) if value == value else None for value in values.tolist()]
