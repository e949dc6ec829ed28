"""The signs of life that `monitor live` gives in the store, with each of which it looks for models for its streams."""

from __future__ import annotations

import logging
import threading
import time
from collections.abc import Callable, Mapping, Sequence
from typing import Any

from monitor import __version__
from monitor.config.fleet import Fleet
from monitor.core.errors import MonitorError
from monitor.fleet.clock import ClockOffset, clock_offset, is_wrong
from monitor.fleet.host_facts import host_facts
from monitor.store import fleet, fleet_models
from monitor.store.database import Store
from monitor.store.fleet import StoredMonitor
from monitor.store.fleet_models import ModelOrder
from monitor.store.lasting_store import LastingStore

CLOSE_S = 5.0  # longest time that closing waits for the store

log = logging.getLogger(__name__)


class Heartbeat:
    """Gives signs of life of this computer, on a thread of its own.

    They are of the present: while the store is away there are none, and none is brought later. That the store is away
    is said by its writer, not here.

    Args:
        url: of the store.
        host: name of this computer in the store.
        settings: the group `fleet`.
        instance: tells this monitor from others; after a restart it is the same.
        states: returns the state of each stream, by its name in the store.
        spooled: returns the number of entries that wait on this computer until the store is back.
        take: is called with the open orders of models for streams of this computer, oldest first; returns at once.
    """

    def __init__(
        self,
        url: str,
        host: str,
        settings: Fleet,
        instance: str,
        states: Callable[[], Mapping[str, str]],
        *,
        spooled: Callable[[], int] = lambda: 0,
        take: Callable[[Sequence[ModelOrder]], None] = lambda _: None,
    ) -> None:
        self._host, self._settings = host, settings
        self._states, self._spooled, self._take = states, spooled, take
        self._began = time.monotonic()
        self._instance = instance
        self._store = LastingStore(lambda: Store.open(url))
        self._written = self._clock_is_wrong = self._name_is_taken = False
        self._failure = ""  # of our own code, which is told once
        self._ending, self._wake = False, threading.Event()
        self._thread = threading.Thread(target=self._run, name="signs of life", daemon=True)

    def start(self) -> None:
        """Gives the first sign of life, and then one after another."""
        self._thread.start()

    def use(self, settings: Fleet) -> None:
        """Takes other settings from now on."""
        if settings != self._settings:
            self._settings = settings
            self._wake.set()

    def close(self) -> None:
        """Says in the store that this monitor was ended, if the store answers in time."""
        self._ending = True
        self._wake.set()
        if self._thread.ident is not None:
            self._thread.join(CLOSE_S)

    def _run(self) -> None:
        while not self._ending:
            self._tried(self._sign)
            self._wake.wait(self._settings.every_s)
            self._wake.clear()
        self._tried(self._say_stopped)
        self._store.close()

    def _tried(self, work: Callable[[], None]) -> None:
        try:
            work()
            self._failure = ""
        except MonitorError as error:
            log.debug("no sign of life: %s", error)
        except Exception as error:  # the next time may do better
            if self._failure != repr(error):
                log.exception("A sign of life could not be given, and is tried again: %s", error)
            self._failure = repr(error)

    def _sign(self) -> None:
        store, settings = self._store.opened(), self._settings
        with store.begin() as connection:
            self._name_is_taken = self._look_at_name(fleet.monitor_of(connection, self._host))
            if self._name_is_taken:
                return
            offset = clock_offset(connection)
            now = fleet.database_time(connection)
            values = {
                "version": __version__, "started": now - (time.monotonic() - self._began), "last_seen": now,
                "clock_offset_s": offset and offset.seconds, "clock_error_s": offset and offset.error_s,
                "spooled": self._spooled(), "facts": self._facts(settings),
            }  # fmt: skip
            fleet.write_sign(connection, self._host, values)
        self._look_at_clock(offset)
        self._written = True
        if settings.take_models and (found := fleet_models.open_orders(store, self._host)):
            self._take(found)

    def _facts(self, settings: Fleet) -> dict[str, Any]:
        return {
            **host_facts(), "instance": self._instance, "every_s": settings.every_s,
            "take_models": settings.take_models, "streams": dict(self._states()),
        }  # fmt: skip

    def _say_stopped(self) -> None:
        if self._written:
            with self._store.opened().begin() as connection:
                known = fleet.monitor_of(connection, self._host)
                if known is not None and known.instance == self._instance:
                    fleet.write_stopped(connection, self._host)

    def _look_at_name(self, known: StoredMonitor | None) -> bool:
        """Whether another monitor that runs has our name; that is told once. Then ours stays silent."""
        if known is None or known.instance == self._instance or known.state != "alive":
            return False
        if not self._name_is_taken:
            log.warning(
                "Another monitor gives signs of life under the name %s, so this one gives none and takes no models: "
                "give one of them another name (state.host).", self._host,
            )  # fmt: skip
        return True

    def _look_at_clock(self, offset: ClockOffset | None) -> None:
        wrong = offset is not None and is_wrong(offset.seconds, offset.error_s)
        if wrong and not self._clock_is_wrong and offset is not None:
            log.warning(
                "The clock of this computer is %.1f s %s the database's: set both by NTP, because the times of events "
                "of several computers are not comparable.",
                abs(offset.seconds), "ahead of" if offset.seconds > 0 else "behind",
            )  # fmt: skip
        elif self._clock_is_wrong and not wrong:
            log.info("The clock of this computer agrees with the database's again.")
        self._clock_is_wrong = wrong
