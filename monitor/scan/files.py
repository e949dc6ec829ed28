"""The files of a finished scan besides the seconds: events, the rankings as CSV, and the page."""

from __future__ import annotations

import csv
import datetime
import io
import json
import math
from collections.abc import Callable, Iterable, Sequence
from pathlib import Path

from monitor.core.atomic_io import write_atomically
from monitor.core.events import Band
from monitor.core.text import band_list
from monitor.scan.findings import Finding
from monitor.scan.overview import Hour, events, hours_of, ranked, ranked_hours
from monitor.scan.results import rows_name
from monitor.scan.tables import events_table
from monitor.scan.task import LeftOut

EVENTS, EVENTS_TABLE = "events.jsonl", "events.parquet"
RANKING, HOURS, LEFT_OUT, PAGE = "ranking.csv", "hours.csv", "left-out.csv", "index.html"

_BANDS_ROOM = 200  # characters for the frequencies of a piece


def write_files(folder: Path, findings: Sequence[Finding], left_out: Sequence[LeftOut]) -> None:
    """Writes events and rankings.

    Raises:
        MonitorError: if a file cannot be written.
    """
    found = events(findings)
    write_atomically(folder / EVENTS, (f"{json.dumps(one)}\n".encode() for one in found))
    write_atomically(folder / EVENTS_TABLE, events_table(found))
    write_atomically(folder / RANKING, _table(RANKING_COLUMNS, ranked(findings)))
    write_atomically(folder / HOURS, _table(HOUR_COLUMNS, ranked_hours(hours_of(findings))))
    write_atomically(
        folder / LEFT_OUT, _table((("file", lambda one: one.name), ("reason", lambda one: one.reason)), left_out)
    )


def strongest_bands(one: Finding) -> str:
    """The frequencies of the strongest anomaly of a piece: 2.1-2.8 kHz new; empty if there is none."""
    worst = max(
        (event for event in one.events if event["kind"] == "anomaly"),
        key=lambda event: event["peak"] or 0.0,
        default=None,
    )
    return "" if worst is None else band_list([Band(**band) for band in worst["bands"]], _BANDS_ROOM)


def local_time(at: float) -> str:
    """A Unix time as local ISO time with its offset; empty for NaN."""
    if math.isnan(at):
        return ""
    return datetime.datetime.fromtimestamp(at).astimezone().isoformat(timespec="seconds")


def _number(value: float, digits: int) -> str:
    return "" if not math.isfinite(value) else f"{value:.{digits}f}"


RANKING_COLUMNS: tuple[tuple[str, Callable[[Finding], object]], ...] = (
    ("recording", lambda one: one.name),
    ("files", lambda one: len(one.files)),
    ("began", lambda one: local_time(one.began)),
    ("seconds", lambda one: _number(one.seconds, 3)),
    ("verdict", lambda one: one.verdict),
    ("share", lambda one: _number(one.share, 4)),
    ("anomalies", lambda one: one.anomalies),
    ("anomaly_s", lambda one: one.anomaly_s),
    ("score", lambda one: _number(one.score, 6)),
    ("limit", lambda one: _number(one.limit, 6)),
    ("worst_file", lambda one: one.worst_file),
    ("worst_at_s", lambda one: _number(one.worst_at_s, 0)),
    ("bands", strongest_bands),
    ("off_s", lambda one: _number(one.off_s, 0)),
    ("seconds_file", lambda one: rows_name(one.name)),
)
HOUR_COLUMNS: tuple[tuple[str, Callable[[Hour], object]], ...] = (
    ("hour", lambda one: one.at.isoformat(timespec="minutes")),
    ("share", lambda one: _number(one.share, 4)),
    ("usual_share", lambda one: _number(one.usual, 4)),
    ("heard_s", lambda one: one.heard_s),
    ("anomaly_s", lambda one: one.anomaly_s),
    ("off_s", lambda one: one.off_s),
    ("recording", lambda one: one.file),
)
LEFT_OUT_COLUMNS: tuple[tuple[str, Callable[[LeftOut], object]], ...] = (
    ("file", lambda one: one.name),
    ("reason", lambda one: one.reason),
)


def _table(columns: Sequence[tuple[str, Callable[..., object]]], rows: Iterable[object]) -> Iterable[bytes]:
    """A CSV table, a row at a time."""
    yield _row([name for name, _ in columns])
    for one in rows:
        yield _row([value(one) for _, value in columns])


def _row(values: Sequence[object]) -> bytes:
    text = io.StringIO()
    csv.writer(text, lineterminator="\n").writerow(values)
    return text.getvalue().encode("utf-8", "backslashreplace")
