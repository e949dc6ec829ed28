"""What parts of the computation cost one of many streams, in time of one processor, whatever else runs on it."""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np

from monitor.bench.simulated_streams import StreamsInTurns
from monitor.bundle.bundle import Bundle
from monitor.model.network import Compute
from monitor.runtime.session import low_latency
from monitor.runtime.stream_input import LIVE_CHUNK_S

WINDOWS_AT_ONCE, REPEATED = 256, 20  # of the network: windows in one call, and calls that are timed
TURNS = 5  # turns of the engine that are measured


@dataclass(frozen=True, slots=True)
class Costs:
    """The time that parts take, in microseconds for LIVE_CHUNK_S of sound of one stream."""

    network_us: float  # the network
    beside_network_us: float  # the rest from samples to scores
    detection_us: float  # from scores to states: alarm, history
    collecting_us: float  # taking samples from rings, checking them and their sources, levels, statistics of times

    @property
    def streams_us(self) -> float:
        """What is done beside the scores."""
        return self.detection_us + self.collecting_us


def costs(bundle: Bundle, count: int, precision: str) -> Costs:
    """Measures the costs of `count` streams on one processor, by part."""
    hops = round(LIVE_CHUNK_S / bundle.config.features.hop_s)
    with low_latency():
        network_us = hops * _network_us(bundle, precision)
        streams = StreamsInTurns(bundle, count, precision, processors=1)
        [group] = {stream.group for stream in streams.engine.streams}
        scores, detection = _Clock(), _Clock()
        group.batch.push = scores.timing(group.batch.push)  # type: ignore[method-assign]
        group.push = detection.timing(group.push)  # type: ignore[method-assign]
        streams.settle()
        times: list[tuple[float, float, float]] = []
        for _ in range(TURNS):
            scores.seconds = detection.seconds = 0.0
            _, turn_s = streams.turn()
            times.append((scores.seconds, detection.seconds, turn_s - scores.seconds - detection.seconds))
    streams.end()
    scores_us, detection_us, collecting_us = (1e6 * float(one) / count for one in np.median(times, axis=0))
    return Costs(network_us, scores_us - network_us, detection_us, collecting_us)


def _network_us(bundle: Bundle, precision: str) -> float:
    """The time of the network for one window."""
    features = bundle.config.features
    shape = (1, WINDOWS_AT_ONCE + features.window_frames - 1, features.n_mels)
    frames = np.random.default_rng(0).standard_normal(shape, np.float32)
    residual, error = (np.empty((1, WINDOWS_AT_ONCE, width), np.float32) for width in (features.n_mels, 1))
    network = Compute.on("cpu", precision).network(bundle.weights, features)
    clock = _Clock()
    timed = clock.timing(network)
    times: list[float] = []
    for _ in range(REPEATED):
        clock.seconds = 0.0
        timed(frames, residual, error)
        times.append(clock.seconds)
    return 1e6 * float(np.median(times)) / WINDOWS_AT_ONCE


class _Clock:
    """The processor time that calls of a function have taken."""

    def __init__(self) -> None:
        self.seconds = 0.0

    def timing(self, function: Callable[..., Any]) -> Callable[..., Any]:
        """The function, whose time is added from now on."""

        def timed(*arguments: object) -> object:
            began = time.process_time()
            try:
                return function(*arguments)
            finally:
                self.seconds += time.process_time() - began

        return timed
