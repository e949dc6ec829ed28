"""What is sent by MQTT: the values of a stream and its events as JSON, with numbers or null and never NaN."""

from __future__ import annotations

import datetime
import json
import math
from typing import Any

from monitor.core.events import Event
from monitor.core.snapshot import Snapshot
from monitor.core.text import printable
from monitor.integrations.live_values import LiveValues
from monitor.outputs.event_log import event_fields
from monitor.store.records import StoredEvent
from monitor.store.verdicts import StoredVerdict

ONLINE, OFFLINE = "online", "offline"
PHASES = ("begin", "reminder", "end", "verdict")
DIGITS = 6  # significant digits of values


def state_payload(snapshot: Snapshot, at: float) -> str:
    """The values of a stream.

    Args:
        snapshot: the stream's newest snapshot.
        at: the present Unix time.
    """
    values = LiveValues.of(snapshot)
    return as_json(
        {
            "time": datetime.datetime.fromtimestamp(at, datetime.UTC).isoformat(timespec="milliseconds"),
            "state": values.state.value,
            "problem": values.problem,
            "share_of_limit": _rounded(values.share_of_limit),
            "error": _rounded(values.error),
            "score": _rounded(values.score),
            "limit": _rounded(values.limit),
            "level_dbfs": _rounded(values.level_dbfs),
            "not_heard_s": _rounded(snapshot.lost_s),
            "anomalies": snapshot.anomalies,
            "model": snapshot.model,
            "source": snapshot.source,
        }
    )


def event_payload(event: Event, host: str) -> str:
    """An event: the fields of the event log, the host, and which report of the event this is.

    An event is reported up to many times with the same `id`: `phase` is "begin", "reminder" or "end", and `reminders`
    counts. A message with the same three is a repetition of the same message.
    """
    phase = "end" if event.end_s is not None else "reminder" if event.reminders else "begin"
    facts = {"event_type": f"{event.kind} {phase}", "phase": phase, "host": host}
    return as_json({**facts, **event_fields(event)})


def verdict_payload(event: StoredEvent, said: StoredVerdict) -> str:
    """What somebody said that an event was; an empty verdict withdraws the one before."""
    return as_json(
        {
            "event_type": f"{event.kind} verdict",
            "phase": "verdict",
            "host": event.host,
            "stream": event.stream,
            "kind": event.kind,
            "id": event.id,
            "verdict": said.verdict,
            "by": said.by,
            "comment": said.comment,
            "time": datetime.datetime.fromtimestamp(said.time, datetime.UTC).isoformat(timespec="milliseconds"),
            "model_id": said.model_id,
        }
    )


def as_json(value: Any) -> str:
    """JSON that every reader accepts: without NaN, Infinity, and characters that are no text."""
    return json.dumps(_clean(value), allow_nan=False)


def _clean(value: Any) -> Any:
    if isinstance(value, float):
        return value if math.isfinite(value) else None
    if isinstance(value, str):
        return printable(value)
    if isinstance(value, dict):
        return {key: _clean(one) for key, one in value.items()}
    return [_clean(one) for one in value] if isinstance(value, list | tuple) else value


def _rounded(value: float | None) -> float | None:
    return None if value is None else float(f"{value:.{DIGITS}g}")
