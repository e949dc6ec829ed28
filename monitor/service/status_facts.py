"""Facts for the status that may take long to find out, because a disk or a database may not answer."""

from __future__ import annotations

import logging
import threading
import time
from collections.abc import Callable, Mapping, Sequence
from typing import Any

from monitor.service.disk_space import WatchedFolder, disk_facts

EVERY_S = 10.0
CLOSE_S = 1.0

log = logging.getLogger(__name__)


class SlowFacts:
    """Free disk space and waiting notifications, looked up on a thread of its own every few seconds.

    Args:
        folders: the folders whose disks are watched.
        deliveries: returns what is known of notifications (`monitor.notify`); None: there are none.
        every_s: seconds between two looks.
    """

    def __init__(
        self,
        folders: Sequence[WatchedFolder] = (),
        deliveries: Callable[[], Mapping[str, Any]] | None = None,
        *,
        every_s: float = EVERY_S,
    ) -> None:
        self._folders, self._find_deliveries, self._every_s = folders, deliveries, every_s
        self._disks: list[dict[str, Any]] = []
        self._deliveries: Mapping[str, Any] | None = None
        self._failure = ""  # why the notifications could not be looked up
        self._looked = time.monotonic()  # when everything was looked up last, or the thread began
        self._ending = threading.Event()
        self._thread = threading.Thread(target=self._run, name="status facts", daemon=True)
        self._thread.start()

    def facts(self) -> dict[str, Any]:
        """The newest facts, and their age: `disks`, `deliveries` and `facts_s_ago`."""
        return {
            "disks": self._disks,
            "deliveries": self.deliveries,
            "facts_s_ago": round(time.monotonic() - self._looked, 1),
        }

    @property
    def deliveries(self) -> dict[str, Any] | None:
        """What is known of notifications; with `failure`, if it is old because they cannot be looked up."""
        found = None if self._deliveries is None else dict(self._deliveries)
        return {**(found or {}), "failure": self._failure} if self._failure else found

    def close(self) -> None:
        """Ends the thread, or leaves it behind if it waits for a disk or a database."""
        self._ending.set()
        self._thread.join(CLOSE_S)

    def _run(self) -> None:
        while not self._ending.is_set():
            self._disks = disk_facts(self._folders)
            try:
                self._deliveries = self._find_deliveries() if self._find_deliveries is not None else None
                self._failure = ""
            except Exception as error:  # noqa: BLE001 - the store may fail in any way, and the status says so
                self._failure = str(error) or type(error).__name__
            self._looked = time.monotonic()
            self._ending.wait(self._every_s)
