"""The engine: one thread that collects samples from all streams, and scores those of one batch together."""

from __future__ import annotations

import threading
import time
from collections import deque
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from functools import partial
from typing import Self, TypeVar

from monitor.core.errors import MonitorError
from monitor.core.snapshot import Snapshot
from monitor.core.thread_pool import ThreadPool, limit_torch_to_one_thread, single_threaded_blas
from monitor.outputs.sink import Sink
from monitor.runtime.change import Change
from monitor.runtime.collector import Collected, Collector
from monitor.runtime.latency import BusyShare
from monitor.runtime.monitored_stream import MonitoredStream
from monitor.runtime.sink_closer import SinkCloser
from monitor.runtime.turn_pacer import choose_portions, spread_portions, wait_for_turn
from monitor.streaming.portion import BatchResult

POLL_S = 0.002  # sleep between two turns in which no stream had samples, where no device sets the pace
SNAPSHOT_S = 0.1  # time between two snapshots of a stream while somebody looks at them
UNSEEN_SNAPSHOT_S = 1.0  # the same while nobody does: for sinks, and for whoever looks next
LOOKED_S = 2.0  # so long somebody who has looked is expected to look again
SNAPSHOT_SPACING_S = 0.01  # minimum time between snapshots of any two streams
DECIDED_ALONE = 8  # streams up to which a snapshot shows also what was scored since the last decision
ACCELERATED = 2.0  # times real time: a faster stream is not paced, but scored as fast as possible

_T = TypeVar("_T")


