"""The notifier of a running monitor: events go into the outbox, and a thread for each channel delivers them."""

from __future__ import annotations

import datetime
import logging
import time
from collections.abc import Callable

import sqlalchemy as sa

from monitor.clips.access import ClipAccess
from monitor.config.plant import Notify
from monitor.core.text import counted
from monitor.notify.channel import make_channel
from monitor.notify.delivery_worker import DeliveryWorker
from monitor.notify.message import Composer
from monitor.notify.outbox import enqueue
from monitor.notify.pace import Pace
from monitor.notify.plan import Planner
from monitor.notify.rules import Rules
from monitor.outputs.sink import Sink
from monitor.store.database import Store
from monitor.store.lasting_store import LastingStore
from monitor.store.records import StoredEvent
from monitor.store.tables import GIVEN_UP, WAITING, deliveries, events, streams

CLOSE_S = 5.0  # longest time that closing waits for messages that are being sent

log = logging.getLogger(__name__)


class Notifier:
    """Tells people of events, by the rules and channels of the settings.

    `on_event` is called in the transaction that writes an event (`StoreWriter.on_event`), and `wake` after it
    (`StoreWriter.after_commit`). What waits in the store is taken up by `start`, also what an earlier run left.

    Args:
        settings: channels and rules.
        store_url: of the store.
        host: name of this computer; only the events of its streams are delivered.
        clips: finds clips and pictures; None: messages have none.
        zone: time zone of quiet hours and texts; None: that of the computer.
        clock: returns the Unix time.
        pace: how quickly messages are delivered.

    Raises:
        ConfigError: if a file that a channel needs cannot be read, or a library is missing.
    """

    def __init__(
        self,
        settings: Notify,
        store_url: str,
        host: str,
        *,
        clips: ClipAccess | None = None,
        zone: datetime.tzinfo | None = None,
        clock: Callable[[], float] = time.time,
        pace: Pace | None = None,
    ) -> None:
        self._host, self._clock, self._zone = host, clock, zone
        self._store = LastingStore(lambda: Store.open(store_url), prepare=self._give_up_unknown_channels)
        self._rules = Rules(settings)
        self._workers = [
            DeliveryWorker(
                one.name,
                make_channel(one),
                self._store.opened,
                self._rules,
                Planner(one.name, host, self._rules, settings.digest_from, zone),
                Composer(host, clips, zone),
                pace=pace or Pace(give_up_s=settings.give_up_h * 3600),
                clock=clock,
            )
            for one in settings.channels
        ]

    def on_event(self, connection: sa.Connection, event: StoredEvent) -> None:
        """Puts what has to be delivered of an event into the outbox, in the transaction that writes the event."""
        enqueue(connection, event, self._rules)

    def start(self, before: Notifier | None = None) -> None:
        """Starts to deliver.

        Args:
            before: the notifier that this one replaces, closed; one of its channels may still be sending.
        """
        for worker in self._workers:
            if worker.name not in self._rules.channels:
                log.warning("notify: no rule sends anything to the channel %s (notify.rules).", worker.name)
        earlier = {} if before is None else {worker.name: worker for worker in before._workers}
        for worker in self._workers:
            worker.start(earlier.get(worker.name))

    def wake(self) -> None:
        """Makes the channels look into the outbox; returns at once. Any thread may call it."""
        for worker in self._workers:
            worker.wake()

    @property
    def trouble(self) -> str:
        """Which channels do not deliver messages at present, since when and why; empty if all do."""
        return " ".join(
            f"Messages to {worker.name} have been stuck since "
            f"{datetime.datetime.fromtimestamp(worker.failing_since, self._zone):%H:%M}: {worker.failure}."
            for worker in self._workers
            if worker.failure
        )

    def close(self) -> None:
        """Sends what is due, and ends the threads; what is not sent in time stays in the store for the next start.

        The writer of the store is closed before, so that the last events are in the store.
        """
        for worker in self._workers:
            worker.stop()
        deadline = time.monotonic() + CLOSE_S
        for worker in self._workers:
            worker.join(deadline - time.monotonic())
        self._store.close()

    def _give_up_unknown_channels(self, store: Store) -> None:
        """Gives up what waits for channels that are not in the settings any more."""
        ours = sa.select(events.c.id).join(streams).where(streams.c.host == self._host)
        unknown = (
            deliveries.c.state == WAITING,
            deliveries.c.channel.not_in([worker.name for worker in self._workers]),
            deliveries.c.event_id.in_(ours),
        )
        values = {"state": GIVEN_UP, "due": self._clock(), "why": "the settings have no such channel any more"}
        with store.begin() as connection:
            count = connection.execute(deliveries.update().where(*unknown).values(values)).rowcount
        if count:
            what = counted(count, "message")
            log.warning("notify: %s given up: the settings do not have their channel any more.", what)


class MessagesSink(Sink):
    """Says on the screen and in the status which channels do not deliver messages. It takes nothing from the streams.

    Args:
        notifier: delivers the messages; it is closed by its owner.
    """

    def __init__(self, notifier: Notifier) -> None:
        self._notifier = notifier

    @property
    def trouble(self) -> str:
        """Which channels do not deliver messages at present; empty if all do."""
        return self._notifier.trouble
