"""What is known of a stream: its model, where the limit came from, and the events that go on."""

from __future__ import annotations

import json
import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import safetensors

from monitor.bundle.versions import ModelVersions
from monitor.core.errors import MonitorError
from monitor.core.text import counted, printable, shortened, stream_folder
from monitor.dashboard.render.formatting import number
from monitor.dashboard.widgets.long_term import long
from monitor.report import details
from monitor.report.details import StoredModel
from monitor.report.event_text import moment
from monitor.store import queries
from monitor.store.database import Store, StoreError
from monitor.store.event_search import EventSearch, page
from monitor.store.records import StoredEvent, StoredStream

RECENT = 8  # anomalies that are listed


@dataclass(frozen=True, slots=True)
class ModelChange:
    """A moment from which on a stream was listened to with another model."""

    time: float  # Unix time
    what: str  # in a few words
    by: str = ""
    how: str = ""


@dataclass(frozen=True, slots=True)
class StreamFacts:
    """What is known of a stream beyond its values."""

    stream: StoredStream
    name: str  # as it is shown: with the computer's where there are several
    model: StoredModel | None  # that it listens with
    changes: tuple[ModelChange, ...]  # oldest first
    lineage: tuple[Mapping[str, Any], ...]  # the models that this one was made of, oldest first

    def limit(self, quantity: str) -> float | None:
        """The limit of "share", "score" or "error"; None if there is none."""
        if quantity == "share":
            return 1.0
        value = None if self.model is None else self.model.limits.get(quantity)
        return float(value) if isinstance(value, int | float) and math.isfinite(value) and value > 0 else None


@dataclass(frozen=True, slots=True)
class StreamNow:
    """What people do with a stream at present."""

    muted_until: float | None
    ongoing: tuple[StoredEvent, ...]  # anomalies that last, newest first
    recent: tuple[StoredEvent, ...]  # the newest anomalies

    @property
    def unseen(self) -> tuple[str, ...]:
        """The ids of the anomalies that last and that nobody has acknowledged."""
        return tuple(one.id for one in self.ongoing if one.acknowledged is None)


def read_facts(store: Store, stream_id: int, host: str, models_folder: Path) -> StreamFacts:
    """Reads what is known of a stream.

    Args:
        store: the store.
        stream_id: of the stream.
        host: this computer, which has the versions of the models of its own streams only.
        models_folder: where these are.

    Raises:
        StoreError: if there is no such stream, or the store cannot be read.
    """
    streams = queries.streams(store)
    stream = next((one for one in streams if one.id == stream_id), None)
    if stream is None:
        raise StoreError(f"There is no stream number {stream_id} in the store.", rejected=True)
    known = details.models(store, stream_id)
    model = next((one for one in known if one.id == stream.model_id), None)
    versions = ModelVersions(models_folder / stream_folder(stream.name)) if stream.host == host else None
    several = len({one.host for one in streams}) > 1
    return StreamFacts(
        stream=stream,
        name=printable(f"{stream.host}/{stream.name}" if several else stream.name),
        model=model,
        changes=model_changes(stream, known, versions),
        lineage=() if versions is None or model is None else _lineage(versions, model),
    )


def read_now(store: Store, stream_id: int) -> StreamNow:
    """Reads what changes from minute to minute.

    Raises:
        StoreError: if the store cannot be read.
    """
    muted = next((one.muted_until for one in queries.streams(store) if one.id == stream_id), None)
    recent = page(store, EventSearch(streams=(stream_id,), kinds=("anomaly",)), size=RECENT).events
    return StreamNow(muted, tuple(one for one in recent if one.ended is None), recent)


def model_changes(
    stream: StoredStream, known: Sequence[StoredModel], versions: ModelVersions | None
) -> tuple[ModelChange, ...]:
    """When another model was used for a stream: from the history of its versions, and from what the store has seen."""
    try:
        history = [] if versions is None else versions.history()
    except MonitorError:  # it is damaged; `monitor improve` says so
        history = []
    made = [ModelChange(one.time, f"model {one.what}", one.by, one.how) for one in history]
    promoted = {one.model_id for one in history}
    made += [
        ModelChange(one.first_seen, "another model or limit")
        for one in known[1:]
        if one.id not in promoted and one.first_seen > stream.first_seen
    ]
    return tuple(sorted(made, key=lambda one: one.time))


def limit_lines(facts: StreamFacts) -> list[tuple[str, str]]:
    """Names and texts: the limit, where it came from, and the false alarms that it leads to."""
    if facts.model is None:
        return []
    found = facts.model.calibration.get("score")
    score = found if isinstance(found, Mapping) else {}
    lines = [("Limit of the score", number(facts.limit("score") or math.nan))]
    if score.get("recordings"):
        sound = f"{counted(int(score['recordings']), 'recording')}, {long(float(score.get('seconds') or 0))} of sound"
        method = "labelled" if score.get("method") == "labelled" else "normal"
        lines.append(("Found from", f"{sound} ({method}){_on(score.get('date'))}"))
    elif score.get("note"):
        lines.append(("Found", printable(str(score["note"]))))
    if (expected := score.get("expected")) is not None:
        upper = score.get("upper")
        bound = f", at most {upper:.2g} with 95 % confidence" if isinstance(upper, int | float) else ""
        lines.append(("False alarms a day", f"{expected:.2g} expected{bound}"))
    return lines


def change_lines(facts: StreamFacts) -> list[str]:
    """The changes of the model and its ancestors, newest first, a sentence each."""
    lines = [
        f"{moment(one.time, year=True).strip()}: {one.what}{f' by {one.by}' if one.by else ''}"
        f"{f' ({one.how})' if one.how else ''}"
        for one in reversed(facts.changes)
    ]
    for one in reversed(facts.lineage):
        date, how = str(one.get("date", ""))[:16].replace("T", " "), str(one.get("how", ""))
        lines.append(f"{date}: made of model {one.get('model_id', '?')}{f' ({how})' if how else ''}")
    return [printable(shortened(one, 200)) for one in lines]


def _on(date: object) -> str:
    return f", {str(date)[:10]}" if date else ""


def _lineage(versions: ModelVersions, model: StoredModel) -> tuple[Mapping[str, Any], ...]:
    """The ancestors that a version's file names; its name is the model's id, so it cannot be another model."""
    path = versions.folder / f"{model.id}.safetensors"
    if not path.is_file():
        return ()
    try:
        with safetensors.safe_open(path, framework="np") as stored:
            metadata = json.loads((stored.metadata() or {}).get("monitor", "null"))
        return tuple(one for one in metadata["provenance"].get("lineage", ()) if isinstance(one, dict))
    except (OSError, ValueError, KeyError, TypeError, AttributeError, safetensors.SafetensorError):
        return ()
