"""What a channel receives: a JSON object for programs, and title and text for people."""

from __future__ import annotations

import datetime
import json
import math
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import sqlalchemy as sa

from monitor.clips.access import ClipAccess, NoClip
from monitor.core.events import new_event_id
from monitor.core.object_store import ObjectStoreError
from monitor.notify.wording import digest_sentence, digest_title, sentence, title
from monitor.store.queries import event_in
from monitor.store.records import StoredEvent
from monitor.store.tables import WAITING, deliveries

VERSION = 1  # of the JSON object
LISTED = 100  # events that a digest lists at most

_TIMES = ("onset", "reported", "ended", "acknowledged")
_FIELDS = (
    "id", "kind", "onset", "reported", "ended", "cut_off", "peak_share", "mean_share", "peak", "threshold", "cause",
    "bands", "lost_samples", "acknowledged", "acknowledged_by", "model_id", "source", "clip", "picture",
)  # fmt: skip


@dataclass(frozen=True, slots=True)
class Message:
    """A message that a channel delivers; the same `delivery` if it is delivered once more."""

    delivery: str
    body: bytes  # the JSON object, UTF-8
    title: str
    text: str
    files: tuple[Path, ...] = ()  # picture and clip, as far as they exist; none from the second attempt on


@dataclass(frozen=True, slots=True)
class Composer:
    """Makes messages from what is stored.

    Args:
        host: name of this computer.
        clips: finds clips and pictures; None: messages have none.
        zone: time zone of the times in texts; None: that of the computer.
    """

    host: str
    clips: ClipAccess | None = None
    zone: datetime.tzinfo | None = None

    def compose(self, connection: sa.Connection, message: str) -> Message | None:
        """The message with this id, from the deliveries that are part of it; None if none of them waits any more."""
        of_message = (deliveries.c.message == message, deliveries.c.state == WAITING)
        count = connection.scalar(sa.select(sa.func.count()).select_from(deliveries).where(*of_message)) or 0
        columns = (deliveries.c.id, deliveries.c.event_id, deliveries.c.stage, deliveries.c.attempts)
        chosen = sa.select(*columns).where(*of_message).order_by(deliveries.c.id).limit(LISTED)
        rows = connection.execute(chosen).all()
        stored = [(row, event_in(connection, row.event_id)) for row in rows]
        entries = [(row.id, row.stage, event) for row, event in stored if event is not None]
        if not entries:
            return None
        if len(rows) > 1:
            return self._digest(message, count, entries)
        # A service that does not take the files shall at least deliver the text.
        return self._single(*entries[0], with_files=rows[0].attempts == 0)

    def test(self, channel: str) -> Message:
        """A message that says that it is a test."""
        delivery = new_event_id()
        text = f"This is a test of the channel {channel} by the acoustic monitor on {self.host}."
        content = {"version": VERSION, "delivery": delivery, "stage": "test", "host": self.host, "stream": "",
                   "event": None, "text": text}  # fmt: skip
        return Message(delivery, _encoded(content), "Test of the acoustic monitor", text)

    def _single(self, delivery: str, stage: str, event: StoredEvent, *, with_files: bool) -> Message:
        content = {"version": VERSION, **self._entry(delivery, stage, event)}
        names = (event.picture, event.clip) if with_files else ()
        files = tuple(path for name in names if (path := self._file(event, name)) is not None)
        return Message(delivery, _encoded(content), title(event, stage), content["text"], files)

    def _digest(self, message: str, count: int, entries: Sequence[tuple[str, str, StoredEvent]]) -> Message:
        text = digest_sentence(count, [(event, stage) for _, stage, event in entries])
        content = {
            "version": VERSION,
            "delivery": message,
            "stage": "digest",
            "host": self.host,
            "count": count,
            "events": [self._entry(*entry) for entry in entries],
            "text": text,
        }
        return Message(message, _encoded(content), digest_title(count), text)

    def _entry(self, delivery: str, stage: str, event: StoredEvent) -> dict[str, Any]:
        return {
            "delivery": delivery,
            "stage": stage,
            "host": event.host,
            "stream": event.stream,
            "event": {name: self._value(event, name) for name in _FIELDS},
            "text": sentence(event, stage, self.zone),
        }

    def _file(self, event: StoredEvent, path: str) -> Path | None:
        """A file of an event on this computer; None if there is none, because the text has to go out in any case."""
        try:
            return self.clips.local(event.host, path) if self.clips is not None and path else None
        except (NoClip, ObjectStoreError):
            return None

    def _value(self, event: StoredEvent, name: str) -> Any:
        """A field of an event as JSON has it: null for what is empty or no number."""
        value = getattr(event, name)
        if name == "bands":
            return [asdict(band) for band in value]
        if name in ("clip", "picture"):
            return self.clips.where(event.host, value) if self.clips is not None and value else None
        if value is None or value == "" or (isinstance(value, float) and not math.isfinite(value)):
            return None
        if name in _TIMES:
            utc = datetime.datetime.fromtimestamp(value, datetime.UTC)
            return utc.isoformat(timespec="milliseconds").removesuffix("+00:00") + "Z"
        return value


def _encoded(content: dict[str, Any]) -> bytes:
    return json.dumps(content, ensure_ascii=False, allow_nan=False).encode(errors="replace")
