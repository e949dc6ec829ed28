"""Delivers the messages of one channel, on a thread of its own, so that a channel that hangs delays no other."""

from __future__ import annotations

import logging
import math
import threading
from collections import deque
from collections.abc import Callable
from typing import Any

import sqlalchemy as sa

from monitor.core.errors import MonitorError
from monitor.core.text import duration_text
from monitor.notify.channel import Channel, NotSent
from monitor.notify.message import Composer
from monitor.notify.outbox import add, of_host
from monitor.notify.pace import Pace
from monitor.notify.plan import Planner
from monitor.notify.rules import BEGAN, Rules, reminder, reminder_number
from monitor.store.database import Store
from monitor.store.tables import GIVEN_UP, SENT, WAITING, deliveries, events, streams

LAST_RETRY_S = 300.0  # longest pause before a message is tried again
TRIES_IF_REFUSED = 3  # attempts at a message that the receiver does not want
LOOK_S = 5.0  # other programs change the store, too: `monitor acknowledge`, `monitor mute`
STORE_RETRY_S = 5.0  # pause before a store that could not be used is tried again
IN_A_PASS = 50  # messages that are looked up at once
SET_BACK_S = 2.0  # a clock that goes back by less is not corrected for
DOWN_FROM = 2  # messages that fail in a row: one might only be unwelcome, with two the channel is down

log = logging.getLogger(__name__)


