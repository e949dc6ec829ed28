"""Session: monitors streams until their sources end, the session is ended, or a given time is over."""

from __future__ import annotations

import contextlib
import gc
import math
import signal
import sys
import threading
import time
from collections.abc import Callable, Iterator, Sequence
from types import FrameType

from monitor.core.errors import MonitorError
from monitor.core.snapshot import Snapshot
from monitor.core.thread_pool import single_threaded_blas
from monitor.runtime.builder import StreamPlan, build_engine
from monitor.runtime.engine import is_paced
from monitor.runtime.monitored_stream import MonitoredStream
from monitor.runtime.start_failures import StartFailures

SWITCH_S = 0.0001  # Python's thread switch interval: with its default, 5 ms, drawing the dashboard delays scores
ENDING_SIGNALS = [getattr(signal, name) for name in ("SIGTERM", "SIGHUP") if hasattr(signal, name)]
POLL_S = 0.05

Show = Callable[["Session"], None]  # displays a session, and returns when `session.over()`


class Session:
    """Runs an engine with streams, and optionally a display, until the session is over.

    Args:
        plans: the streams.
        device: "auto", "cpu" or "cuda", as `train.device`.
        precision: "auto", "float32" or "bfloat16", as `listening.precision`.
        end_with_first_error: whether an error of one stream ends the session.
        failures: streams that could not be started, which are shown after the others.
    """

    def __init__(
        self,
        plans: Sequence[StreamPlan],
        *,
        device: str = "auto",
        precision: str = "auto",
        end_with_first_error: bool = False,
        failures: StartFailures | None = None,
    ) -> None:
        self.engine = build_engine(plans, device=device, precision=precision)
        self._end_with_first_error = end_with_first_error
        self._failures = failures or StartFailures()
        self._not_started = tuple(stream.snapshot() for stream in self._failures.streams)
        self._due = math.inf
        self._ending = threading.Event()

    @property
    def streams(self) -> tuple[MonitoredStream, ...]:
        """The streams, in the order of the plans."""
        return self.engine.streams

    @property
    def latest(self) -> tuple[Snapshot, ...]:
        """The newest snapshot of each stream; those of the streams that could not be started are the last."""
        return (*self.engine.latest, *self._not_started)

    @property
    def anomalies(self) -> int:
        """The number of anomalies so far, in all streams."""
        return self.engine.anomalies

    @property
    def error(self) -> MonitorError | None:
        """The first error of the engine, of a stream, or of a sink; else that of the streams that did not start."""
        return self.engine.error or self._failures.error

    def end(self) -> None:
        """Makes `run` return after it has scored the remaining samples and closed the sinks. For any thread."""
        self._ending.set()

    def over(self) -> bool:
        """Whether the session is to end: all sources have ended, or an error, the time limit or `end` stops it."""
        failed = self._end_with_first_error and any(stream.error for stream in self.streams)
        return self._ending.is_set() or failed or self.engine.finished or time.monotonic() >= self._due

    def scale_threshold(self, factor: float, number: int = 0) -> None:
        """Multiplies the thresholds of stream `number` by a factor, for this run only. May be called on any thread."""
        if number < len(self.streams):
            self.engine.scale_threshold(factor, number)

    def run(self, *, duration_s: float | None = None, show: Show | None = None) -> None:
        """Monitors until all sources have ended, `end` is called, or the time is over. A session can run only once.

        Args:
            duration_s: time limit; None: no limit.
            show: displays the session, and returns when it is over; None: no display.

        Raises:
            KeyboardInterrupt: on Ctrl-C, after the remaining samples are scored and the sinks closed.
        """
        self._due = math.inf if duration_s is None else time.monotonic() + duration_s
        paced = is_paced(self.streams)
        with _ended_by_signals(self), low_latency() if paced else contextlib.nullcontext():
            self.engine.start()
            try:
                (show or _wait)(self)
            finally:
                self.engine.stop()


def _wait(session: Session) -> None:
    while not session.over():
        time.sleep(POLL_S)


@contextlib.contextmanager
def low_latency() -> Iterator[None]:
    """Within the block, Python is set for the shortest delay of live scores, with one window at a time to compute.

    BLAS uses one thread, because a second one would mostly wait and use power. Threads switch more often, so that the
    engine does not wait for the drawing. Objects that exist already are hidden from the garbage collector, which would
    take a tenth of a second to visit them.
    """
    interval = sys.getswitchinterval()
    sys.setswitchinterval(SWITCH_S)
    gc.collect()
    gc.freeze()
    try:
        with single_threaded_blas():
            yield
    finally:
        gc.unfreeze()
        sys.setswitchinterval(interval)


@contextlib.contextmanager
def _ended_by_signals(session: Session) -> Iterator[None]:
    """Within the block, SIGTERM and SIGHUP (the terminal was closed) call `session.end`; on the main thread only."""

    def end(_signal: int, _frame: FrameType | None) -> None:
        session.end()

    if threading.current_thread() is not threading.main_thread():
        yield
        return
    before = {number: signal.signal(number, end) for number in ENDING_SIGNALS}
    try:
        yield
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)
