"""A backtest in words: a table, lists of what is new and what vanishes, and JSON."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any

from rich.table import Table

from monitor.core.text import counted, duration_text, printable
from monitor.dashboard.render.formatting import number
from monitor.report.alarm_rerun import Found
from monitor.report.backtest import REAL, Backtest, Outcome
from monitor.report.event_text import moment, utc
from monitor.store.verdicts import VERDICTS

LISTED = 20  # anomalies that are listed at most


def table(tested: Backtest, names: Sequence[str]) -> Table:
    """The outcomes side by side; more than two below each other.

    Args:
        tested: the backtest.
        names: of the settings, in the order of the outcomes.
    """
    made = Table(box=None, padding=(0, 2, 0, 0))
    names, rows = [printable(name) for name in names], _rows(tested)
    if len(names) <= 2:
        made.add_column("")
        for name in names:
            made.add_column(name, justify="right")
        for title, _, values in rows:
            made.add_row(title, *values)
        return made
    made.add_column("", no_wrap=True)
    for _, short, _ in rows:
        made.add_column(short, justify="right", no_wrap=True)
    for name, cells in zip(names, zip(*(values for *_, values in rows), strict=True), strict=True):
        made.add_row(name, *cells)
    return made


def _rows(tested: Backtest) -> list[tuple[str, str, list[str]]]:
    """What is said of each outcome: its title, a short one, and a text for each outcome."""
    outcomes = tested.outcomes
    rows = [
        ("limit of the score", "limit", [number(one.rules.limits.threshold) for one in outcomes]),
        ("anomalies", "anomalies", [str(len(one.anomalies)) for one in outcomes]),
        ("  a day", "a day", [f"{one.per_day:.3g}" for one in outcomes]),
    ]
    for verdict in VERDICTS:
        if total := sum(one.verdict == verdict for one in tested.events):
            name = "real faults" if verdict == REAL else verdict
            reported = [str(tested.reported(verdict, one)) for one in outcomes]
            rows.append((f"{name} reported, of {total}", f"{verdict} ({total})", reported))
    if any(one.verdict == REAL for one in tested.events):
        rows.append(("  later by (median)", "later", [_median_delay(tested, one) for one in outcomes]))
    rows += [
        ("not known to be a fault", "no fault", [str(one.false_alarms) for one in outcomes]),
        ("  a day, at most", "at most a day", [f"{one.false_alarms_upper:.3g}" for one in outcomes]),
    ]
    if len(outcomes) > 1:
        rows += [
            ("new anomalies", "new", ["", *(str(len(tested.new(one))) for one in outcomes[1:])]),
            ("vanished anomalies", "vanished", ["", *(str(len(tested.vanished(one))) for one in outcomes[1:])]),
        ]
    return rows


def _median_delay(tested: Backtest, outcome: Outcome) -> str:
    known = sorted(delay for _, delay in tested.delays(outcome) if delay is not None)
    return f"{known[len(known) // 2]:.1f} s" if known else "-"


def lines(tested: Backtest, outcome: Outcome) -> list[str]:
    """Each real fault that is reported later or not at all, and each anomaly that is new or vanishes."""
    made = []
    for event, delay in tested.delays(outcome):
        if delay is None:
            made.append(f"{moment(event.onset)}  NOT REPORTED: real fault, event {event.id[:13]}")
        elif abs(delay) >= 0.1:
            made.append(
                f"{moment(event.onset)}  {abs(delay):.1f} s {'later' if delay > 0 else 'earlier'}: real fault, "
                f"event {event.id[:13]}"
            )
    for title, found in (("vanishes", tested.vanished(outcome)), ("new", tested.new(outcome))):
        made += [f"{moment(one.onset)}  {title}: {_said(tested, one)}" for one in found[:LISTED]]
        if len(found) > LISTED:
            made.append(f"… and {len(found) - LISTED} more ({title}); --json has all.")
    return made


def _said(tested: Backtest, found: Found) -> str:
    event = tested.event_at(found)
    lasted = duration_text(max(0.0, found.ended - found.onset))
    known = ""
    if event is not None:
        known = f"; {event.verdict or 'without a verdict'}, event {event.id[:13]}"
    return f"{found.cause}, {lasted}{known}"


def notes(tested: Backtest) -> list[str]:
    """What the figures are from, and what was left out."""
    made = [
        f"From {duration_text(tested.seconds)} of scores between {moment(tested.began).strip()} and "
        f"{moment(tested.ended).strip()}; pauses of the machine and of the monitor are not in it. The store has "
        f"{counted(len(tested.events), 'anomaly', 'anomalies')} of that time."
    ]
    if tested.other_models_s:
        made.append(f"Left out: {duration_text(tested.other_models_s)} that other models listened to.")
    if tested.other_limits_s:
        made.append(
            f"In {duration_text(tested.other_limits_s)} of it the limits were others than those in force now, which "
            "the first column uses."
        )
    judged = sum(bool(one.verdict) for one in tested.events)
    if judged < len(tested.events):
        made.append(
            f"{counted(len(tested.events) - judged, 'anomaly', 'anomalies')} without a verdict, counted as not known "
            "to be a fault: `monitor events --kind anomaly --without-verdict` lists them."
        )
    return made


def figures(tested: Backtest, names: Sequence[str]) -> dict[str, Any]:
    """The same as an object for JSON; times in UTC."""
    return {
        "began": utc(tested.began),
        "ended": utc(tested.ended),
        "hours": tested.seconds / 3600,
        "hours_of_other_models": tested.other_models_s / 3600,
        "hours_with_other_limits": tested.other_limits_s / 3600,
        "stored_anomalies": len(tested.events),
        "outcomes": [_figures(tested, one, name) for one, name in zip(tested.outcomes, names, strict=True)],
    }


def _figures(tested: Backtest, outcome: Outcome, name: str) -> dict[str, Any]:
    limits = outcome.rules.limits
    first = outcome is tested.outcomes[0]
    return {
        "settings": name,
        "threshold": limits.threshold,
        "lasting_limit": limits.cusum if limits.cusum < math.inf else None,
        "anomalies": [_found(tested, one) for one in outcome.anomalies],
        "per_day": outcome.per_day,
        "not_known_to_be_faults": outcome.false_alarms,
        "not_known_to_be_faults_per_day_upper": outcome.false_alarms_upper,
        "by_verdict": {verdict: tested.reported(verdict, outcome) for verdict in VERDICTS},
        "without_verdict": tested.reported("", outcome),
        "real_faults": [{"event": event.id, "later_s": delay} for event, delay in tested.delays(outcome)],
        "new": [] if first else [_found(tested, one) for one in tested.new(outcome)],
        "vanished": [] if first else [_found(tested, one) for one in tested.vanished(outcome)],
    }


def _found(tested: Backtest, found: Found) -> dict[str, Any]:
    event = tested.event_at(found)
    return {
        "onset": utc(found.onset),
        "reported": utc(found.reported),
        "ended": utc(found.ended),
        "cause": found.cause,
        "event": event.id if event else None,
        "verdict": event.verdict if event else None,
    }
