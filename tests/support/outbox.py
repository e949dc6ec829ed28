"""An outbox with a clock that the test sets, and channels that remember what they were given."""

from __future__ import annotations

import datetime
import json
from collections.abc import Sequence
from dataclasses import replace
from typing import Any

import sqlalchemy as sa

from monitor.config.plant import Notify
from monitor.core.events import Event
from monitor.notify.channel import NotSent
from monitor.notify.delivery_worker import DeliveryWorker
from monitor.notify.message import Composer, Message
from monitor.notify.outbox import enqueue
from monitor.notify.pace import Pace
from monitor.notify.plan import Planner
from monitor.notify.rules import Rules
from monitor.store import rows
from monitor.store.database import Store
from monitor.store.queries import event_in
from monitor.store.tables import deliveries

NOON = 1_764_244_800.0  # Thu 27 Nov 2025, 12:00 UTC


class RememberingChannel:
    """Remembers all messages, and fails as `failures` say, one after another."""

    def __init__(self) -> None:
        self.tried: list[Message] = []
        self.sent: list[Message] = []
        self.failures: list[BaseException | None] = []
        self.failure: BaseException | None = None  # of all others

    def send(self, message: Message) -> None:
        """Takes a message, or raises the next failure."""
        self.tried.append(message)
        failure = self.failures.pop(0) if self.failures else self.failure
        if failure is not None:
            raise failure
        self.sent.append(message)

    @property
    def contents(self) -> list[dict[str, Any]]:
        """The JSON objects of all messages that it has taken."""
        return [json.loads(one.body) for one in self.sent]

    @property
    def stages(self) -> list[str]:
        """What the messages that it has taken are about: began press 1."""
        return [f"{one['stage']} {one.get('stream', '')}".strip() for one in self.contents]


class Outbox:
    """A store with an outbox and its channels; nothing happens but by calls of the test."""

    def __init__(
        self,
        *rules: dict[str, Any],
        channels: Sequence[str] = ("phone",),
        zone: datetime.tzinfo = datetime.UTC,
        url: str = "sqlite:///store.sqlite",
        host: str = "hall",
        **settings: Any,
    ) -> None:
        made = [{"name": name, "command": "unused"} for name in channels]
        wanted = [{"to": channels[0], **rule} for rule in rules or ({},)]
        self.settings = Notify.model_validate({"channels": made, "rules": wanted, **settings})
        self.now, self.zone, self.host = NOON, zone, host
        self.store = Store.open(url)
        self.channels = {name: RememberingChannel() for name in channels}
        self.rules = Rules(self.settings)
        self.restart()

    @property
    def phone(self) -> RememberingChannel:
        """The first channel."""
        return next(iter(self.channels.values()))

    def restart(self) -> None:
        """Forgets all that is only in memory, as if the program had been killed and started again."""
        self.workers = {
            name: DeliveryWorker(
                name,
                channel,
                lambda: self.store,
                self.rules,
                Planner(name, self.host, self.rules, self.settings.digest_from, self.zone),
                Composer(self.host, zone=self.zone),
                pace=Pace(give_up_s=self.settings.give_up_h * 3600, jitter=lambda: 1.0),
                clock=lambda: self.now,
            )
            for name, channel in self.channels.items()
        }

    def begin(self, stream: str = "press 1", kind: str = "anomaly", **changes: Any) -> Event:
        """Writes an event that begins now, and lasts unless `end_s` is given."""
        event = replace(Event(kind, 0.0, None, self.now, "a microphone", stream=stream), **changes)
        self.write(event)
        return event

    def end(self, event: Event, **changes: Any) -> None:
        """Writes that an event ends now."""
        self.write(replace(event, end_s=self.now - event.wall_time, **changes))

    def write(self, *events: Event, then: Exception | None = None) -> None:
        """Writes events, and fills the outbox, in one transaction, which `then` ends if it is given."""
        with self.store.begin() as connection:
            for event in events:
                stream = rows.stream_id(connection, self.host, event.stream, self.now)
                rows.write_event(connection, stream, rows.event_columns(event, 2.4, None))
                stored = event_in(connection, event.id)
                assert stored is not None
                enqueue(connection, stored, self.rules)
            if then is not None:
                raise then

    def wait(self, seconds: float = 2.0, step_s: float = 1.0) -> None:
        """Lets time pass, and the channels work."""
        end = self.now + seconds
        while self.now < end:
            self.now = min(end, self.now + step_s)
            for worker in self.workers.values():
                worker.work()

    def rows(self, stage: str = "", channel: str = "") -> list[Any]:
        """The rows of the outbox, in the order of their creation."""
        chosen = sa.select(deliveries).order_by(deliveries.c.id)
        if stage:
            chosen = chosen.where(deliveries.c.stage == stage)
        if channel:
            chosen = chosen.where(deliveries.c.channel == channel)
        with self.store.reading() as connection:
            return list(connection.execute(chosen))

    def states(self, stage: str = "", channel: str = "") -> list[str]:
        """The states of the rows of the outbox."""
        return [row.state for row in self.rows(stage, channel)]


def busy(why: str = "the channel is busy", **options: Any) -> NotSent:
    """A failure that may be over later."""
    return NotSent(why, **options)
