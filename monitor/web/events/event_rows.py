"""The list of events as rows of an HTML table, and as CSV."""

from __future__ import annotations

import csv
import io
from collections.abc import Iterable, Iterator, Mapping

from markupsafe import Markup

from monitor.core.text import printable
from monitor.dashboard.render.formatting import kind_word
from monitor.report import event_text as words
from monitor.store.records import StoredEvent

CSV_COLUMNS = (
    "id", "computer", "stream", "kind", "began", "reported", "ended", "duration_s", "peak_share", "mean_share", "cause",
    "frequencies", "verdict", "verdict_by", "comment", "acknowledged", "acknowledged_by", "model", "source",
)  # fmt: skip
FORMULA = ("=", "+", "-", "@", "\t", "\r")  # a text that begins so is computed by a spreadsheet
CSV_ROWS = 500  # in a part of the file

Streams = Mapping[tuple[str, str], tuple[int, str]]  # id and shown name of a stream, by its computer and name


def rows(events: Iterable[StoredEvent], streams: Streams) -> Markup:
    """Rows of the table, each with a link to its event."""
    return Markup("").join(_row(one, streams) for one in events)


def verdict_mark(event: StoredEvent) -> Markup:
    """The verdict on an event; of an anomaly without one that it is to be given."""
    if event.verdict:
        key = event.verdict.replace(" ", "-")
        by = f"by {event.verdict_by}" if event.verdict_by else ""
        return Markup('<span class="verdict {}" title="{}">{}</span>').format(key, by, event.verdict)
    return Markup('<span class="verdict none">to judge</span>') if event.kind == "anomaly" else Markup("")


def _row(event: StoredEvent, streams: Streams) -> Markup:
    stream, name = streams.get((event.host, event.stream), (0, event.stream))
    seen = ""
    if event.acknowledged is not None:
        seen = f"seen by {event.acknowledged_by}" if event.acknowledged_by else "seen"
    length = words.length(event)
    return Markup(
        '<tr class="event {kind}"><td class="when"><a href="/event/{id}"><time datetime="{utc}">{when}</time></a></td>'
        '<td class="stream"><a href="/stream/{stream}">{name}</a></td>'
        '<td class="what"><span class="kind">{word}</span> <span class="why">{why}</span></td>'
        '<td class="peak number">{peak}</td><td class="length number{ongoing}">{length}</td>'
        '<td class="said">{verdict} <span class="seen">{seen}</span></td></tr>'
    ).format(
        kind=event.kind.replace(" ", "-"), id=event.id, utc=words.utc(event.onset),
        when=words.moment(event.onset, day=True), stream=stream, name=printable(name), word=kind_word(event.kind),
        why=words.why(event), peak=words.peak(event), length=length, ongoing=" ongoing" if length == "ongoing" else "",
        verdict=verdict_mark(event), seen=printable(seen),
    )  # fmt: skip


def csv_lines(events: Iterable[StoredEvent]) -> Iterator[str]:
    """The list as CSV with a line of names, some lines at a time. Times are UTC; shares are shares of the limit."""
    part = io.StringIO()
    writer = csv.writer(part)
    writer.writerow(CSV_COLUMNS)
    for number, event in enumerate(events, 1):
        writer.writerow([_safe(one) for one in _values(event)])
        if number % CSV_ROWS == 0:
            yield part.getvalue()
            part.seek(0)
            part.truncate()
    yield part.getvalue()


def _values(event: StoredEvent) -> list[object]:
    def time(unix: float | None) -> str:
        return "" if unix is None else words.utc(unix)

    duration = "" if event.ended is None else f"{event.ended - event.onset:.1f}"
    shares = ("" if one is None else f"{one:.3f}" for one in (event.peak_share, event.mean_share))
    return [
        event.id, event.host, event.stream, event.kind, time(event.onset), time(event.reported), time(event.ended),
        duration, *shares, words.cause(event), words.where(event), event.verdict, event.verdict_by,
        event.verdict_comment, time(event.acknowledged), event.acknowledged_by, event.model_id, event.source,
    ]  # fmt: skip


def _safe(value: object) -> object:
    """A value that no spreadsheet takes for a formula."""
    return f"'{value}" if isinstance(value, str) and value.startswith(FORMULA) else value
