"""The metrics for Prometheus, made from the newest snapshots when they are asked for.

Labels are the names of streams, states, kinds of events and outputs, of which there are few; never names of recordings.
What is not known at present is left out.
"""

from __future__ import annotations

import logging
import math
import shutil
import time
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import get_args

from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily, InfoMetricFamily, Metric
from prometheus_client.registry import Collector

from monitor import __version__
from monitor.config.plant import EventKind
from monitor.core.events import State
from monitor.core.snapshot import Snapshot
from monitor.integrations.live_values import LiveValues, finite
from monitor.integrations.metrics_tally import Tally
from monitor.outputs.sink import Sink

PREFIX = "acoustic_monitor"
STATE_CODES = {state: code for code, state in enumerate(State)}

log = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class Deliveries:
    """How notifications are getting on."""

    waiting: int  # messages that are not delivered yet
    given_up: int  # messages that were given up in the last day
    oldest_s: float = 0.0  # age of the oldest waiting message in seconds


class MetricsCollector(Collector):
    """Makes the metrics of a monitor. It is called by the threads of the server, one for each request.

    Args:
        tally: what was counted, and the newest snapshots.
        outputs: returns all outputs by their names.
        deliveries: returns the state of the notifications, without waiting; None: there are none, or it is not known.
        folders: folders whose free disk space is reported, by their purpose.
    """

    def __init__(
        self,
        tally: Tally,
        outputs: Callable[[], Mapping[str, Sink]] = dict,
        deliveries: Callable[[], Deliveries | None] = lambda: None,
        folders: Mapping[str, Path] | None = None,
    ) -> None:
        self._tally, self._outputs, self._deliveries, self._folders = tally, outputs, deliveries, folders or {}
        self._began = time.monotonic()

    def collect(self) -> Iterator[Metric]:
        """The metrics. A part that cannot be made is left out, and the error is logged."""
        snapshots = self._tally.snapshots()
        parts: tuple[Callable[[], Iterator[Metric]], ...] = (
            lambda: self._of_monitor(snapshots),
            lambda: _of_streams(snapshots),
            lambda: _counters(snapshots, self._tally),
            self._of_outputs,
            self._of_deliveries,
            self._of_disks,
        )
        for part in parts:
            try:
                yield from part()
            except Exception as error:  # noqa: BLE001 - the other metrics are still of use
                log.warning("Some metrics are missing: %s: %s.", type(error).__name__, error)

    def _of_monitor(self, snapshots: Mapping[str, Snapshot]) -> Iterator[Metric]:
        yield InfoMetricFamily(f"{PREFIX}_build", "Version of the monitor.", {"version": __version__})
        yield _gauge("uptime_seconds", "Time since the monitor started.", time.monotonic() - self._began)
        loads = [one.load for one in snapshots.values() if not one.finished]
        if loads:
            yield _gauge("engine_load_ratio", "Share of the time that the scoring thread is busy.", max(loads))

    def _of_outputs(self) -> Iterator[Metric]:
        dropped = CounterMetricFamily(f"{PREFIX}_output_dropped", "Items that an output has lost.", labels=["output"])
        failing = _gauge("output_failing", "Whether an output does not work at present.", labels=["output"])
        for name, sink in self._outputs().items():
            dropped.add_metric([name], sink.dropped)
            failing.add_metric([name], bool(sink.trouble))
        yield from (dropped, failing)

    def _of_deliveries(self) -> Iterator[Metric]:
        deliveries = self._deliveries()
        if deliveries is None:
            return
        yield _gauge("deliveries_waiting", "Notifications that are not delivered yet.", deliveries.waiting)
        yield _gauge("deliveries_oldest_seconds", "Age of the oldest waiting notification.", deliveries.oldest_s)
        yield _gauge("deliveries_given_up", "Notifications that were given up in the last day.", deliveries.given_up)

    def _of_disks(self) -> Iterator[Metric]:
        free = _gauge("disk_free_bytes", "Free space of the disk on which a folder is.", labels=["folder"])
        size = _gauge("disk_size_bytes", "Size of the disk on which a folder is.", labels=["folder"])
        for purpose, folder in self._folders.items():
            try:
                usage = shutil.disk_usage(folder)
            except OSError:  # the folder does not exist yet
                continue
            free.add_metric([purpose], usage.free)
            size.add_metric([purpose], usage.total)
        yield from (free, size)


