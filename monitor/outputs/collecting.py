"""Sinks of many streams that need not hurry: they collect references, and work once a second on all of them."""

from __future__ import annotations

import contextlib
import threading
import time
from collections import deque
from collections.abc import Callable
from typing import Generic, TypeVar

from monitor.core.background_worker import CLOSE_S
from monitor.core.errors import MonitorError
from monitor.core.text import counted
from monitor.outputs.background import BackgroundSink

TOGETHER_S = 1.0  # time in which items are collected
MANY = 1000  # items that are processed at once; a replay waits if there are as many again
MOST = 20_000  # items that wait for a slow disk at most; further ones are lost

Item = TypeVar("Item")


class CollectingSink(BackgroundSink, Generic[Item]):
    """Base class of sinks that collect items of all streams, and process what has come within a second together.

    On the engine's thread only a reference is kept, so a stream costs as much as nothing there. Derived classes call
    `_collect`, and override `_process`.

    Args:
        name, wait, amount, close_s: as in `BackgroundSink`.
    """

    def __init__(
        self,
        name: str,
        *,
        wait: bool,
        amount: Callable[[int], str] = lambda count: counted(count, "item"),
        close_s: float = CLOSE_S,
    ) -> None:
        self._items: deque[Item] = deque()  # collected, on the engine's thread
        self._taken: deque[Item] = deque()  # to be processed, on the sink's thread
        self._waits, self._room = wait, MANY if wait else MOST
        self._expected = False  # whether the worker has a job that will process the items
        self._hurry = threading.Event()  # the job is not to wait any longer
        self._ending = False  # nor is any later one
        super().__init__(name, wait=wait, size=4, amount=amount, close_s=close_s)

    def stop_waiting(self) -> None:
        """Makes remaining jobs end within a few seconds, because the monitoring is stopped."""
        super().stop_waiting()
        self._ending = True
        self._hurry.set()

    def close(self) -> None:
        """Processes what is left, and ends the thread. What takes too long is abandoned."""
        self._ending = True
        self._hurry.set()
        self._worker.close(last=self._finish)
        self._worker.lost += sum(map(self._weight, (*self._taken, *self._items)))
        self._taken.clear()
        self._items.clear()

    def _collect(self, item: Item) -> None:
        """Keeps an item until it is processed."""
        if len(self._items) >= MANY:
            self._hurry.set()
            self._make_room()
        self._items.append(item)
        if not self._expected:
            self._expected = True
            self._put(self._process_collected, 0)

    def _process_soon(self) -> None:
        """Processes at once what was collected so far."""
        self._hurry.set()

    def _process(self, items: deque[Item]) -> None:
        """Processes items on the sink's thread, and removes each when it is done.

        What an OSError or a MonitorError leaves in `items` is processed later.
        """
        raise NotImplementedError

    def _last(self) -> None:
        """Is called on the sink's thread when all items are processed, before it ends."""

    def _weight(self, item: Item) -> int:  # noqa: ARG002 - for derived classes
        """What an item counts if it is lost."""
        return 1

    def _process_collected(self) -> None:
        self._hurry.wait(TOGETHER_S)
        self._hurry.clear()
        if self._ending:
            self._hurry.set()
        self._expected = False
        self._process_all()

    def _process_all(self) -> None:
        while self._taken or self._items:
            if not self._taken:  # so that what cannot be processed grows no further
                self._take()
            try:
                self._process(self._taken)
            except (OSError, MonitorError):
                raise
            except Exception:  # a fault in the program: one of them may be its cause
                self._worker.lost += sum(map(self._weight, self._taken))
                self._taken.clear()
                raise

    def _take(self) -> None:
        with contextlib.suppress(IndexError):  # the engine has just removed some, because there were too many
            for _ in range(len(self._items)):
                self._taken.append(self._items.popleft())

    def _finish(self) -> None:
        self._process_all()
        self._last()

    def _make_room(self) -> None:
        """Waits until there is room for an item; if the sink must not wait, or it fails, the oldest item is lost."""
        while len(self._items) >= self._room:
            if self._waits and not self._worker.failure and not self._worker.abandoned:
                time.sleep(0.001)
            else:
                self._worker.lost += self._weight(self._items.popleft())
