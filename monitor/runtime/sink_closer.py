"""Closes sinks, each on a thread of its own, because closing may wait for a disk or a network."""

from __future__ import annotations

import logging
import threading
import time
from collections.abc import Sequence

from monitor.core.errors import MonitorError
from monitor.outputs.sink import Sink

CLOSE_S = 60.0  # longest time that sinks may take to close; a `BackgroundSink` needs less

log = logging.getLogger(__name__)


class SinkCloser:
    """Closes the sinks of an engine: while it runs those that no stream uses any more, and the others at its end."""

    def __init__(self) -> None:
        self._closing: list[tuple[Sink, threading.Thread]] = []

    def close(self, sinks: Sequence[Sink], *, still_running: bool = False) -> None:
        """Starts to close sinks, and returns at once.

        Args:
            sinks: the sinks. What is wrong with one is in its `error` afterwards.
            still_running: whether the engine goes on; then nobody looks at that later, so it is logged.
        """
        self._closing = [(sink, thread) for sink, thread in self._closing if thread.is_alive()]
        for sink in sinks:
            thread = threading.Thread(target=_close, args=(sink, still_running), name="closing an output", daemon=True)
            self._closing.append((sink, thread))
            thread.start()

    def wait(self) -> None:
        """Waits until all are closed. One that does not return in time is left behind, so that the program can end."""
        deadline = time.monotonic() + CLOSE_S
        for sink, thread in self._closing:
            thread.join(max(0.0, deadline - time.monotonic()))
            if thread.is_alive():
                sink.error = MonitorError(f"{type(sink).__name__} did not close within {CLOSE_S:.0f} s.")


def _close(sink: Sink, log_error: bool) -> None:
    try:
        sink.close()
    except Exception as error:  # noqa: BLE001 - the other sinks are to be closed
        sink.error = sink.error or MonitorError(f"{type(sink).__name__} could not be closed: {error}.")
    if log_error and sink.error:
        log.error("An output that is not used any more was not complete: %s", sink.error)
