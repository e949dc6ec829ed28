"""What is known of a candidate, side by side with the model in force: kept beside it, and shown as a table."""

from __future__ import annotations

import math
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from pydantic import TypeAdapter, ValidationError
from rich.table import Table

from monitor.core.atomic_io import write_atomically
from monitor.core.errors import MonitorError
from monitor.core.text import counted, duration_text, printable
from train.improvement.judgement import ClipResult, FalseAlarms, Judgement
from train.improvement.known_sound import UNLIKE


@dataclass(frozen=True, slots=True)
class CandidateReport:
    """A candidate, and how it was judged. Pairs are of the model in force, and of the candidate.

    Attributes:
        stream: name of the stream.
        model_id: of the candidate.
        parent: id of the model in force that it was made of.
        how: how it was made, in a few words.
        retrained: whether its network was trained anew.
        by: who made it.
        made: Unix time.
        verdicts: the verdicts on anomalies of the stream at that time, by the events' ids.
        learnt: ids of the events that it has learnt as normal.
        hours: of sound that it was made from: "stored", "given" and "trained".
        held_back: number of stored pieces that nothing may be learnt from.
        share: least share that the learnt clips were given of the sound that references were fitted to.
        limits: of the score.
        modes: number of operating modes.
        budget: `calibration.false_alarms_per_day`.
        bounds: upper bound of the false alarms a day, as each model's calibration states it; None: unknown.
        more_s: seconds of further normal sound without an alarm that prove the budget; None: unknown.
        judgement: what both report.
        unlike: number of pieces of the newest day that the model would report, if such sound lasted, which a person has
            put in force last; and number of pieces that it has heard.
    """

    stream: str
    model_id: str
    parent: str
    how: str
    retrained: bool
    by: str
    made: float
    verdicts: dict[str, str]
    learnt: list[str]
    hours: dict[str, float]
    held_back: int
    share: float
    limits: tuple[float, float]
    modes: tuple[int, int]
    budget: float
    bounds: tuple[float | None, float | None]
    more_s: float | None
    judgement: Judgement
    unlike: tuple[int, int] = (0, 0)

    @property
    def changed(self) -> str:
        """What is to be known if the machine no longer sounds as when a person last chose its model; else empty."""
        reported, pieces = self.unlike
        if not pieces or reported < UNLIKE * pieces:
            return ""
        return (
            f"The machine has changed since a person last chose its model: that one would report {reported} of "
            f"{pieces} pieces of the newest day if such sound lasted. A fault may have grown slowly: look at "
            "the machine."
        )

    @property
    def refusal(self) -> str:
        """Why the candidate must not be promoted, as a sentence with advice; empty if it may be."""
        if not (lost := self.judgement.faults_lost):
            return ""
        some = ", ".join(printable(one.event_id) for one in lost[:3])
        learnt = (
            " Is one of the learnt clips a fault? Correct its verdict" if self.learnt else " Look at the normal sound"
        )
        return (
            f"{counted(len(lost), 'confirmed fault')} would no longer be reported (event {some}).{learnt}, and make "
            "another candidate; or promote it with --force."
        )


_FILE: TypeAdapter[CandidateReport] = TypeAdapter(CandidateReport)


def save_report(report: CandidateReport, path: Path) -> None:
    """Writes a report whole.

    Raises:
        MonitorError: if it cannot be written.
    """
    write_atomically(path, _FILE.dump_json(report, indent=1))


def load_report(path: Path) -> CandidateReport:
    """Reads a report.

    Raises:
        MonitorError: if there is none, or it is damaged.
    """
    try:
        return _FILE.validate_json(path.read_bytes())
    except FileNotFoundError:
        raise MonitorError("There is no candidate: make one with `monitor improve STREAM`.") from None
    except OSError as error:
        raise MonitorError(f"{path}: cannot be read: {error.strerror}.") from None
    except ValidationError:
        raise MonitorError(f"{path}: is damaged: make another candidate with `monitor improve STREAM`.") from None


def figures(report: CandidateReport) -> dict[str, Any]:
    """The report as JSON has it, with the rates and what follows from them."""
    found: dict[str, Any] = _FILE.dump_python(report, mode="json")
    judged = report.judgement
    found["false_alarms"] = {
        name: {"alarms": one.alarms, "hours": one.hours, "per_day": _finite(one.per_day), "upper": _finite(one.upper)}
        for name, one in zip(("before", "after"), judged.normal, strict=True)
    }
    found["faults_lost"] = [one.event_id for one in judged.faults_lost]
    found["unjudged_lost"] = [one.event_id for one in judged.unjudged_lost]
    found["may_be_promoted"] = not report.refusal
    return found


