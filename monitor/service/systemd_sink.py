"""The sink that tells systemd that the monitor has started, how it is, and that scoring makes progress."""

from __future__ import annotations

import contextlib
import faulthandler
import logging
import os
import threading
from collections import Counter
from collections.abc import Callable

from monitor.core.events import ScoreRows
from monitor.core.snapshot import Snapshot
from monitor.outputs.sink import Sink
from monitor.service.status_progress import HUNG_S, ScoringProgress
from monitor.service.systemd_notify import notify, watchdog_s

STATUS_S = 1.0  # longest time between two looks at the states, for the line in `systemctl status`
FEEDS = 4  # so many times in the watchdog's time
CLOSE_S = 1.0

log = logging.getLogger(__name__)


class SystemdSink(Sink):
    """Sends READY=1 with the first published state, then STATUS=, and feeds the watchdog while scoring makes progress.

    The watchdog is fed only if the engine publishes, and each stream that has sound was scored within half of the
    watchdog's time. So a process that is alive, but no longer scores, is restarted after at most 1.5 times that time.
    Then systemd ends it by SIGABRT, and the journal shows where each thread was.

    Args:
        watchdog: seconds of the watchdog; None: there is none.
        send: sends assignments to systemd.
    """

    def __init__(self, watchdog: float | None, send: Callable[..., object] = notify) -> None:
        self._watchdog, self._send = watchdog, send
        self._hung_s = HUNG_S if watchdog is None else watchdog / 2
        self._progress = ScoringProgress()
        self._states: dict[str, str] = {}
        self._said, self._starved = "", False
        self._ending = threading.Event()
        self._first = threading.Event()  # the engine has published a state
        if watchdog is not None:
            with contextlib.suppress(Exception):  # where standard error is no file
                faulthandler.enable()
        self._thread = threading.Thread(target=self._run, name="systemd", daemon=True)
        self._thread.start()

    def scores(self, rows: ScoreRows) -> None:
        """Takes note of scored windows."""
        self._progress.scores(rows)

    def snapshot(self, snapshot: Snapshot) -> None:
        """Takes note of the published state of a stream."""
        self._progress.snapshot(snapshot)
        if snapshot.finished and not snapshot.failure:  # it was removed from the settings
            self._states.pop(snapshot.stream, None)
        else:
            self._states[snapshot.stream] = snapshot.state.value
        self._first.set()

    def stop_waiting(self) -> None:
        """Tells systemd that the monitoring is being stopped."""
        if not self._ending.is_set():
            self._ending.set()
            self._first.set()
            self._send("STOPPING=1")

    def close(self) -> None:
        """Ends the thread."""
        self.stop_waiting()
        self._thread.join(CLOSE_S)

    def _run(self) -> None:
        self._first.wait()
        if self._ending.is_set():
            return
        self._said = self._status()
        self._send("READY=1", f"STATUS={self._said}")
        every_s = min(STATUS_S, STATUS_S if self._watchdog is None else self._watchdog / FEEDS)
        while not self._ending.is_set():
            self._feed()
            if (status := self._status()) != self._said:
                self._said = status
                self._send(f"STATUS={status}")
            self._ending.wait(every_s)

    def _feed(self) -> None:
        """Feeds the watchdog, unless nothing was scored for half of its time."""
        if self._watchdog is None:
            return
        why = self._progress.stall(self._hung_s)
        if not why:
            self._send("WATCHDOG=1")
        elif not self._starved:
            log.error("%s: systemd will restart the monitor if that does not change.", why)
        self._starved = bool(why)

    def _status(self) -> str:
        if stall := self._progress.stall(self._hung_s):
            return f"hangs: {stall}"
        states = Counter(self._states.copy().values())
        if states.total() == 1:
            return next(iter(states))
        return f"{states.total()} streams: " + ", ".join(f"{count} {state}" for state, count in states.most_common())


def systemd_sink() -> SystemdSink | None:
    """The sink, if systemd has started this process and listens to it; otherwise None."""
    return SystemdSink(watchdog_s()) if os.environ.get("NOTIFY_SOCKET") else None
