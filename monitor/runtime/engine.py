"""The worker: one thread that gives every station its turn, and computes what they collect together."""

from __future__ import annotations

import threading
import time
from collections import defaultdict
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from functools import partial
from typing import TypeVar

import numpy as np
import torch

from monitor.streaming.ensemble import Ensemble, Lane, Portion
from monitor.core.errors import MonitorError
from monitor.runtime.latency import BusyShare, Rhythm
from monitor.model.device import listening_precision
from monitor.core.thread_pool import Processors
from monitor.outputs.sink import Sink
from monitor.core.snapshot import FloatArray, Snapshot
from monitor.runtime.monitored_stream import Station

POLL_S = 0.002
TURN_S = 0.01  # of several streams: each turn of a stream costs something however little sound it brings
SNAPSHOT_S = 0.1  # from one snapshot of a stream to the next
SNAPSHOT_PER_STATION_S = 0.01  # with many streams, from the snapshot of one to that of another
ALONE = 64  # streams that one processor computes: of twice as many each processor computes its share
ACCELERATED = 2.0  # times real time: from there on nobody waits for the next sound

_T = TypeVar("_T")


class Engine:
    """Computes any number of stations on a thread of its own, those of one model as one batch.

    In a turn each station hands over what has come, half a second of it at most where it is heard live, so that
    none starves another. A station whose sound ends or that fails is finished; the others go on.

    Args:
        stations: each with its source; they start and stop with the engine.
        device: where to compute.
        precision: as `listening.precision`.
    """

    def __init__(
        self, stations: Sequence[Station], device: torch.device | str = "cpu", precision: str = "float32"
    ) -> None:
        self.stations = tuple(stations)
        self._paced = all(station.source.speed <= ACCELERATED for station in self.stations)
        threads = torch.get_num_threads() if torch.device(device).type == "cpu" else 1
        # What is heard as it comes leaves time enough, unless it is much: to share it would only burn power.
        count = min(threads, len(self.stations) // ALONE) if self._paced else threads
        self._processors = Processors(count) if count > 1 else None
        _join(self.stations, device, precision, self._processors)
        self._failure: MonitorError | None = None
        self._listening = list(self.stations)
        self._busy, self._rhythm = BusyShare(), Rhythm()
        self._published, self._shown = 0.0, 0  # until when, and which stream is the next
        self._stopping = threading.Event()
        self._thread = threading.Thread(target=self._run, name="engine", daemon=True)

    @property
    def latest(self) -> tuple[Snapshot, ...]:
        """The newest snapshot of each station."""
        return tuple(station.latest for station in self.stations)

    @property
    def error(self) -> MonitorError | None:
        """What ended a station early, or what a sink could not write; the first of them."""
        errors = [self._failure, *(one.error for one in self.stations), *(sink.error for sink in self._sinks)]
        return next((error for error in errors if error), None)

    @property
    def anomalies(self) -> int:
        """How many anomalies there have been, of all stations."""
        return sum(station.anomalies for station in self.stations)

    def start(self) -> None:
        """Starts the sources and the worker."""
        for station in self.stations:
            station.source.start()
        self._thread.start()

    def wait(self) -> None:
        """Until all sources have ended and all of it is judged."""
        self._thread.join()

    def stop(self) -> None:
        """Ends the worker and the sources; what has been heard is scored, events are ended and sinks are closed."""
        self._stopping.set()
        if self._thread.ident is not None:
            self._thread.join()

    @property
    def finished(self) -> bool:
        """Whether the worker has ended."""
        return self._thread.ident is not None and not self._thread.is_alive()

    @property
    def _sinks(self) -> list[Sink]:
        """Each once, though stations may share it."""
        return list({id(sink): sink for station in self.stations for sink in station.sinks}.values())

    def _run(self) -> None:
        # OpenMP keeps the number of threads by thread: here it would be all processors, and they would wait for each
        # other through every hiccup of the system.
        torch.set_num_threads(1 if self._processors else torch.get_num_threads())
        try:
            self._listen()
        except Exception as error:  # noqa: BLE001 - on this thread nobody else would be told
            self._failure = _unforeseen(error)
        finally:
            with ThreadPoolExecutor(max(1, len(self._listening))) as pool:  # one that is stalled delays no other
                list(pool.map(lambda station: station.source.stop(), self._listening))
            for station in list(self._listening):
                self._finish(station)
            for sink in self._sinks:
                sink.close()
            if self._processors:
                self._processors.close()

    def _listen(self) -> None:
        turn_s = TURN_S if self._paced and len(self.stations) > 1 else 0.0
        while self._listening and not self._stopping.is_set():
            began = time.monotonic()
            worked = self.take_turns()
            now = time.monotonic()
            if worked:
                self._busy.worked(now - began)
                if (rest := began + turn_s - now) > 0:
                    self._sleep(rest)
            elif self._listening:
                self._rhythm.sleep() if self._alone_and_live else time.sleep(POLL_S)
                self._busy.waited(time.monotonic() - began)
            self._publish(began)

    def _publish(self, now: float) -> None:
        """Makes the snapshots that are due, those of many streams a few at a time."""
        count = len(self._listening)
        if not count:
            return
        each_s = max(SNAPSHOT_S / count, SNAPSHOT_PER_STATION_S)
        due = min(count, int((now - self._published) / each_s))
        for station in (self._listening[(self._shown + i) % count] for i in range(due)):
            self._guarded((station,), partial(station.publish, self._busy.share), None)
        self._shown = (self._shown + due) % count
        self._published = max(self._published + due * each_s, now - each_s * count)

    @property
    def _alone_and_live(self) -> bool:
        return len(self.stations) == 1 and self.stations[0].source.live

    def _sleep(self, seconds: float) -> None:
        time.sleep(seconds)
        self._busy.waited(seconds)

    def take_turns(self) -> bool:
        """Collects from every station once, and computes what there is; whether there was anything."""
        batches: dict[tuple[int, int], list[tuple[Station, FloatArray]]] = defaultdict(list)
        for station in list(self._listening):
            hops: FloatArray = np.zeros(0, np.float32)
            if not station.ended:
                hops = self._guarded((station,), station.collect, hops)
            if station.ended:
                self._finish(station)
            elif len(hops):
                self._rhythm.came(station.written_at)
                batches[id(station.lane.ensemble), len(hops)].append((station, hops))
        computed: list[tuple[list[Station], Callable[[], list[Portion]]]] = []
        for batch in batches.values():
            stations = [station for station, _ in batch]
            if self._processors is None or len(batch) == 1:
                computed.append((stations, partial(_push, batch)))
                continue
            size = -(-len(batch) // self._processors.count)
            for first in range(0, len(batch), size):
                part = slice(first, first + size)
                computed.append((stations[part], self._processors.begin(_push, batch[part])))
        for stations, result in computed:
            portions: list[Portion] = self._guarded(stations, result, [])
            for station, portion in zip(stations, portions, strict=False):  # there is nothing where it failed
                self._guarded((station,), partial(station.use, portion), None)
        return bool(batches)

    def _finish(self, station: Station) -> None:
        self._listening.remove(station)
        self._guarded((station,), station.finish, None)
        self._guarded((station,), partial(station.publish, self._busy.share, finished=True), None)

    def _guarded(self, stations: Sequence[Station], action: Callable[[], _T], otherwise: _T) -> _T:
        """Does it for these stations: where it fails, they end, and no other does."""
        try:
            return action()
        except MonitorError as error:
            for station in stations:
                station.fail(error)
        except Exception as error:  # noqa: BLE001 - on this thread nobody else would be told
            for station in stations:
                station.fail(_unforeseen(error), beyond_repair=True)
        return otherwise


def _join(
    stations: Sequence[Station], device: torch.device | str, precision: str, processors: Processors | None
) -> None:
    """Makes an ensemble for each model; every station gets its lane."""
    of_model: dict[str, list[Station]] = defaultdict(list)
    for station in stations:
        of_model[station.bundle.digest].append(station)
    for members in of_model.values():
        computed_in = listening_precision(precision, len(members), device)
        ensemble = Ensemble(members[0].bundle, len(members), device, computed_in, processors)
        for number, station in enumerate(members):
            station.join(Lane(ensemble, number))


def _push(batch: Sequence[tuple[Station, FloatArray]]) -> list[Portion]:
    """What the hops of these stations of one model, the same number of each, come to."""
    samples = torch.from_numpy(np.stack([hops for _, hops in batch]))
    lanes = [station.lane for station, _ in batch]
    return lanes[0].ensemble.push(samples, [lane.number for lane in lanes])


def _unforeseen(error: Exception) -> MonitorError:
    return MonitorError(f"The monitoring ended by an unforeseen error, {type(error).__name__}: {error}.")
