"""The store as the page uses it: opened when it is needed, and opened again after it was away."""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import TypeVar

from monitor.config.schema import Config
from monitor.store.database import Store, StoreError
from monitor.store.lasting_store import LastingStore
from monitor.store.location import store_url

T = TypeVar("T")
PAUSE_S = 1.0  # after a failure to open, requests within so many seconds get the same error


class StoreLink:
    """Opens the store of a monitor; any thread may use it.

    Args:
        config: the settings, which say where the store is.
    """

    def __init__(self, config: Config) -> None:
        self._url = store_url(config)
        self._store = LastingStore(self._open)
        self._failed: tuple[float, StoreError] | None = None
        self.trouble = ""  # why the store cannot be read, a sentence
        self.since = 0.0  # when that began, Unix time

    def use(self, work: Callable[[Store], T]) -> T:
        """The result of some work with the store, on this thread.

        Raises:
            StoreError: if the store cannot be opened, read or written.
        """
        try:
            result = work(self._store.opened())
        except StoreError as error:
            if not error.rejected:  # of a value that is refused, the store itself is well
                self._note(str(error))
            raise
        self._note("")
        return result

    def close(self) -> None:
        """Closes the store."""
        self._store.close()

    def _open(self) -> Store:
        if self._failed is not None and time.monotonic() - self._failed[0] < PAUSE_S:
            raise self._failed[1]
        try:
            store = Store.open(self._url, create=False)
        except StoreError as error:
            self._failed = (time.monotonic(), error)
            raise
        self._failed = None
        return store

    def _note(self, trouble: str) -> None:
        if trouble and not self.trouble:
            self.since = time.time()
        self.trouble = trouble
