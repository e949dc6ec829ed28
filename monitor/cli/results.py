"""The results that are printed when a session has ended."""

from __future__ import annotations

import math
import sys
from collections.abc import Collection, Iterator

from rich.console import Console
from rich.table import Table
from rich.text import Text

from monitor.core.text import counted, duration_text, printable, some_of
from monitor.dashboard.render.formatting import share, span
from monitor.detection.verdict import TOO_SHORT, Word, verdict
from monitor.runtime.monitored_stream import MonitoredStream
from monitor.runtime.session import Session

Facts = dict[str, object]
SHORT_S = 30.0  # a recording that is shorter is over before small deviations have added up
_FILE_COLUMNS = 300  # where the table does not go to a terminal, so that each recording has one line
STYLES = {Word.NORMAL: "", Word.SUSPICIOUS: "yellow", Word.ANOMALY: "red", Word.UNKNOWN: "dim"}


def print_results(session: Session) -> None:
    """Prints a table with the verdict on each recording, its scores, and the number of anomalies."""
    streams = session.streams
    named = len(streams) > 1
    limits = [stream.bundle.thresholds["recording"].value for stream in streams]
    table = Table(box=None, pad_edge=False, header_style="dim")
    if named:
        table.add_column("stream", overflow="fold")
    table.add_column("recording", overflow="fold")
    for heading in ("seconds", "score" if named else f"score (limit {limits[0]:.4g})", "alarm"):
        table.add_column(heading, justify="right")
    table.add_column("verdict", overflow="fold")
    words: set[Word] = set()
    for stream, usual_limit in zip(streams, limits, strict=True):
        for result in stream.results:
            limit = stream.bundle.recording_limit(result.seconds)
            found = verdict(result, limit)
            words.add(found.word)
            score = "-" if math.isnan(result.score) else f"{result.score:.4g}"
            if score != "-" and (limit > usual_limit or (named and limit == usual_limit)):
                score += f" of {limit:.4g}"  # the limit is not in the heading: a short recording has a higher one
            first = [Text(stream.name)] if named else []
            why = f": {found.reason}" if found.reason and found.word is not Word.SUSPICIOUS else ""  # a note says that
            shown = Text(f"{found.word}{why}", style=STYLES[found.word])
            table.add_row(
                *first, Text(printable(result.name)), f"{result.seconds:.1f}", score, share(result.highest_share), shown
            )
    console = Console(file=sys.stdout, highlight=False)
    if not console.is_terminal:
        console.width = _FILE_COLUMNS
    console.print(table)
    for note in _notes(session, words):
        console.print(note, markup=False, soft_wrap=True)
    alarmed = [stream for stream in streams if stream.anomalies]
    if alarmed:
        where = some_of([f"{stream.name} ({stream.anomalies})" for stream in alarmed])
        where = f"in {where}" if named else f"the last in {printable(_last_anomaly(alarmed[0]))}"
        console.print(f"{counted(session.anomalies, 'anomaly', 'anomalies')}, {where}.", markup=False)


def _notes(session: Session, words: Collection[Word]) -> Iterator[str]:
    """Yields what a reader of the table should know."""
    if not words:
        return
    limits = {stream.latest.threshold for stream in session.streams}
    limit = f" (a score of {limits.pop():.4g})" if len(limits) == 1 else ""
    yield f"alarm: how near it came; above 100 % of its limit{limit}, or of that of the lasting sum, is an anomaly."
    if Word.SUSPICIOUS in words:
        yield "SUSPICIOUS: as a whole more unusual than most normal recordings are, but too little for an anomaly."
    results = [result for stream in session.streams for result in stream.results]
    if any(result.seconds < SHORT_S and not result.anomalies for result in results):
        yield (
            f"Recordings shorter than {SHORT_S:.0f} s: small deviations cannot add up to a lasting anomaly; --gapless "
            "joins them."
        )


def _last_anomaly(stream: MonitoredStream) -> str:
    """Returns the name of the recording in which the newest anomaly began."""
    return next((event.source for event in reversed(stream.events) if event.kind == "anomaly"), stream.source.name)


def listening_summary(stream: MonitoredStream) -> str:
    """Returns a sentence that says how much of a microphone's sound was scored."""
    last = stream.latest
    name = f"{stream.name}: listened" if stream.name else "Listened"
    lost = f"{duration_text(last.lost_s)} not heard" if last.lost_s else "nothing lost"
    return (
        f"{name} for {span(last.uptime_s)}: {stream.scored_s:.1f} of {stream.captured_s:.1f} captured "
        f"seconds scored, {lost}, {counted(stream.anomalies, 'anomaly', 'anomalies')}."
    )


def result_lines(session: Session) -> Iterator[tuple[str, Facts]]:
    """Yields the verdict on each recording, as text and as facts for JSON."""
    for stream in session.streams:
        for result in stream.results:
            score = None if math.isnan(result.score) else result.score
            limit, highest = (
                of(result.seconds) for of in (stream.bundle.recording_limit, stream.bundle.highest_normal)
            )
            shown = "too short for a score" if score is None else f"score {score:.4g}"
            if score is not None:
                shown += f", {TOO_SHORT}" if math.isnan(limit) else f", limit {limit:.4g}"
            found = verdict(result, limit)
            facts = {
                "kind": "recording",
                "recording": result.name,
                "seconds": result.seconds,
                "score": score,
                "limit": None if math.isnan(limit) else limit,
                "highest_normal": None if math.isnan(highest) else highest,
                "alarm_share": None if math.isnan(result.highest_share) else result.highest_share,
                "anomalies": result.anomalies,
                "verdict": found.word.value,
                "reason": found.reason,
            }
            yield f"{result.name}: {found.word}, {shown}", _of_stream(stream) | facts


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