def _of_streams(snapshots: Mapping[str, Snapshot]) -> Iterator[Metric]:
    """The present values of all streams."""
    info = InfoMetricFamily(f"{PREFIX}_stream", "Model of a stream.", labels=["stream"])
    states = _gauge("state", "1 for the state of a stream, 0 for all others.", labels=["stream", "state"])
    codes = ", ".join(f"{code} {state}" for code, state in enumerate(State))
    numbers: dict[str, tuple[str, Callable[[LiveValues, Snapshot], float | None]]] = {
        "state_code": (f"State as a number: {codes}.", lambda values, _: STATE_CODES[values.state]),
        "score": ("Anomaly score.", lambda values, _: values.score),
        "score_limit": ("Limit of the anomaly score.", lambda values, _: values.limit),
        "error": ("Rolling reconstruction error.", lambda values, _: values.error),
        "error_limit": ("Limit of the reconstruction error.", lambda values, _: values.error_limit),
        "share_of_limit_ratio": (
            "How near the alarm is; above 1 is the alarm.", lambda values, _: values.share_of_limit
        ),
        "level_dbfs": ("RMS level in dB relative to full scale.", lambda values, _: values.level_dbfs),
        "processing_median_seconds": (
            "Median time from the last sample of a window to its score.", lambda _, one: finite(one.processing_s)
        ),
        "processing_p99_seconds": (
            "99th percentile of the time from the last sample of a window to its score.",
            lambda _, one: finite(one.processing_p99_s),
        ),
        "source_clock_ppm": (
            "By how much the clock of a sender in the network is fast, in parts per million.",
            lambda _, one: finite(one.clock_ppm),
        ),
    }  # fmt: skip
    families = {name: _gauge(name, text, labels=["stream"]) for name, (text, _) in numbers.items()}
    for stream, snapshot in snapshots.items():
        values = LiveValues.of(snapshot)
        info.add_metric([stream], {"model": snapshot.model, "score_kind": snapshot.score_kind})
        for state in State:
            states.add_metric([stream, state.value], state is values.state)
        for name, (_, value_of) in numbers.items():
            if (value := value_of(values, snapshot)) is not None:
                families[name].add_metric([stream], value)
    yield from (info, states, *families.values())


def _counters(snapshots: Mapping[str, Snapshot], tally: Tally) -> Iterator[Metric]:
    """What is counted of all streams since the monitor started."""
    scored = _counter("scored_seconds", "Sound that was scored.")
    missed = _counter("not_heard_seconds", "Sound that was not heard, because samples were missing.")
    anomalies = _counter("anomalies", "Anomalies.")
    for stream, snapshot in snapshots.items():
        scored.add_metric([stream], tally.scored_s(stream))
        missed.add_metric([stream], snapshot.lost_s if math.isfinite(snapshot.lost_s) else 0.0)
        anomalies.add_metric([stream], snapshot.anomalies)
    events = CounterMetricFamily(f"{PREFIX}_events", "Events by kind.", labels=["stream", "kind"])
    for stream in snapshots:
        counts = tally.events(stream)
        for kind in get_args(EventKind):  # also those that never happened, so that the first one is an increase
            events.add_metric([stream, kind], counts.get(kind, 0))
    yield from (scored, missed, anomalies, events)


def _gauge(name: str, text: str, value: float | None = None, *, labels: list[str] | None = None) -> GaugeMetricFamily:
    return GaugeMetricFamily(f"{PREFIX}_{name}", text, value=value, labels=labels)


def _counter(name: str, text: str) -> CounterMetricFamily:
    return CounterMetricFamily(f"{PREFIX}_{name}", text, labels=["stream"])
