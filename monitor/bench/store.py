"""Section "store": the size of a year of minute values, and the time to read one stream's year."""

from __future__ import annotations

import shutil
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path

import numpy as np

from monitor.bench.timing import Section
from monitor.config.schema import Config
from monitor.store import queries
from monitor.store.database import Store
from monitor.store.minute_row import MINUTE_S
from monitor.store.tables import minutes, streams

STREAMS, DAYS = 40, 365
FIRST_MINUTE = 29_000_000  # in February 2025
NORMAL = [column.name for column in minutes.columns].index("normal_s")
ROUNDS = 3
ROW_BYTES = 120  # that a row takes on the disk while it is written, at most
AIM_BYTES, AIM_S = 2e9, 1.0


def measure(config: Config) -> Section:  # noqa: ARG001 - as the other sections
    """Writes made-up minute values of many streams into a new SQLite file, in the order of time, and reads them.

    With too little room on the disk for a year of them, fewer days are written.
    """
    with tempfile.TemporaryDirectory(prefix="monitor-bench-") as folder:
        room = shutil.disk_usage(folder).free / 2
        days = max(1, min(DAYS, int(room / (ROW_BYTES * STREAMS * 24 * 60))))
        file = Path(folder, "store.sqlite")
        rows = STREAMS * days * 24 * 60
        with Store.open(f"sqlite:///{file}") as store:
            writing_s = _write(store, days)
            by_hour_s = _best_time(store, days, 3600.0)
            by_minute_s = _best_time(store, days, MINUTE_S)
        size = file.stat().st_size  # the write-ahead log is in it when the store is closed
    year = 365 / days
    figures = {
        "streams": STREAMS, "days": days, "rows": rows, "bytes": size, "bytes_a_row": size / rows,
        "year_bytes": size * year, "writing_s": writing_s,
        "year_by_hour_s": by_hour_s * year, "year_by_minute_s": by_minute_s * year,
    }  # fmt: skip
    note = "" if days == DAYS else f", projected from {days} days"
    lines = [
        f"a year of {STREAMS} streams        {size * year / 1e9:5.2f} GB (aim: {AIM_BYTES / 1e9:g} GB), "
        f"{size / rows:.0f} bytes a row{note}",
        f"one stream's year by hours  {by_hour_s * year:5.2f} s (aim: {AIM_S:g} s)",
        f"                by minutes  {by_minute_s * year:5.2f} s",
    ]
    return Section(figures, lines)


def _write(store: Store, days: int) -> float:
    """Writes the days of all streams; returns the seconds it took."""
    with store.begin() as connection:
        for number in range(STREAMS):
            values = {"id": number + 1, "host": "bench", "name": f"machine {number + 1}"}
            connection.execute(streams.insert().values(**values, first_seen=0.0, last_seen=0.0))
    names = [column.name for column in minutes.columns]
    statement = f"INSERT INTO minutes ({', '.join(names)}) VALUES ({', '.join('?' * len(names))})"
    began = time.perf_counter()
    for hour in _hours(24 * days):
        with store.begin() as connection:
            connection.exec_driver_sql(statement, hour)
    return time.perf_counter() - began


def _hours(count: int) -> Iterator[list[tuple[float, ...]]]:
    """The rows of hour after hour, as a monitor writes them: those of all streams, minute by minute."""
    rng = np.random.default_rng(0)
    size = 60 * STREAMS
    stream = np.tile(np.arange(1, STREAMS + 1), 60)
    for hour in range(count):
        minute = np.repeat(FIRST_MINUTE + 60 * hour + np.arange(60), STREAMS)
        error, score = rng.lognormal([[-1.0], [4.0]], 0.2, (2, size))
        highest = 1 + rng.exponential(0.1, size)
        share = rng.normal(500, 100, size).astype(int)
        columns = [
            stream, minute, error, error * highest, score, score * highest, share, (share * highest).astype(int),
            rng.normal(-300, 20, size).astype(int), *np.zeros((7, size), int),
        ]  # fmt: skip
        columns[NORMAL] = np.full(size, MINUTE_S)
        yield list(zip(*(column.tolist() for column in columns), strict=True))


def _best_time(store: Store, days: int, step_s: float) -> float:
    """Seconds to read all values of one stream, the best of a few times."""
    since, times = FIRST_MINUTE * MINUTE_S, []
    for _ in range(ROUNDS):
        began = time.perf_counter()
        queries.minutes(store, STREAMS // 2, since=since, until=since + days * 86_400, step_s=step_s)
        times.append(time.perf_counter() - began)
    return min(times)
