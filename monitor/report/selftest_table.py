"""Self-tests on a terminal: the newest result, and how it has changed over the runs."""

from __future__ import annotations

from collections.abc import Sequence

from rich.console import Console
from rich.table import Table

from monitor.core.text import printable
from monitor.dashboard.render.formatting import duration
from monitor.report.event_text import moment
from monitor.selftest.outcome import level_of, level_text
from monitor.store.selftests import StoredSelfTest

_HEADINGS = ("fault", "reported from", "after", "at first", "share reported, by level in dB")


def print_result(out: Console, rows: Sequence[StoredSelfTest]) -> None:
    """Prints the faults of one run."""
    table = Table(box=None, pad_edge=False, header_style="bold")
    for heading in _HEADINGS:
        table.add_column(heading, overflow="fold")
    for row in rows:
        first = row.facts.get("first_db")
        trials = ", ".join(f"{one['level_db']:g}: {100 * one['share']:.0f} %" for one in row.facts["trials"])
        table.add_row(
            row.fault,
            _shown(row),
            "" if row.delay_s is None else duration(row.delay_s),
            "" if first is None else level_text(first, row.fault),
            trials or str(row.facts.get("untested", "")),
        )
    out.print(table)


def print_trend(out: Console, stream: str, rows: Sequence[StoredSelfTest]) -> None:
    """Prints a line for each run of a stream, oldest first, with the level from which on each fault was reported.

    Args:
        out: the terminal.
        stream: its name.
        rows: all its results, oldest first.
    """
    faults = list(dict.fromkeys(row.fault for row in rows))
    table = Table(box=None, pad_edge=False, header_style="bold")
    for heading in (printable(stream), "model", *faults):
        table.add_column(heading)
    for time in sorted({row.time for row in rows}):
        run = {row.fault: row for row in rows if row.time == time}
        model = next(iter(run.values())).model_id
        table.add_row(moment(time, year=True), model, *(_shown(run.get(fault)) for fault in faults))
    out.print(table)


def _shown(row: StoredSelfTest | None) -> str:
    """The level of a fault; red and with an exclamation mark if it is detected worse than at first."""
    if row is None:
        return ""
    return f"[red]{level_of(row)} ![/]" if row.lost else level_of(row)
