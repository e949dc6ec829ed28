"""The page of a scan: one HTML file that needs no other, small however many recordings there are."""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from importlib.resources import files
from pathlib import Path
from typing import Any

import jinja2
import numpy as np
from markupsafe import Markup

from monitor.bundle.bundle import Bundle
from monitor.core.events import CAUSES, Band
from monitor.core.text import counted, printable
from monitor.dashboard.render.formatting import duration, share
from monitor.dashboard.widgets.long_term import long
from monitor.dashboard.widgets.reason import sound_at
from monitor.features.mel import band_centres
from monitor.report import event_text as words
from monitor.report.templates import templates
from monitor.scan import pictures
from monitor.scan.archive import Archive
from monitor.scan.findings import Finding
from monitor.scan.overview import anomalies, band_seconds, hours_of, onset, ranked
from monitor.scan.task import LeftOut
from monitor.scoring.attribution import contributing_ranges

MOST_RANKED = 50  # recordings that have a row
MOST_TOLD = 40  # anomalies that have a row
MOST_LEFT_OUT = 30  # files that were left out and have a row
BANDS_ROOM = 80  # characters for the frequencies of an anomaly


@dataclass(frozen=True, slots=True)
class Told:
    """An anomaly in the table."""

    time: float  # Unix time; NaN if it is not known
    file: str
    link: str
    at: str  # position in the file
    length: str
    share: str
    why: str


def page(
    archive: Archive,
    bundle: Bundle,
    model_name: str,
    findings: Sequence[Finding],
    left_out: Sequence[LeftOut],
    folder: Path,
    now: float,
) -> Iterator[bytes]:
    """The page in pieces, in UTF-8.

    Args:
        archive: what was scanned.
        bundle: the model.
        model_name: its display name.
        findings: what was found, in the order of time.
        left_out: the files that were not scored.
        folder: in which the page is, for links to recordings.
        now: Unix time at which it is made.
    """
    hours, found = hours_of(findings), anomalies(findings)
    strongest = sorted(found, key=lambda one: -_peak(one))[:MOST_TOLD]
    told = [_told(one, archive, folder) for one in found if any(one is other for other in strongest)]
    ranking = ranked(findings)
    times = [one.at.timestamp() for one in hours]
    bands = band_seconds(findings)
    base = (files("monitor.report") / "style.css").read_text(encoding="utf-8")
    own = (files(__package__) / "page.css").read_text(encoding="utf-8")
    texts = (
        _environment()
        .get_template("page.html")
        .generate(
            archive=printable(archive.text),
            model_name=model_name,
            made=words.moment(now, year=True, day=True),
            style=Markup(base + own),
            title=_title(hours) if hours else "Recordings",
            lead=sentences(findings, left_out),
            offsets=words.offsets(times[0], times[-1]) if times else "",
            undated=sum(not one.dated for one in findings),
            recordings=len(findings),
            strips=pictures.strips(hours),
            chart=pictures.share_chart(hours),
            bands=pictures.band_chart(bands, band_centres(bundle.config.features)),
            band_list=_strongest(bands, bundle),
            told=told,
            untold=len(found) - len(told),
            ranking=[(one, _recording_link(one, archive, folder)) for one in ranking[:MOST_RANKED]],
            unranked=len(ranking) - min(len(ranking), MOST_RANKED),
            left_out=left_out[:MOST_LEFT_OUT],
            unlisted=len(left_out) - min(len(left_out), MOST_LEFT_OUT),
            dated=bool(hours),
        )
    )
    return (text.encode("utf-8", "replace") for text in texts)


def sentences(findings: Sequence[Finding], left_out: Sequence[LeftOut]) -> list[str]:
    """What was found in a few sentences, for page and terminal."""
    if not findings:
        return [f"Nothing was scored: {counted(len(left_out), 'file')} could not be."]
    seconds = math.fsum(one.seconds for one in findings)
    made = [f"{long(seconds)} of sound in {counted(len(findings), 'recording')} were scored."]
    found, hours = anomalies(findings), hours_of(findings)
    loud = [one for one in findings if one.anomalies]
    if not found:
        made.append("There was no anomaly.")
    else:
        number = "One anomaly was found" if len(found) == 1 else f"{len(found):,d} anomalies were found"
        where = f"in {counted(len(loud), 'recording')}"
        first = found[0]["wall_time"]
        since = f", the first on {_moment(float(str(first)))}" if first is not None else ""
        made.append(f"{number} {where}{since}.")
    change = onset(hours)
    if change is not None:
        made.append(
            f"They began to be frequent on {_moment(change.at.timestamp())}: since then {_of(change.after)} hours "
            f"had one, before {_of(change.before)}."
        )
    if left_out:
        made.append(f"{counted(len(left_out), 'file')} could not be scored.")
    return made


def _of(part: tuple[int, int]) -> str:
    return f"{part[0] or 'none'} of {part[1]}"


def _moment(at: float) -> str:
    """A time in a sentence: 24 Nov 2026, 14:00."""
    local = words.local(at)
    return f"{local.day} {words.MONTHS[local.month - 1]} {local.year} at {local:%H:%M}"


def _peak(event: dict[str, Any]) -> float:
    return float(event["peak"] or 0.0) / (float(event["threshold"] or 0.0) or 1.0)


def _told(event: dict[str, Any], archive: Archive, folder: Path) -> Told:
    bands = [Band(**band) for band in event["bands"]]
    why = ": ".join(part for part in (CAUSES.get(event["cause"], ""), sound_at(bands, BANDS_ROOM)) if part)
    ended = event["end_s"] if event["end_s"] is not None else event["start_s"]
    return Told(
        math.nan if event["wall_time"] is None else event["wall_time"],
        event["file"],
        archive.link(event["file"], folder),
        duration(event["file_s"]) if event["file_s"] >= 60 else f"0:{int(event['file_s']):02d}",
        duration(ended - event["start_s"]),
        share(_peak(event)),
        why,
    )


def _recording_link(one: Finding, archive: Archive, folder: Path) -> str:
    return archive.link(one.worst_file or one.name, folder)


def _strongest(seconds: Sequence[int], bundle: Bundle) -> str:
    """The bands with most of the anomalies, in words."""
    if not any(seconds):
        return ""
    values = np.array(seconds, np.float64)
    found = contributing_ranges(np.abs(values), values, band_centres(bundle.config.features))
    return sound_at(found, 200)


def _title(hours: Sequence[Any]) -> str:
    """The time that the archive covers: 20 October – 27 November 2026."""
    first, last = (hours[index].at.date() for index in (0, -1))
    end = f"{last.day} {words.MONTHS[last.month - 1]} {last.year}"
    if first == last:
        return end
    year = f" {first.year}" if first.year != last.year else ""
    month = f" {words.MONTHS[first.month - 1]}" if year or first.month != last.month else ""
    return f"{first.day}{month}{year} – {end}"


def _parted(name: str) -> tuple[str, str]:
    """The folder and the name of a recording."""
    folder, _, base = printable(name).rpartition("/")
    return folder, base


def _environment() -> jinja2.Environment:
    return templates("scan", {
        "counted": counted,
        "span": duration,
        "moment": lambda time: "" if math.isnan(time) else words.moment(time, year=True, day=True),
        "printable": printable,
        "share": lambda value: share(value).replace(" ", "\N{NO-BREAK SPACE}"),
        "parted": _parted,
        "position": lambda seconds: f"{int(seconds) // 60}:{int(seconds) % 60:02d}",
    })  # fmt: skip
