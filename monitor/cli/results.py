"""The results that are printed when a session has ended."""

from __future__ import annotations

import math
import sys
from collections.abc import Iterator

from rich.console import Console
from rich.table import Table
from rich.text import Text

from monitor.core.text import counted, duration_text, printable
from monitor.dashboard.render.formatting import span
from monitor.runtime.monitored_stream import MonitoredStream
from monitor.runtime.session import Session

Facts = dict[str, object]


def print_results(session: Session) -> None:
    """Prints a table with the score of each recording, and the number of anomalies."""
    streams = session.streams
    named = len(streams) > 1
    limits = [stream.bundle.thresholds["recording"].value for stream in streams]
    table = Table(box=None, pad_edge=False, header_style="dim")
    if named:
        table.add_column("stream", overflow="fold")
    table.add_column("recording", overflow="fold")
    limit_heading = "" if named else f"(limit {limits[0]:.4g})"
    for heading in ("seconds", "score", limit_heading, "anomalies"):
        table.add_column(heading, justify="right")
    for stream, limit in zip(streams, limits, strict=True):
        for result in stream.results:
            verdict = "too short" if math.isnan(result.score) else "above" if result.score >= limit else "below"
            score = "-" if math.isnan(result.score) else f"{result.score:.4g}"
            count = Text(str(result.anomalies), style="red" if result.anomalies else "")
            comparison = f"{verdict} {limit:.4g}" if named else verdict
            first = [Text(stream.name)] if named else []
            table.add_row(*first, Text(printable(result.name)), f"{result.seconds:.1f}", score, comparison, count)
    console = Console(file=sys.stdout, highlight=False)
    console.print(table)
    found = [stream for stream in streams if stream.anomalies]
    if found:
        where = ", ".join(f"{stream.name} ({stream.anomalies})" for stream in found)
        where = f"in {where}" if named else f"the last in {printable(_last_anomaly(found[0]))}"
        console.print(f"{counted(session.anomalies, 'anomaly', 'anomalies')}, {where}.", markup=False)


def _last_anomaly(stream: MonitoredStream) -> str:
    """Returns the name of the recording in which the newest anomaly began."""
    return next((event.source for event in reversed(stream.events) if event.kind == "anomaly"), stream.source.name)


def listening_summary(stream: MonitoredStream) -> str:
    """Returns a sentence that says how much of a microphone's sound was scored."""
    last, rate = stream.latest, stream.source.sample_rate
    name = f"{stream.name}: listened" if stream.name else "Listened"
    lost = f"{duration_text(last.lost_s)} not heard" if last.lost_s else "nothing lost"
    return (
        f"{name} for {span(last.uptime_s)}: {stream.scored / rate:.1f} of {stream.captured / rate:.1f} captured "
        f"seconds scored, {lost}, {counted(stream.anomalies, 'anomaly', 'anomalies')}."
    )


def result_lines(session: Session) -> Iterator[tuple[str, Facts]]:
    """Yields the score of each recording, as text and as facts for JSON."""
    for stream in session.streams:
        limit = stream.bundle.thresholds["recording"].value
        for result in stream.results:
            score = None if math.isnan(result.score) else result.score
            shown = "too short for a score" if score is None else f"score {score:.4g}, limit {limit:.4g}"
            facts = {
                "kind": "recording",
                "recording": result.name,
                "seconds": result.seconds,
                "score": score,
                "limit": limit,
                "anomalies": result.anomalies,
            }
            yield f"{result.name}: {shown}", _of_stream(stream) | facts


def listening_line(stream: MonitoredStream) -> tuple[str, Facts]:
    """Returns how much of a microphone's sound was scored, as text and as facts for JSON, in samples of the device."""
    facts = {
        "kind": "account",
        "captured_samples": stream.captured,
        "scored_samples": stream.scored,
        "discarded_samples": stream.discarded,
        "not_heard_s": stream.latest.lost_s,
        "anomalies": stream.anomalies,
    }
    return listening_summary(stream), _of_stream(stream) | facts


def _of_stream(stream: MonitoredStream) -> Facts:
    return {"stream": stream.name} if stream.name else {}
