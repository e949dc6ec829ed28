"""Decides about deliveries that are due: sent now, later or not at all; and makes messages of those that are sent."""

from __future__ import annotations

import datetime
import functools
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any

import sqlalchemy as sa

from monitor.config.plant import Rule
from monitor.core.text import duration_text
from monitor.notify.outbox import UNCLAIMED, add, of_host
from monitor.notify.quiet_hours import quiet_until
from monitor.notify.rules import BEGAN, ENDED, ESCALATED, Rules
from monitor.store.tables import HELD_BACK, WAITING, deliveries, events, streams

AT_ONCE = 1000  # rows that are in memory at the same time

_COLUMNS = (
    deliveries.c.id, deliveries.c.event_id, deliveries.c.stage, deliveries.c.due, events.c.stream_id,
    streams.c.name.label("stream"), events.c.kind, events.c.ended, events.c.acknowledged, events.c.acknowledged_by,
    streams.c.muted_until,
)  # fmt: skip
_DECIDED = (
    deliveries.update()
    .where(deliveries.c.id == sa.bindparam("row"))
    .values(state=sa.bindparam("state_"), due=sa.bindparam("due_"), why=sa.bindparam("why_"))
)


@dataclass(frozen=True, slots=True)
class Planner:
    """Decides about the deliveries of one channel.

    Args:
        channel: its name.
        host: name of this computer: only its own events are delivered.
        rules: the rules in force.
        digest_from: from so many deliveries on they are one message.
        zone: the time zone of quiet hours; None: that of the computer.
    """

    channel: str
    host: str
    rules: Rules
    digest_from: int
    zone: datetime.tzinfo | None = None

    def claim(self, connection: sa.Connection, now: float) -> int:
        """Decides about all deliveries that are due, and makes messages of those that are sent.

        Args:
            connection: in a transaction that writes.
            now: Unix time.

        Returns:
            the number of deliveries that are sent.
        """
        told = self._last_told(connection, now)
        quiet = functools.cache(lambda hours: quiet_until(hours, now, self.zone))
        claimed: list[str] = []  # ids that are to be written as part of a message
        decided: list[dict[str, Any]] = []  # what is to be written of deliveries that are not sent now
        digest, count = "", 0
        for row in self._due(connection, now):
            rule = self.rules.of(self.channel, row.stage, row.stream, row.kind)
            last = told.get((row.stream_id, row.kind))
            state, due, why = self._decision(row, rule, now, quiet(rule.quiet) if rule is not None else None, last)
            if why:
                decided.append({"row": row.id, "state_": state, "due_": due, "why_": why})
                if len(decided) >= AT_ONCE:
                    connection.execute(_DECIDED, decided)
                    decided = []
                continue
            count += 1
            claimed.append(row.id)
            if rule is not None and row.stage == BEGAN:
                told[row.stream_id, row.kind] = now
                self._escalate(connection, row.event_id, rule, now)
            if not digest and len(claimed) >= self.digest_from:
                digest = claimed[0]
            if digest and len(claimed) >= AT_ONCE:
                _write_message(connection, digest, claimed, now)
                claimed = []
        if decided:
            connection.execute(_DECIDED, decided)
        if digest and claimed:
            _write_message(connection, digest, claimed, now)
        elif not digest:
            for one in claimed:
                _write_message(connection, one, [one], now)
        return count

    def next_due(self, connection: sa.Connection) -> float | None:
        """When the next delivery is due that is not part of a message yet; None if there is none."""
        due = of_host(self.host, (sa.func.min(deliveries.c.due, type_=deliveries.c.due.type),))
        found: float | None = connection.scalar(due.where(UNCLAIMED, deliveries.c.channel == self.channel))
        return found

    def shift(self, connection: sa.Connection, seconds: float) -> None:
        """Moves the due times of all that waits, because the clock was set by so many seconds."""
        chosen = of_host(self.host, (deliveries.c.id, deliveries.c.due))
        waiting = chosen.where(deliveries.c.state == WAITING, deliveries.c.channel == self.channel)
        for delivery, due in connection.execute(waiting).all():
            changed = deliveries.update().where(deliveries.c.id == delivery)
            connection.execute(changed.values(due=due + seconds))

    def _decision(
        self, row: sa.Row[Any], rule: Rule | None, now: float, quiet_end: float | None, last: float | None
    ) -> tuple[str, float, str]:
        """State, due time and reason of a delivery that is not sent now; an empty reason: it is sent."""
        if rule is None:
            return HELD_BACK, now, "no rule sends it any more"
        if row.stage not in (BEGAN, ENDED) and row.ended is not None:
            return HELD_BACK, now, "the event has ended"
        if row.stage != ENDED and row.acknowledged is not None:
            return HELD_BACK, now, f"acknowledged by {row.acknowledged_by or 'somebody'}"
        waits: list[tuple[float, str]] = []
        if row.muted_until is not None and row.muted_until > now:
            waits.append((row.muted_until, f"muted until {self._clock(row.muted_until, now)}"))
        if quiet_end is not None:
            waits.append((quiet_end, f"quiet hours until {self._clock(quiet_end, now)}"))
        if row.stage == BEGAN and last is not None and last + rule.cool_down_s > now:
            why = f"cool-down of {duration_text(rule.cool_down_s)} after the message at {self._clock(last, now)}"
            waits.append((last + rule.cool_down_s, why))
        if not waits:
            return WAITING, now, ""
        until, why = max(waits)
        if row.stage == BEGAN and row.ended is not None:
            return HELD_BACK, now, f"{why}; it ended before"
        return WAITING, until, why

    def _escalate(self, connection: sa.Connection, event_id: str, rule: Rule, now: float) -> None:
        for channel in rule.escalate_to:
            add(connection, event_id, channel, ESCALATED, due=now + rule.escalate_after_s)

    def _last_told(self, connection: sa.Connection, now: float) -> dict[tuple[int, str], float]:
        """When each stream's kinds of events were told of last, as far back as the longest cool-down."""
        columns = (events.c.stream_id, events.c.kind, sa.func.max(deliveries.c.claimed, type_=deliveries.c.due.type))
        chosen = of_host(self.host, columns).where(
            deliveries.c.channel == self.channel,
            deliveries.c.stage == BEGAN,
            deliveries.c.claimed > now - self.rules.longest_cool_down_s,
            deliveries.c.claimed <= now,  # the clock may have been set back
        )
        rows = connection.execute(chosen.group_by(events.c.stream_id, events.c.kind))
        return {(stream, kind): claimed for stream, kind, claimed in rows}

    def _due(self, connection: sa.Connection, now: float) -> Iterator[sa.Row[Any]]:
        """The deliveries that are due, in the order of their creation; each is given once, whatever is decided."""
        newest = ""
        while True:
            chosen = of_host(self.host, _COLUMNS).where(
                UNCLAIMED, deliveries.c.channel == self.channel, deliveries.c.due <= now, deliveries.c.id > newest
            )
            rows = connection.execute(chosen.order_by(deliveries.c.id).limit(AT_ONCE)).all()
            yield from rows
            if len(rows) < AT_ONCE:
                return
            newest = rows[-1].id

    def _clock(self, at: float, now: float) -> str:
        """A Unix time as local time: 06:00, with its date if it is another day."""
        there, here = (datetime.datetime.fromtimestamp(one, self.zone) for one in (at, now))
        return f"{there:%H:%M}" if there.date() == here.date() else f"{there:%Y-%m-%d %H:%M}"


def _write_message(connection: sa.Connection, message: str, ids: Sequence[str], now: float) -> None:
    """Makes deliveries parts of a message, which is due at once."""
    chosen = deliveries.update().where(deliveries.c.id.in_(ids))
    connection.execute(chosen.values(message=message, claimed=now, due=now, why=None))