class Engine:
    """Scores any number of streams on a thread of its own, those of one model as one batch (`monitor.runtime.batches`).

    In each turn the engine collects the new samples of every stream, scores them, and passes the results back. The
    samples of a stream in a turn are limited, so that no stream delays the others. A stream that ends or fails is
    finished; the others continue.

    Args:
        streams: with their sources, which the engine starts and stops.
        pool: threads that share the computation; the engine closes it.
    """

    def __init__(self, streams: Sequence[MonitoredStream], pool: ThreadPool | None = None) -> None:
        self.streams = tuple(streams)
        self.pool = pool
        self._paced = is_paced(self.streams)
        self._failure: MonitorError | None = None
        self._closer = SinkCloser()
        self._anomalies_before = 0  # of the streams that were removed
        self._active = list(self.streams)  # streams that are not finished
        spread_portions(self._active)
        self._commands: deque[Callable[[], None]] = deque()  # from other threads, to be run between two turns
        self._collector = Collector(self._fail)
        self._busy = BusyShare()
        self._published, self._next_published = 0.0, 0  # snapshots are up to date until then; index of the next stream
        self._looked_at = -LOOKED_S  # when somebody took the snapshots last, on the monotonic clock
        self._stopping = threading.Event()
        self._thread = threading.Thread(target=self._run, name="engine", daemon=True)

    @property
    def latest(self) -> tuple[Snapshot, ...]:
        """The newest snapshot of each stream; they are made more often as long as somebody takes them."""
        self._looked_at = time.monotonic()
        return self.published

    @property
    def published(self) -> tuple[Snapshot, ...]:
        """As `latest`, for whoever is content with those that are made anyway: one a second, and at each event."""
        return tuple(stream.latest for stream in self.streams)

    @property
    def error(self) -> MonitorError | None:
        """The first error of the engine, of a stream, or of a sink."""
        errors = [self._failure, *(one.error for one in self.streams), *(sink.error for sink in self._sinks)]
        return next((error for error in errors if error), None)

    @property
    def anomalies(self) -> int:
        """The number of anomalies so far, in all streams, also in those that were removed."""
        return self._anomalies_before + sum(stream.anomalies for stream in self.streams)

    @property
    def finished(self) -> bool:
        """Whether the engine's thread has ended."""
        return self._thread.ident is not None and not self._thread.is_alive()

    def __enter__(self) -> Self:
        self.start()
        return self

    def __exit__(self, *_: object) -> None:
        self.stop()

    def start(self) -> None:
        """Starts the sources and the engine's thread."""
        for stream in self.streams:
            stream.source.start()
        self._thread.start()

    def wait(self) -> None:
        """Waits until all sources have ended and all samples are scored."""
        self._thread.join()

    def stop(self) -> None:
        """Stops the sources and the thread. Remaining samples are scored, ongoing events ended, and sinks closed."""
        self._stopping.set()
        for sink in self._sinks:
            self._guarded((), sink.stop_waiting, None)  # the engine may be waiting for a sink
        if self._thread.ident is not None:
            self._thread.join()
        elif self.pool:
            self.pool.close()

    def scale_threshold(self, factor: float, name: str = "") -> None:
        """Multiplies the thresholds of a stream by a factor, for this run only. May be called on any thread.

        Args:
            factor: the factor.
            name: of the stream. If there is none of this name any more, nothing happens.
        """
        self._commands.append(partial(self._scale_threshold, factor, name))

    def change(self, change: Change) -> None:
        """Adds and removes streams, and changes settings, models and sinks of others, all between the same two turns.

        Removed streams end as at the end of their sound. Sinks that no stream uses any more are closed. The caller
        stops the sources of removed streams, and starts those of added ones, so that the engine waits for neither.
        May be called on any other thread; it returns when the change is done.

        Raises:
            MonitorError: if the engine has ended before.
        """
        done = threading.Event()

        def command() -> None:
            self._change(change)
            done.set()

        self._commands.append(command)
        if self._thread.ident is None:
            self._run_commands()
        while not done.wait(POLL_S) and not self.finished:
            pass
        if not done.is_set():
            raise MonitorError("The monitoring has ended, so nothing was changed.")

    @property
    def _sinks(self) -> list[Sink]:
        """The sinks of all streams, each once, because streams may share a sink."""
        return list({id(sink): sink for stream in self.streams for sink in stream.sinks}.values())

    def _run(self) -> None:
        limit_torch_to_one_thread()  # several threads would all wait if the system delays one of them
        with single_threaded_blas():
            try:
                self._loop()
            except Exception as error:  # noqa: BLE001 - an error would end this thread without a message
                self._failure = _unforeseen(error)
            finally:
                self._end()

    def _end(self) -> None:
        stop_sources(self._active)
        for stream in list(self._active):
            self._finish(stream)
        self._closer.close(self._sinks)
        self._closer.wait()
        if self.pool:
            self.pool.close()

    def _change(self, change: Change) -> None:
        used, before, kept = self._sinks, set(self.streams), set(change.streams)
        for stream in [one for one in self.streams if one not in kept]:
            if stream in self._active:
                self._finish(stream)
            self._anomalies_before += stream.anomalies
        for stream, config in change.alarms.items():
            self._guarded((stream,), partial(stream.change_alarm, config), None)
        for stream, sinks in change.sinks.items():
            stream.use_sinks(sinks)
        for stream, model in change.models.items():
            if stream in self._active:
                self._guarded((stream,), partial(model.apply, stream), None)
        self._active += [one for one in change.streams if one not in before]
        spread_portions(self._active)
        self.streams = change.streams
        self._paced = is_paced(self.streams)
        still_used = set(self._sinks)
        self._closer.close([sink for sink in used if sink not in still_used], still_running=True)

    def _scale_threshold(self, factor: float, name: str) -> None:
        for stream in self._active:
            if stream.name == name:
                self._guarded((stream,), partial(stream.scale_threshold, factor), None)

    def _loop(self) -> None:
        while self._active and not self._stopping.is_set():
            began = time.monotonic()
            worked = self.take_turns()
            self.publish(began)
            done = time.monotonic()
            self._busy.worked(done - began)
            if self._paced:
                choose_portions(self._active, seen=self._is_seen(done))
                wait_for_turn(self._active, began, worked=worked)
            elif not worked:
                time.sleep(POLL_S)
            self._busy.waited(time.monotonic() - done)

    def publish(self, now: float) -> None:
        """Publishes the snapshots that are due: each stream in turn, so that many streams do not delay a turn.

        A stream that has reported an event does not wait for its turn.

        Args:
            now: on the monotonic clock.
        """
        count = len(self._active)
        if not count:
            return
        seen = self._is_seen(now)
        each_s = max((SNAPSHOT_S if seen else UNSEEN_SNAPSHOT_S) / count, SNAPSHOT_SPACING_S)
        due = min(count, int((now - self._published) / each_s))
        streams = [self._active[(self._next_published + i) % count] for i in range(due)]
        streams += [stream for stream in self._active if stream.has_news and stream not in streams]
        # Of many streams each is published about as often as its alarm decides, and all decide together.
        decide = seen and count <= DECIDED_ALONE
        for stream in streams:
            self._guarded((stream,), partial(stream.publish, self._busy.share, decide=decide), None)
        self._next_published = (self._next_published + due) % count
        self._published = max(self._published + due * each_s, now - each_s * count)

    def _is_seen(self, now: float) -> bool:
        """Whether somebody looks at the snapshots."""
        return now - self._looked_at < LOOKED_S

    def take_turns(self) -> bool:
        """Runs one turn: collects samples from every stream and scores them. Returns whether there were any."""
        self._run_commands()
        active = [stream for stream in self._active if not stream.ended]
        collected = self._collector.collect(active, time.monotonic())
        for stream in [stream for stream in self._active if stream.ended]:
            self._guarded((stream,), stream.source.stop, None)
            self._finish(stream)
        for one, result in zip(collected, self._scored(collected), strict=True):
            pushed = self._guarded(one.streams, result, None)
            if pushed is not None:  # a failed batch has no results
                self._guarded(one.streams, partial(self._decide, one, pushed), None)
        return bool(collected)

    def _scored(self, collected: Sequence[Collected]) -> Sequence[Callable[[], BatchResult]]:
        """Functions that return the results of samples that were collected, or raise what was raised."""
        pushes = [partial(one.group.batch.push, one.samples, one.numbers) for one in collected]
        if self.pool is None or len(pushes) < 2:
            return pushes
        results = [_Outcome(push) for push in pushes]
        self.pool.map(_Outcome.compute, results)
        return [result.get for result in results]

    def _decide(self, one: Collected, result: BatchResult) -> None:
        """Passes results on to the detectors of their streams."""

        def fail(number: int, error: Exception) -> None:
            self._fail(one.streams[one.numbers.tolist().index(number)], error)

        scored = one.group.push(result, one.numbers, fail)
        one.group.processing.add(time.monotonic() - one.arrived[scored], one.numbers[scored])
        for stream in one.looked_at:
            self._guarded((stream,), stream.after_scores, None)

    def _run_commands(self) -> None:
        while self._commands:
            self._commands.popleft()()

    def _finish(self, stream: MonitoredStream) -> None:
        self._active.remove(stream)
        self._guarded((stream,), stream.finish, None)
        self._guarded((stream,), partial(stream.publish, self._busy.share, finished=True), None)

    def _guarded(self, streams: Sequence[MonitoredStream], action: Callable[[], _T], otherwise: _T) -> _T:
        """Returns `action()`; if it raises an error, only these streams fail, and `otherwise` is returned."""
        try:
            return action()
        except Exception as error:  # noqa: BLE001 - an error would end the monitoring of all streams
            for stream in streams:
                self._fail(stream, error)
        return otherwise

    def _fail(self, stream: MonitoredStream, error: Exception) -> None:
        """Makes a stream end with an error."""
        if isinstance(error, MonitorError):
            stream.fail(error)
        else:
            stream.fail(_unforeseen(error), beyond_repair=True)


def is_paced(streams: Sequence[MonitoredStream]) -> bool:
    """Whether all sources deliver sound at about the speed of real time."""
    return all(stream.source.speed <= ACCELERATED for stream in streams)


def stop_sources(streams: Sequence[MonitoredStream]) -> None:
    """Stops the sources of streams, all at once, so that a stalled one does not delay others."""
    with ThreadPoolExecutor(max(1, len(streams))) as pool:
        list(pool.map(lambda stream: stream.source.stop(), streams))


class _Outcome:
    """The result of a push that is computed on any thread, or its error."""

    def __init__(self, push: Callable[[], BatchResult]) -> None:
        self._push = push

    def compute(self) -> None:
        """Computes it."""
        try:
            self._result: BatchResult | Exception = self._push()
        except Exception as error:  # noqa: BLE001 - it is raised where the result is used
            self._result = error

    def get(self) -> BatchResult:
        """Returns the result, or raises the error."""
        if isinstance(self._result, Exception):
            raise self._result
        return self._result


def _unforeseen(error: Exception) -> MonitorError:
    return MonitorError(f"The monitoring was ended by an unforeseen error, {type(error).__name__}: {error}.")