def short_figures(report: CandidateReport) -> dict[str, Any]:
    """The figures that the history of versions keeps."""
    judged = report.judgement
    return {
        "false_alarms_per_day": [_finite(one.per_day) for one in judged.normal],
        "upper": [_finite(one.upper) for one in judged.normal],
        "hours": round(judged.normal[1].hours, 2),
        "limits": list(report.limits),
        "modes": list(report.modes),
        "faults": [len(judged.faults), *_reported(judged.faults)],
        "unjudged": [len(judged.unjudged), *_reported(judged.unjudged)],
        "learnt": list(report.learnt),
    }


def table(report: CandidateReport) -> Table:
    """The model in force and the candidate, side by side."""
    judged = report.judgement
    shown = Table(box=None, pad_edge=False, header_style="bold")
    shown.add_column("", no_wrap=True)
    for title in (f"in force ({report.parent})", f"candidate ({report.model_id})"):
        shown.add_column(title)
    shown.add_row("limit of the score", *(f"{one:.3g}" for one in report.limits))
    shown.add_row("operating modes", *map(str, report.modes))
    shown.add_row(f"false alarms in {duration_text(judged.normal[1].hours * 3600)}", *map(_rate, judged.normal))
    for name, clips in (
        ("confirmed faults reported", judged.faults),
        ("anomalies not judged", judged.unjudged),
        ("judged to be no fault", judged.no_fault),
    ):
        if clips:
            shown.add_row(
                name,
                *(f"{one} of {len(clips)}{' reported' * (number == 0)}" for number, one in enumerate(_reported(clips))),
            )
        if clips is judged.faults and clips:
            shown.add_row(
                "  delay after their onset",
                *(_delay([getattr(one, when) for one in clips]) for when in ("before", "after")),
            )
    if judged.learnt:
        shown.add_row("new but normal: alarms", *(f"{one} of {len(judged.learnt)}" for one in _reported(judged.learnt)))
        shown.add_row("  alarms if it lasts", *(f"{one} of {len(judged.learnt)}" for one in judged.alarming_if_lasting))
    return shown


def notes(report: CandidateReport) -> list[str]:
    """What has to be known of the figures: how they were found, and what they do not say."""
    judged = report.judgement
    where = "the sound of the training, because there is no other" if judged.on_training else "normal sound"
    said = [
        f"False alarms: counted in {counted(judged.recordings, 'recording')} of {where}, of the candidate by "
        f"cross-validation with {counted(judged.folds, 'part')}: each was judged without having been learnt."
    ]
    if report.retrained:
        said.append("Only sound that was held out from the training is counted.")
    if judged.known_before:
        said.append(f"The model in force had learnt {judged.known_before} of these, so its figure is too good.")
    left_out, alarming = judged.left_out
    if left_out:
        said.append(
            f"New but normal: by candidates that had learnt only the other clips, {alarming} of {left_out} would alarm "
            "if they lasted."
        )
    if judged.alarming_if_lasting[1]:
        said.append(
            "Not all that is new but normal could be learnt without hiding more: such sound will still be reported."
        )
    if report.held_back:
        said.append(
            f"{counted(report.held_back, 'stored piece')} held back: there were anomalies near them (`monitor events`)."
        )
    if report.changed:
        said.append(report.changed)
    for verdict, count in judged.without_sound.items():
        said.append(f"{counted(count, 'anomaly', 'anomalies')} {f'({verdict})' if verdict else 'without a verdict'} "
                    "left out: there is no clip.")  # fmt: skip
    if lost := judged.unjudged_lost:
        said.append(
            f"No longer reported, and nobody has said what it was: {', '.join(one.event_id for one in lost[:5])}"
            f"{' …' if len(lost) > 5 else ''}. Say it with `monitor verdict`."
        )
    return said


def _rate(one: FalseAlarms) -> str:
    if not one.hours:
        return "unknown"
    return f"{one.alarms} ({one.per_day:.3g} a day, at most {one.upper:.3g})"


def _reported(clips: list[ClipResult]) -> tuple[int, int]:
    """How many clips are reported, before and after."""
    return sum(one.before is not None for one in clips), sum(one.after is not None for one in clips)


def _delay(delays: list[float | None]) -> str:
    known = [one for one in delays if one is not None]
    return f"{np.median(known):.0f} s (median)" if known else "-"


def _finite(number: float) -> float | None:
    return number if math.isfinite(number) else None
