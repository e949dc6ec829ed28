"""Values of hours and days for the charts: read from the store on a thread of its own, so that drawing never waits."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable
from typing import Protocol

from monitor.core.errors import MonitorError
from monitor.dashboard.render.view import TIME_SPANS, TimeSpan
from monitor.store.records import MinuteValues

READ_EVERY_S = 30.0
SLOW_S = 5.0  # from so many seconds on a store that has not answered is said to be slow
IDLE_S = 5.0  # a stream that was not asked for in so many seconds is no longer shown, and no longer read

Read = Callable[[str, float, float], MinuteValues]


class History(Protocol):
    """Where the charts get values of hours and days from."""

    @property
    def trouble(self) -> str:
        """Why there are no values, or why they are old; empty if all is well."""

    def request(self, stream: str, span_s: float) -> MinuteValues | None:
        """The values of the last `span_s` seconds of a stream; None while they are not there yet. Returns at once."""


class BackgroundHistory:
    """Reads the values of the one stream and time span that are shown, at once and then every 30 s.

    Args:
        read: returns the values of a stream: called with its name, the seconds up to now, and the step in seconds; it
            may take its time, and may raise a MonitorError or an OSError. Only the thread of this object calls it.
        read_every_s: seconds between two reads of the same.
    """

    def __init__(self, read: Read, *, read_every_s: float = READ_EVERY_S) -> None:
        self._read, self._read_every_s = read, read_every_s
        self._changed = threading.Condition()
        self._wanted: tuple[str, float] | None = None
        self._asked = 0.0  # monotonic time of the last request
        self._began: float | None = None  # when the read that is running began
        self._values: MinuteValues | None = None
        self._shown: tuple[str, float] | None = None  # whose values these are
        self._failure = ""
        self._closed = False
        self._thread: threading.Thread | None = None

    @property
    def trouble(self) -> str:
        """Why there are no values, or why they are old; empty if all is well."""
        began = self._began
        if began is not None and (waited := time.monotonic() - began) > SLOW_S:
            return f"the store has not answered for {waited:.0f} s"
        return self._failure

    def request(self, stream: str, span_s: float) -> MinuteValues | None:
        """The values of the last `span_s` seconds of a stream; None while they are not there yet. Returns at once."""
        with self._changed:
            self._asked = time.monotonic()
            if self._wanted != (stream, span_s):
                self._wanted, self._values, self._failure = (stream, span_s), None, ""
            self._changed.notify_all()
            if self._thread is None:
                self._thread = threading.Thread(target=self._run, name="history", daemon=True)
                self._thread.start()
            return self._values

    def close(self) -> None:
        """Ends the thread; a read that is running is not waited for."""
        with self._changed:
            self._closed = True
            self._changed.notify_all()

    def _run(self) -> None:
        due = 0.0
        while True:
            with self._changed:
                while not self._closed and not self._has_to_read(due):
                    self._changed.wait(self._read_every_s)
                if self._closed or self._wanted is None:
                    return
                wanted, self._began = self._wanted, time.monotonic()
            values, failure = self._attempt(*wanted)
            with self._changed:
                self._began, self._shown = None, wanted
                due = time.monotonic() + self._read_every_s
                if wanted == self._wanted:
                    self._failure = failure
                    self._values = self._values if values is None else values

    def _has_to_read(self, due: float) -> bool:
        if self._wanted != self._shown:
            return True
        now = time.monotonic()
        return now >= due and now - self._asked < IDLE_S

    def _attempt(self, stream: str, span_s: float) -> tuple[MinuteValues | None, str]:
        try:
            return self._read(stream, span_s, span_of(span_s).step_s), ""
        except (MonitorError, OSError) as error:
            return None, str(error).splitlines()[0] if str(error) else type(error).__name__
        except Exception as error:  # noqa: BLE001 - the thread goes on: the next read may succeed
            return None, f"the store cannot be read ({type(error).__name__}: {error})"


def span_of(seconds: float) -> TimeSpan:
    """The time span of a length."""
    return next(one for one in TIME_SPANS if one.seconds == seconds)


def stored_history(url: str, host: str, *, unnamed: str = "") -> BackgroundHistory:
    """The history that the store at `url` has of the streams of one host.

    Args:
        url: of the store. It is opened by the thread that reads, and again after an error.
        host: name of the computer, as in the store.
        unnamed: the name in the store of the stream that has no name on the screen, because it is the only one.
    """
    from monitor.store import queries
    from monitor.store.database import Store

    store: Store | None = None

    def read(name: str, span_s: float, step_s: float) -> MinuteValues:
        nonlocal store
        store = store or Store.open(url, create=False)
        now = time.time()
        try:
            found = [one for one in queries.streams(store) if (one.host, one.name) == (host, name or unnamed)]
            if not found:
                raise MonitorError("the store has no values of this stream yet")
            return queries.minutes(store, found[0].id, since=now - span_s, until=now, step_s=int(step_s))
        except MonitorError:
            store.close()
            store = None
            raise

    return BackgroundHistory(read)
