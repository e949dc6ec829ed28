"""Stores filled with made-up minutes and events, as a monitor would have left them."""

from __future__ import annotations

import dataclasses
import math
from collections.abc import Iterator, Sequence

import numpy as np

from monitor.core.events import Band
from monitor.dashboard.render.time_grid import STATES
from monitor.store import tables
from monitor.store.database import Store
from monitor.store.records import MinuteValues, StoredEvent

NOW = 1_764_252_000.0  # Thu 27 Nov 2025, 14:00 UTC
DAY_S = 86_400.0


def minute_values(days: float = 30.0, step_s: float = 60.0, *, until: float = NOW, seed: int = 1) -> MinuteValues:
    """A machine that is off on Sundays, slowly becomes louder, has anomalies now and then, and once was not heard."""
    steps = int(days * DAY_S / step_s)
    time = np.floor(until / step_s) * step_s - step_s * np.arange(steps, 0, -1)
    rng = np.random.default_rng(seed)
    day = (time - time[0]) / DAY_S
    mean = 0.35 + 0.06 * np.sin(2 * np.pi * day) + 0.15 * day / max(days, 1.0) + 0.01 * rng.standard_normal(steps)
    highest = mean + 0.1 + 0.05 * rng.random(steps)
    seconds = {state: np.zeros(steps) for state in STATES}
    seconds["normal"][:] = step_s
    rest = ((time // DAY_S).astype(int) % 7) == 3  # Sundays: the first of January 1970 was a Thursday
    anomaly = ((time // DAY_S).astype(int) % 9 == 2) & (np.abs(time % DAY_S - 50_000) < 1500)
    unheard = ((time // DAY_S).astype(int) % 13 == 4) & (np.abs(time % DAY_S - 30_000) < 14_000)
    for state, where in (("off", rest), ("anomaly", anomaly), ("not_heard", unheard)):
        for other in seconds.values():
            other[where] = 0.0
        seconds[state][where] = step_s
    mean[anomaly], highest[anomaly] = 1.3, 1.9
    for silent in (rest, unheard):
        mean[silent] = highest[silent] = np.nan
    level = -35 + 2 * np.sin(2 * np.pi * day) + 4 * day / max(days, 1.0)
    level[rest], level[unheard] = -58.0, np.nan
    return MinuteValues(
        step_s, time, mean * 0.4, highest * 0.4, mean * 110, highest * 110, mean, highest, level, seconds
    )


def stored_event(number: int = 0, **changes: object) -> StoredEvent:
    """An anomaly of 45 s that began `number` hours before NOW."""
    onset = changes.get("onset", NOW - 3600.0 * number - 600)
    assert isinstance(onset, float)
    made: dict[str, object] = {
        "id": f"019ac4f0-{number:04x}-7000-8000-0123456789ab",
        "host": "hall-3",
        "stream": "pump",
        "kind": "anomaly",
        "onset": onset,
        "reported": onset + 2,
        "ended": onset + 45,
        "start_s": 500.0,
        "peak_share": 3.55,
        "mean_share": 1.8,
        "peak": 391.0,
        "threshold": 110.0,
        "cause": "sudden",
        "bands": (Band(2100.0, 2800.0, 0.6, "new"), Band(310.0, 420.0, 0.2, "missing")),
        "model_id": "1f0c",
        "source": "microphone: USB Audio",
    }
    return StoredEvent(**{**made, **changes})  # type: ignore[arg-type]


def fill(
    store: Store, minutes: dict[str, MinuteValues], events: Sequence[StoredEvent] = (), host: str = "hall-3"
) -> None:
    """Writes the minutes of streams, and events, into a store; the streams of the events are made, too."""
    names = dict.fromkeys([(host, name) for name in minutes] + [(one.host, one.stream) for one in events])
    with store.begin() as connection:
        ids: dict[tuple[str, str], int] = {}
        for owner, name in names:
            values = {"host": owner, "name": name, "model_id": "1f0c", "source": "microphone: USB Audio"}
            made = connection.execute(tables.streams.insert().values(**values, first_seen=NOW - 9e6, last_seen=NOW))
            ids[owner, name] = made.inserted_primary_key[0]  # type: ignore[index]
        for name, one in minutes.items():
            connection.execute(tables.minutes.insert(), list(_minute_rows(ids[host, name], one)))
        for event in events:
            connection.execute(tables.events.insert().values(**_event_row(event, ids[event.host, event.stream])))


def _minute_rows(stream_id: int, values: MinuteValues) -> Iterator[dict[str, object]]:
    def whole(value: float, unit: float) -> int | None:
        return None if math.isnan(value) else round(value / unit)

    for i, time in enumerate(values.time):
        known = not math.isnan(values.share_mean[i])
        yield {
            "stream_id": stream_id,
            "minute": int(time // 60),
            "share_mean": whole(values.share_mean[i], 1e-3),
            "share_max": whole(values.share_max[i], 1e-3),
            "level": whole(values.level[i], 0.1),
            **{
                name: float(getattr(values, name)[i]) if known else None
                for name in ("error_mean", "error_max", "score_mean", "score_max")
            },
            **{f"{state}_s": round(seconds[i]) for state, seconds in values.seconds.items()},
        }


def _event_row(event: StoredEvent, stream_id: int) -> dict[str, object]:
    row = dataclasses.asdict(event)
    for name in ("host", "stream", "verdict", "verdict_time", "verdict_by", "verdict_comment"):
        del row[name]
    return {**row, "stream_id": stream_id, "bands": [dataclasses.asdict(band) for band in event.bands]}
