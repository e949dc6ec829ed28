"""Learning in the first days of a stream: a candidate each night, which is promoted if it hides nothing."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import numpy as np

from monitor.core.text import counted, duration_text, printable
from monitor.store import queries
from monitor.store.database import Store
from monitor.store.records import StoredStream
from train.calibration.tail_model import seconds_to_prove, upper_rate
from train.commands.progress import Progress
from train.improvement.material import FAULT
from train.improvement.next_model import ImprovedStream, make, promote
from train.improvement.report import CandidateReport

LISTENING = ("normal", "warning", "anomaly")  # states in which the machine is judged
ENOUGH_S = 3600.0  # of normal sound that may take the place of more of it that cannot be found any more
WIDER = 0.5  # as much sound of many hours is worth more than of one: so much of it may take its place


@dataclass(frozen=True, slots=True)
class Listened:
    """What listening so far says of the false alarms of a stream.

    Attributes:
        hours: that the machine was listened to.
        alarms: anomalies in that time that nobody has called a real fault.
        upper: upper 95 % bound of the false alarms a day; infinity if nothing was listened to.
        more_h: hours of further listening without such an anomaly that prove the budget.
    """

    hours: float
    alarms: int
    upper: float
    more_h: float


@dataclass(frozen=True, slots=True)
class Night:
    """The result of a night of commissioning.

    Attributes:
        promoted: whether another model is in force now.
        why: why not, as a sentence; empty if it was promoted.
        budget: of false alarms a day.
        bounds: upper bound of the false alarms a day by the normal sound that each model was calibrated with: of the
            model in force before, and of the candidate.
        listened: what listening so far says.
        proven: whether either bound is within the budget, so that commissioning can end.
        report: on the candidate; None if none was made.
    """

    promoted: bool
    why: str
    budget: float
    bounds: tuple[float | None, float | None]
    listened: Listened
    proven: bool
    report: CandidateReport | None

    def figures(self) -> dict[str, Any]:
        """As JSON has it."""
        report = self.report
        listened = asdict(self.listened) | {"upper": _finite(self.listened.upper)}
        found: dict[str, Any] = {
            "promoted": self.promoted, "why": self.why, "budget": self.budget, "bounds": self.bounds,
            "listened": listened, "proven": self.proven,
        }  # fmt: skip
        if report is not None:
            found |= {
                "limits": report.limits, "modes": report.modes, "hours": report.hours, "model_id": report.model_id,
                "parent": report.parent, "more_s": report.more_s, "held_back": report.held_back,
                "false_alarms": [[one.alarms, one.hours] for one in report.judgement.normal],
            }  # fmt: skip
        return found

    def sentences(self) -> list[str]:
        """What changed, and how sure the budget is now."""
        said: list[str] = []
        if self.report is not None and self.promoted:
            report, modes = self.report, self.report.modes
            hours = sum(report.hours.values())
            change = f"limit {report.limits[0]:.3g} -> {report.limits[1]:.3g}"
            if modes[0] != modes[1]:
                change += f", {counted(modes[0], 'operating mode')} -> {modes[1]}"
            said.append(f"Learnt again from {hours:.1f} hours of normal sound: {change}.")
        elif self.why:
            said.append(self.why)
        if self.report is not None and (unheard := sum(self.report.judgement.without_sound.values())):
            said.append(f"{counted(unheard, 'anomaly', 'anomalies')} could not be checked: there is no clip.")
        heard = self.listened
        alarms = f"{counted(heard.alarms, 'anomaly', 'anomalies')} not known to be a fault"
        rest = "commissioning can end" if self.proven else f"{heard.more_h:.0f} more hours without one would prove it"
        said.append(
            f"{heard.hours:.0f} hours of listening with {alarms}: at most {heard.upper:.2g} a day, and the budget is "
            f"{self.budget:g}; {rest}."
        )
        return said


def commission(improved: ImprovedStream, store: Store, normal: Sequence[Path], progress: Progress, *, by: str) -> Night:
    """Learns again from the normal sound that was gathered, as long as the rate of false alarms is not certain.

    Certain means: the upper 95 % bound is within the budget, either by the sound that the limits were found from
    (`Threshold.upper`), or by listening so far, with all anomalies that nobody has called a real fault as false alarms.

    A candidate is promoted only if everything that was reported so far, and not judged to be no fault, would still be
    reported, if it does not know less normal sound than the model in force, and if the newest sound is not unlike what
    the model knows that people have decided on last (`known_sound`), or a person has called some of it new but normal.

    Raises:
        MonitorError: if there is too little normal sound, or files cannot be written.
    """
    budget = improved.config.calibration.false_alarms_per_day
    heard = listened_so_far(store, improved.stream, budget)
    before = improved.parent.thresholds["score"].upper
    if _within(before, budget) or _within(heard.upper, budget):
        why = "Nothing was learnt: the rate of false alarms is known to be within the budget."
        return Night(False, why, budget, (before, before), heard, True, None)
    report = make(improved, store, normal, progress, by=by)
    judged_anew = set(report.learnt) - improved.versions.learnt()  # a person has decided what is normal
    changed = "" if judged_anew else has_changed(report)
    why = hides(report) or changed or knows_less(report, improved.parent.thresholds["score"].seconds)
    if not why:
        promote(improved, store, by=by, model_id=report.model_id)
    bounds = (before, report.bounds[1])
    return Night(not why, why, budget, bounds, heard, not why and _within(report.bounds[1], budget), report)


def hides(report: CandidateReport) -> str:
    """Why a candidate is not promoted by itself, as a sentence; empty if everything is still reported."""
    judged = report.judgement
    lost = [*judged.faults_lost, *judged.unjudged_lost]
    if not lost:
        return ""
    return (
        f"Learnt again, but not promoted: it would no longer report {counted(len(lost), 'anomaly', 'anomalies')} of "
        f"this stream, such as event {lost[0].event_id}. If that was no fault, say so with `monitor verdict`."
    )


def has_changed(report: CandidateReport) -> str:
    """Why a candidate could have learnt a slowly growing fault, as sentences; empty if it could not."""
    if not report.changed:
        return ""
    return (
        f"Learnt again, but not promoted. {report.changed} If it is well: monitor improve "
        f'"{printable(report.stream)}", and again with --promote.'
    )


def knows_less(report: CandidateReport, seconds: float) -> str:
    """Why a candidate would forget normal sound, as a sentence; empty if it does not.

    Recordings that the model in force was trained on may be gone, and little else may have been heard so far.

    Args:
        report: on the candidate.
        seconds: of normal sound that the limits of the model in force were found from.
    """
    known_s = 3600 * sum(report.hours.values())
    if known_s >= WIDER * min(seconds, ENOUGH_S):
        return ""
    return (
        f"Learnt again, but not promoted: there are {duration_text(known_s)} of normal sound so far, and the model in "
        f"force was made from {duration_text(seconds)}."
    )


def listened_so_far(store: Store, stream: StoredStream, budget: float) -> Listened:
    """What the store knows of the false alarms of a stream since it was heard first.

    Raises:
        StoreError: if the store does not answer.
    """
    values = queries.minutes(store, stream.id, since=0.0, until=stream.last_seen + 60.0, step_s=86_400.0)
    seconds = float(sum(np.nansum(values.seconds[state]) for state in LISTENING))
    events = queries.events(store, streams=[stream.id], kinds=["anomaly"])
    alarms = sum(event.verdict != FAULT for event in events)
    upper = upper_rate(alarms, seconds) if seconds else math.inf
    return Listened(seconds / 3600, alarms, upper, seconds_to_prove(budget, alarms, seconds) / 3600)


def _within(upper: float | None, budget: float) -> bool:
    return upper is not None and upper <= budget


def _finite(number: float) -> float | None:
    return number if math.isfinite(number) else None
