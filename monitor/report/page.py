"""The report as one HTML page that needs no other file, made piece by piece from its template."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from importlib.resources import files
from pathlib import PurePath

import jinja2
from markupsafe import Markup

from monitor.core.text import band_range
from monitor.dashboard.render.axis import FIXED_TOP
from monitor.dashboard.render.formatting import number, share
from monitor.dashboard.widgets.long_term import long
from monitor.report import event_text as words
from monitor.report import timeline
from monitor.report.contents import Contents
from monitor.report.details import StoredModel
from monitor.report.templates import templates

_LIMITS = {
    "score": "anomaly score",
    "error": "reconstruction error",
    "recording": "whole recordings",
    "cusum": "lasting sum",
}


def page(contents: Contents, now: float) -> Iterator[bytes]:
    """The page in pieces, in UTF-8.

    Args:
        contents: what it tells. Streams and files are read while the pieces are taken.
        now: Unix time at which it is made.
    """
    template = _environment().get_template("page.html")
    texts = template.generate(
        contents=contents,
        attachments=contents.attachments,
        style=Markup((files(__package__) / "style.css").read_text(encoding="utf-8")),
        period=_period(contents.since, contents.until),
        offsets=words.offsets(contents.since, contents.until),
        made=words.moment(now, year=True, day=True),
        heights=timeline.HEIGHTS,
        chart_rows=timeline.CHART,
        limit_at=round(1 - 1 / FIXED_TOP, 4),
    )
    return (text.encode("utf-8", "replace") for text in texts)


def _environment() -> jinja2.Environment:
    return templates("report", {
        "band_range": band_range,
        "cause": words.cause,
        "day_and_time": lambda time: words.moment(time, year=True, day=True),
        "limits": _limits,
        "model_name": _model_name,
        "number": number,
        "kind": words.kind,
        "length_of": words.length,
        "long": long,
        "moment": lambda time: words.moment(time).strip(),
        "peak": words.peak,
        "share": share,
        "where": words.where,
    })  # fmt: skip


@dataclass(frozen=True, slots=True)
class _Limit:
    """A limit of a model, and how it was found."""

    name: str
    value: float
    note: str
    date: str


def _limits(model: StoredModel) -> list[_Limit]:
    """The limits of a model as rows of a table."""
    made = []
    for kind, value in model.limits.items():
        found = model.calibration.get(kind)
        found = found if isinstance(found, Mapping) else {}
        note, date = str(found.get("note") or ""), str(found.get("date") or "")
        made.append(_Limit(_LIMITS.get(kind, kind), float(value), note, date))
    return made


def _model_name(model: StoredModel) -> str:
    """The name of a model: its file, with its folder, which tells models apart that are all called alike."""
    return "/".join(PurePath(model.name).parts[-2:]) or "Model"


def _period(since: float, until: float) -> str:
    """The time of the report as a heading: 20 – 27 November 2026."""
    first, last = words.local(since), words.local(until)
    end = f"{last.day} {words.MONTHS[last.month - 1]} {last.year}"
    if first.date() == last.date():
        return f"{end}, {first:%H:%M} – {last:%H:%M}"
    year = f" {first.year}" if first.year != last.year else ""
    month = f" {words.MONTHS[first.month - 1]}" if year or first.month != last.month else ""
    return f"{first.day}{month}{year} – {end}"
