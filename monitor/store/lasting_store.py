"""A store that stays open while a program runs, and is opened anew where its file was moved away."""

from __future__ import annotations

import threading
from collections.abc import Callable

from monitor.store.database import Store


class LastingStore:
    """Opens a store when it is first needed. Any thread may use it.

    A file that was moved away or deleted must not be written any more: what is written there would be lost, and a new
    store may be in its place, which is opened then.

    Args:
        open_store: opens the store.
        prepare: is called with each store that was just opened. If it raises an error, the store is closed, and opened
            again the next time.
        moved: is called with the name of a store whose file was moved away.
    """

    def __init__(
        self,
        open_store: Callable[[], Store],
        *,
        prepare: Callable[[Store], None] = lambda _: None,
        moved: Callable[[str], None] = lambda _: None,
    ) -> None:
        self._open, self._prepare, self._moved = open_store, prepare, moved
        self._store: Store | None = None
        self._lock = threading.Lock()

    def opened(self) -> Store:
        """The store, opened.

        Raises:
            StoreError: if it cannot be opened.
        """
        with self._lock:
            if self._store is not None and self._store.moved:
                self._moved(self._store.name)
                self._close()
            if self._store is None:
                store = self._open()
                try:
                    self._prepare(store)
                except BaseException:
                    store.close()
                    raise
                self._store = store
            return self._store

    def close(self) -> None:
        """Closes the store; if it is needed again, it is opened again."""
        with self._lock:
            self._close()

    def _close(self) -> None:
        store, self._store = self._store, None
        if store is not None:
            store.close()
