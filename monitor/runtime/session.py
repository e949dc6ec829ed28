"""Session: monitors streams until their sources end, the session is ended, or a given time is over."""

from __future__ import annotations

import contextlib
import gc
import math
import signal
import sys
import threading
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from types import FrameType
from typing import get_args

from monitor.config.schema import Listening, Train
from monitor.config.setting_types import Group
from monitor.core.arguments import is_number, wrong
from monitor.core.errors import ConfigError, MonitorError
from monitor.core.snapshot import Snapshot
from monitor.core.thread_pool import single_threaded_blas
from monitor.runtime.batches import Batches
from monitor.runtime.builder import StreamPlan, build_engine, build_streams
from monitor.runtime.change import Change, ModelChange
from monitor.runtime.engine import is_paced, stop_sources
from monitor.runtime.monitored_stream import MonitoredStream
from monitor.runtime.start_failures import StartFailures

SWITCH_S = 0.0001  # Python's thread switch interval: with its default, 5 ms, drawing the dashboard delays scores
ENDING_SIGNALS = [getattr(signal, name) for name in ("SIGTERM", "SIGHUP") if hasattr(signal, name)]
HANGUP = getattr(signal, "SIGHUP", None)  # the terminal was closed; of a program without terminal: read the settings
POLL_S = 0.05

Show = Callable[["Session"], None]  # displays a session, and returns when `session.over()`


class Session:
    """Runs an engine with streams, and optionally a display, until the session is over.

    Args:
        plans: the streams.
        device: "auto", "cpu" or "cuda", as `train.device`.
        precision: as `listening.precision`.
        end_with_first_error: whether an error of one stream ends the session.
        failures: streams that could not be started, which are shown after the others.

    Raises:
        ConfigError: if an argument is not valid.
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
        if not isinstance(plans, Sequence) or not all(isinstance(plan, StreamPlan) for plan in plans):
            raise wrong("plans", "a list of what Model.plan returns", plans)
        _require_one_of("device", device, Train)
        _require_one_of("precision", precision, Listening)
        self._device, self._precision, self._ran = device, precision, False
        self.engine = build_engine(plans, device=device, precision=precision)
        self._end_with_first_error = end_with_first_error
        self._failures = failures or StartFailures()
        self._not_started = tuple(stream.snapshot() for stream in self._failures.streams)
        self._due = math.inf
        self._ending = threading.Event()

    @property
    def streams(self) -> tuple[MonitoredStream, ...]:
        """The streams, in the order of the plans, without those that were removed."""
        return self.engine.streams

    @property
    def latest(self) -> tuple[Snapshot, ...]:
        """The newest snapshot of each stream; those of the streams that could not be started are the last."""
        return (*self.engine.latest, *self._not_started)

    @property
    def published(self) -> tuple[Snapshot, ...]:
        """As `latest`, for whoever is content with those that are made anyway: see `Engine.published`."""
        return (*self.engine.published, *self._not_started)

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

    def scale_threshold(self, factor: float, name: str = "") -> None:
        """Multiplies the thresholds of a stream by a factor: see `Engine.scale_threshold`."""
        self.engine.scale_threshold(factor, name)

    def prepare(self, plans: Sequence[StreamPlan]) -> list[MonitoredStream]:
        """The streams of plans, ready to be added by `change`. Their sources are not started."""
        return build_streams(plans, device=self._device, precision=self._precision, pool=self.engine.pool)

    def model_changes(
        self, plans: Mapping[MonitoredStream, StreamPlan], going_on: Sequence[MonitoredStream]
    ) -> dict[MonitoredStream, ModelChange]:
        """How streams of the session get the models of these plans, in batches with other streams of these models.

        Args:
            plans: of the streams that get another model.
            going_on: those and all others that are not removed.
        """
        used = [(stream.group, stream.number) for stream in going_on]
        batches = Batches(self._device, self._precision, self.engine.pool)
        places = batches.places([plan.bundle for plan in plans.values()], used)
        return {
            stream: ModelChange(*place, plan.config, plan.model_name, plan.drift)
            for (stream, plan), place in zip(plans.items(), places, strict=True)
        }

    def change(self, change: Change) -> None:
        """Changes the streams of the running session; may be called on any thread but the engine's.

        As `Engine.change`; then the sources of removed streams are stopped, and those of added ones started. Streams
        that could not be started when the session began are forgotten: the caller has added them, or they are removed.

        Raises:
            MonitorError: if the session has ended before.
        """
        before, kept = self.streams, set(change.streams)
        self.engine.change(change)
        self._failures, self._not_started = StartFailures(), ()
        # In this order, because some devices can be opened only once.
        stop_sources([stream for stream in before if stream not in kept])
        known = set(before)
        for stream in change.streams:
            if stream not in known and not self.over():
                stream.source.start()

    def run(
        self, *, duration_s: float | None = None, show: Show | None = None, hangup: Callable[[], None] | None = None
    ) -> None:
        """Monitors until all sources have ended, `end` is called, or the time is over. A session can run only once.

        Args:
            duration_s: time limit; None: no limit.
            show: displays the session, and returns when it is over; None: no display.
            hangup: is called when SIGHUP arrives, on the main thread; None: SIGHUP ends the session.

        Raises:
            ConfigError: if the session has run before, or the time limit is no number.
            DataError: if a source has been heard before.
            KeyboardInterrupt: on Ctrl-C, after the remaining samples are scored and the sinks closed.
        """
        if self._ran:
            raise ConfigError("a session can run only once: make another one, with new sources.")
        if duration_s is not None and (not is_number(duration_s) or math.isnan(duration_s)):
            raise wrong("duration_s", "a number of seconds", duration_s)
        self._ran, self._due = True, math.inf if duration_s is None else time.monotonic() + duration_s
        paced = is_paced(self.streams)
        with _signals_handled(self, hangup), low_latency() if paced else contextlib.nullcontext():
            try:
                self.engine.start()
            except MonitorError:
                stop_sources(self.streams)
                raise
            try:
                (show or _wait)(self)
            finally:
                self.engine.stop()


def _require_one_of(name: str, value: str, group: type[Group]) -> None:
    """Checks an argument that has the values of a setting.

    Raises:
        ConfigError: if it has none of them.
    """
    allowed = get_args(group.model_fields[name].annotation)
    if value not in allowed:
        raise wrong(name, f"one of {', '.join(allowed)}", value)


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
def _signals_handled(session: Session, hangup: Callable[[], None] | None) -> Iterator[None]:
    """Within the block, SIGTERM and SIGHUP call `session.end`, or SIGHUP `hangup`; on the main thread only."""

    def handle(number: int, _frame: FrameType | None) -> None:
        if number == HANGUP and hangup is not None:
            hangup()
        else:
            session.end()

    if threading.current_thread() is not threading.main_thread():
        yield
        return
    before = {number: signal.signal(number, handle) for number in ENDING_SIGNALS}
    try:
        yield
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)