class DeliveryWorker:
    """The thread of a channel.

    What happens to a message is written in one transaction each: first that it exists, with its deliveries, then that
    it was sent. If the program is killed in between, the same message is sent once more, with the same id.

    Args:
        name: of the channel.
        channel: delivers messages.
        opened: returns the store, open for writing.
        rules: the rules in force.
        planner, composer: decide what is sent, and write it.
        pace: how quickly.
        clock: returns the Unix time.
    """

    def __init__(
        self,
        name: str,
        channel: Channel,
        opened: Callable[[], Store],
        rules: Rules,
        planner: Planner,
        composer: Composer,
        *,
        pace: Pace,
        clock: Callable[[], float],
    ) -> None:
        self.name = name
        self.failure = ""  # why messages are not delivered at present; empty if they are
        self.failing_since = 0.0  # Unix time
        self._channel, self._opened, self._rules, self._pace, self._clock = channel, opened, rules, pace, clock
        self._planner, self._composer = planner, composer
        self._recent: deque[float] = deque(maxlen=planner.digest_from)  # when the last deliveries were sent
        self._failed: set[str] = set()  # messages that wait, and have failed since one was sent
        self._looked = -math.inf  # when the thread looked for work last, on the clock of that time
        self._paused_until = -math.inf  # the channel is down: nothing is tried before
        self._store_failure = ""  # why the store cannot be used at present
        self._sent_not_noted: str | None = None  # a message that was sent while the store could not be written
        self._changed = threading.Condition()
        self._woken = self._closing = False
        self._before: DeliveryWorker | None = None  # the one that this one replaces
        self._thread = threading.Thread(target=self._run, name=f"notify {name}", daemon=True)

    def start(self, before: DeliveryWorker | None = None) -> None:
        """Starts the thread.

        Args:
            before: delivers the messages of the same channel so far, and was stopped. As long as it is sending, nothing
                is sent: it could be the same message.
        """
        self._before = before
        self._thread.start()

    def wake(self) -> None:
        """Makes the thread look into the store; called after something was written."""
        with self._changed:
            self._woken = True
            self._changed.notify()

    def stop(self) -> None:
        """Makes the thread send what is due, without collecting or trying again, and end."""
        with self._changed:
            self._closing = True
            self._changed.notify()

    def join(self, timeout_s: float | None = None) -> None:
        """Waits for the end of the thread."""
        if self._thread.ident is not None:
            self._thread.join(None if timeout_s is None else max(0.0, timeout_s))

    def _run(self) -> None:
        if self._before is not None:
            self._before.join()
            self._before = None
        while True:
            with self._changed:
                closing, self._woken = self._closing, False
            try:
                pause, failure = self.work(last=closing), ""
            except MonitorError as error:
                pause, failure = STORE_RETRY_S, str(error).removesuffix(".")
            except Exception as error:  # noqa: BLE001 - an error of ours must not end the messages of this channel
                pause, failure = STORE_RETRY_S, f"an unforeseen error: {type(error).__name__}: {error}"
            if failure and failure != self._store_failure:
                log.error("notify: %s: no message can be looked up: %s.", self.name, failure)
            self._store_failure = failure
            if closing:
                return
            with self._changed:
                self._changed.wait_for(lambda: self._woken or self._closing, pause)

    def work(self, *, last: bool = False) -> float:
        """Sends what is due.

        Args:
            last: whether the program ends: nothing is collected any longer.

        Returns:
            seconds until there is more to do, as far as is known.

        Raises:
            StoreError: if the store cannot be used.
        """
        store = self._opened()
        self._note_sent(store)
        now = self._clock()
        self._follow_clock(store, now)
        if now >= self._paused_until or last:
            self._send_due(store, now)
            self._forget_failed(store)
            # While the channel is down, what is new waits to become one message when it works again.
            if not self._down and self._claim(store, now, last=last):
                self._send_due(store, now)
        with store.reading() as connection:
            return self._pause(connection)

    @property
    def _down(self) -> bool:
        return len(self._failed) >= DOWN_FROM

    def _follow_clock(self, store: Store, now: float) -> None:
        """Moves what is due later if the clock was set back, so that it is not late by as much."""
        if now < self._looked - SET_BACK_S:
            with store.begin() as connection:
                self._planner.shift(connection, now - self._looked)
            self._recent.clear()
            self._paused_until = -math.inf
        self._looked = now

    def _claim(self, store: Store, now: float, *, last: bool) -> bool:
        """Makes messages of the deliveries that are due, if they have been collected for long enough."""
        with store.reading() as connection:
            due = self._planner.next_due(connection)
        if due is None or now < (due if last else self._collected_from(due)):
            return False
        with store.begin() as connection:
            count = self._planner.claim(connection, now)
        self._recent.extend([now] * min(count, self._planner.digest_from))
        return count > 0

    def _collected_from(self, due: float) -> float:
        """The time at which deliveries are made messages of that have been due since `due`."""
        if len(self._recent) == self._planner.digest_from and self._recent[-1] - self._recent[0] < self._pace.burst_s:
            return max(due + self._pace.collect_s, self._recent[-1] + self._pace.burst_s)
        return due + self._pace.collect_s

    def _pause(self, connection: sa.Connection) -> float:
        now = self._clock()
        next_times = [now + LOOK_S]
        if not self._down and (due := self._planner.next_due(connection)) is not None:
            next_times.append(self._collected_from(due))
        if messages := self._messages(connection, math.inf, 1):
            next_times.append(messages[0].due)
        return max(0.0, min(next_times) - now, min(self._paused_until - now, LOOK_S))

    def _messages(self, connection: sa.Connection, until: float, limit: int) -> list[sa.Row[Any]]:
        """Messages that wait until some time, those first that were made first; without a limit, the next one due."""
        due = sa.func.min(deliveries.c.due, type_=deliveries.c.due.type).label("due")
        claimed = sa.func.min(deliveries.c.claimed, type_=deliveries.c.due.type).label("claimed")
        attempts = sa.func.max(deliveries.c.attempts).label("attempts")
        message = deliveries.c.message.label("message")
        chosen = of_host(self._planner.host, (message, due, claimed, attempts)).where(
            deliveries.c.state == WAITING, deliveries.c.message.is_not(None), deliveries.c.channel == self.name
        )
        if math.isfinite(until):
            chosen = chosen.where(deliveries.c.due <= until).order_by(message)
        else:
            chosen = chosen.order_by(due)
        return list(connection.execute(chosen.group_by(message).limit(limit)))

    def _send_due(self, store: Store, now: float) -> None:
        """Sends the messages that are due, until none is left or the channel is down."""
        failures = 0
        while True:
            with store.reading() as connection:
                rows = self._messages(connection, now, IN_A_PASS)
            for row in rows:
                wait_s = self._send(store, row)
                failures = 0 if wait_s is None else failures + 1
                if wait_s is not None and self._down:
                    self._paused_until = self._clock() + wait_s
                    if failures >= DOWN_FROM:
                        return
            if len(rows) < IN_A_PASS:
                return

    def _forget_failed(self, store: Store) -> None:
        """Forgets messages that failed and wait no more, because they were given up or their events deleted."""
        if self._failed:
            waiting = (deliveries.c.state == WAITING, deliveries.c.message.in_(self._failed))
            with store.reading() as connection:
                self._failed = set(connection.scalars(sa.select(deliveries.c.message).where(*waiting)))

    def _send(self, store: Store, row: sa.Row[Any]) -> float | None:
        """Sends a message; returns the seconds until the next attempt if that fails, else None."""
        with store.reading() as connection:
            message = self._composer.compose(connection, row.message)
        if message is None:
            return None
        try:
            self._channel.send(message)
        except NotSent as error:
            return self._note_failure(store, row, error)
        except Exception as error:  # noqa: BLE001 - of the system or of ours: it must not hold up the other messages
            why = getattr(error, "strerror", None) or f"{type(error).__name__}: {error}"
            return self._note_failure(store, row, NotSent(why))
        self._sent_not_noted = row.message
        self._failed.clear()
        self._paused_until = -math.inf
        self._works_again()
        self._note_sent(store)
        return None

    def _note_sent(self, store: Store) -> None:
        """Writes that a message was sent, and when its reminders are due."""
        message = self._sent_not_noted
        if message is None:
            return
        now = self._clock()
        of_message = (deliveries.c.message == message, deliveries.c.state == WAITING)
        with store.begin() as connection:
            self._remind(connection, message, now)
            sent = {"state": SENT, "sent": now, "why": None, "attempts": deliveries.c.attempts + 1}
            connection.execute(deliveries.update().where(*of_message).values(**sent))
        self._sent_not_noted = None

    def _remind(self, connection: sa.Connection, message: str, now: float) -> None:
        """Adds the reminders that follow what is sent in a message."""
        columns = (deliveries.c.event_id, deliveries.c.stage, streams.c.name, events.c.kind)
        lasting = of_host(self._planner.host, columns).where(
            deliveries.c.message == message,
            deliveries.c.state == WAITING,
            events.c.ended.is_(None),
            events.c.acknowledged.is_(None),
        )
        for event_id, stage, stream, kind in connection.execute(lasting).all():
            rule = self._rules.of(self.name, stage, stream, kind)
            if rule is not None and rule.remind_s and (stage == BEGAN or reminder_number(stage)):
                following = reminder(reminder_number(stage) + 1)
                add(connection, event_id, self.name, following, due=now + rule.remind_s)

    def _note_failure(self, store: Store, row: sa.Row[Any], error: NotSent) -> float:
        """Writes that a message was not sent; returns the seconds until the next attempt."""
        now = self._clock()
        growing_s = self._pace.first_retry_s * 2.0 ** min(row.attempts, 10)
        wait_s = max(error.wait_s, self._pace.jitter() * min(LAST_RETRY_S, growing_s))
        refused = error.refused and row.attempts + 1 >= TRIES_IF_REFUSED
        given_up = refused or now + wait_s - row.claimed > self._pace.give_up_s
        with store.begin() as connection:
            connection.execute(
                deliveries.update()
                .where(deliveries.c.message == row.message, deliveries.c.state == WAITING)
                .values(
                    state=GIVEN_UP if given_up else WAITING,
                    due=now if given_up else now + wait_s,
                    attempts=deliveries.c.attempts + 1,
                    why=error.why,
                )
            )
        if given_up:
            log.error("notify: %s: a message is given up: %s.", self.name, error.why)
        self._failed.add(row.message)
        if not self.failure:
            self.failing_since = now
        if error.why != self.failure:
            log.error("notify: %s: messages are not delivered: %s.", self.name, error.why)
        self.failure = error.why
        return float(wait_s)

    def _works_again(self) -> None:
        if self.failure:
            after = duration_text(max(0.0, self._clock() - self.failing_since))
            log.warning("notify: %s: works again after %s.", self.name, after)
        self.failure = ""
