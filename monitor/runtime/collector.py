"""Takes the new samples of many streams from their rings: one array for all that are scored together."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass

import numpy as np

from monitor.audio.level import Measured
from monitor.audio.ring_buffer import read_rows
from monitor.core.types import DoubleArray, FloatArray, IndexArray
from monitor.runtime.monitored_stream import MonitoredStream
from monitor.runtime.stream_group import StreamGroup
from monitor.runtime.stream_input import LOOK
from monitor.sources.preprocess import unusual

SAMPLES_AT_ONCE = 2**19  # that are copied, and then looked at while they are in a processor's cache

_Key = tuple[StreamGroup, int]  # streams that are scored together: their group, and the number of hops
# Streams that have taken their samples by themselves, because they are not scored as they are in the ring; their hops
# (k · hop_length,); and when these have arrived.
_Alone = dict[_Key, list[tuple[MonitoredStream, FloatArray, float]]]


@dataclass(frozen=True, slots=True)
class Collected:
    """The new samples of n streams of a group, k hops of each."""

    group: StreamGroup
    streams: Sequence[MonitoredStream]  # n
    numbers: IndexArray  # (n,) their numbers in the group
    samples: FloatArray  # (n, k · hop_length), valid until the next turn
    arrived: DoubleArray  # (n,) when the last of them arrived, on the monotonic clock
    looked_at: Sequence[MonitoredStream]  # those of which `after_scores` must be called


class Collector:
    """Collects the samples of the streams of an engine.

    Args:
        on_error: is called for a stream of which nothing can be collected, with what was raised.
    """

    def __init__(self, on_error: Callable[[MonitoredStream, Exception], None]) -> None:
        self._on_error = on_error
        self._buffer = np.zeros(0, np.float32)  # of the samples of a turn: new memory in each would be slow

    def collect(self, streams: Iterable[MonitoredStream], now: float) -> list[Collected]:
        """Takes the samples that have arrived, as far as each stream takes them at once.

        Args:
            streams: that have not ended.
            now: on the monotonic clock.
        """
        as_they_are: dict[_Key, list[MonitoredStream]] = defaultdict(list)
        alone: _Alone = defaultdict(list)
        for stream in streams:
            try:
                if (hops := stream.ready(now)) > 0:
                    as_they_are[stream.group, hops].append(stream)
                elif hops == LOOK:
                    self._add(alone, stream, stream.collect(now), stream.input.arrived)
            except Exception as error:  # noqa: BLE001 - an error would end the monitoring of all streams
                self._on_error(stream, error)
        sizes = {key: len(ready) * key[1] * key[0].hop_length for key, ready in as_they_are.items()}
        if sum(sizes.values()) > len(self._buffer):
            self._buffer = np.empty(sum(sizes.values()), np.float32)
        found: dict[_Key, Collected] = {}
        start = 0
        for key, ready in as_they_are.items():
            buffer = self._buffer[start : start + sizes[key]].reshape(len(ready), -1)
            start += sizes[key]
            try:
                found[key] = self._take(key[0], ready, buffer, now, alone)
            except Exception as error:  # noqa: BLE001 - as above
                for stream in ready:
                    self._on_error(stream, error)
        for key, others in alone.items():
            found[key] = _joined(key[0], found.get(key), others)
        return [one for one in found.values() if len(one.streams)]

    def _take(
        self, group: StreamGroup, streams: Sequence[MonitoredStream], samples: FloatArray, now: float, alone: _Alone
    ) -> Collected:
        """Takes the next samples of streams, which are scored as they are, except those that are unusual.

        Args:
            group: of the streams.
            streams: n streams.
            samples: (n, k · hop_length), written.
            now: on the monotonic clock.
            alone: receives the samples of streams that are not scored as they are.
        """
        arrived, taken = np.empty(len(streams)), np.zeros(len(streams), bool)  # `taken`: scored as they are
        measured: list[Measured] = []
        step = max(1, SAMPLES_AT_ONCE // samples.shape[1])
        for first in range(0, len(streams), step):
            part = slice(first, first + step)
            readers = [stream.input.reader for stream in streams[part]]
            read = read_rows(readers, samples[part])
            arrived[part] = [one.ring.written_at - (one.ring.written - one.read) / group.sample_rate for one in readers]
            measured.append(Measured.of(samples[part], group.sample_rate))
            strange = unusual(samples[part], measured[-1].peaks, group.sample_rate)
            taken[part] = read & ~strange
            for index, (stream, usual) in enumerate(zip(streams[part], taken[part].tolist(), strict=True)):
                row = first + index
                try:
                    if usual:
                        stream.accept(samples, row)
                    elif read[index]:
                        self._add(alone, stream, stream.examine(samples[row]), arrived[row])
                    else:
                        self._add(alone, stream, stream.collect(now), stream.input.arrived)
                except Exception as error:  # noqa: BLE001 - as above
                    taken[row] = False
                    self._on_error(stream, error)
        if not taken.all():
            streams = [stream for stream, kept in zip(streams, taken.tolist(), strict=True) if kept]
            samples, arrived = samples[taken], arrived[taken]
        numbers = _numbers(streams)
        group.levels.push(Measured.joined(measured, taken), numbers)
        return Collected(group, streams, numbers, samples, arrived, ())

    def _add(self, alone: _Alone, stream: MonitoredStream, hops: FloatArray, arrived: float) -> None:
        if len(hops):
            alone[stream.group, len(hops) // stream.group.hop_length].append((stream, hops, arrived))


def _joined(
    group: StreamGroup, others: Collected | None, alone: Sequence[tuple[MonitoredStream, FloatArray, float]]
) -> Collected:
    """The samples of streams that have taken them alone, after those of others."""
    streams, hops, arrived = zip(*alone, strict=True)
    samples, arrived_at = np.stack(hops), np.array(arrived)
    if others is None or not len(others.streams):
        return Collected(group, streams, _numbers(streams), samples, arrived_at, streams)
    together = (*others.streams, *streams)
    samples, arrived_at = np.concatenate((others.samples, samples)), np.concatenate((others.arrived, arrived_at))
    return Collected(group, together, _numbers(together), samples, arrived_at, streams)


def _numbers(streams: Sequence[MonitoredStream]) -> IndexArray:
    return np.array([stream.number for stream in streams], np.int64)
