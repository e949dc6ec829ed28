"""Simulates the alarm: counts false alarms in normal streams, and measures the delay until faults are reported.

The streams consist of test recordings in random order. The window statistics of each recording are computed once, as a
separate stream. Then these rows are concatenated, and processed as in live operation: by the same rolling mean, score
and alarm. So the transitions between recordings, which the sound of a real machine does not have, cause no windows
that span two recordings.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

from monitor.bundle.bundle import Bundle
from monitor.core.errors import DataError
from monitor.core.events import State
from monitor.core.types import FloatArray
from monitor.detection.alarm import Alarm
from monitor.detection.alarm_rules import rows_per_decision
from monitor.detection.alarms import Alarms
from monitor.detection.cusum import Limits
from monitor.scoring.rolling_rows import RollingRows
from monitor.scoring.scorer import rolling_length
from train.calibration.observations import offline_batch, portions_of
from train.calibration.tail_model import upper_rate
from train.data.feature_cache import Frames

if TYPE_CHECKING:
    import torch

STREAMS = 24  # streams that are simulated together
ROWS = 512  # rows of each stream that are processed at once
BEFORE_S = 60.0  # duration of the normal sound before a fault
MAX_BYTES = 2_000_000_000  # memory for rows: if all recordings need more, a random sample of them is used


@dataclass(frozen=True, slots=True)
class SimulatedStreams:
    """The extent of the simulation."""

    hours: float = 24.0  # duration of the normal streams altogether
    fault_s: float = 60.0  # duration of each fault, which follows BEFORE_S of normal sound
    faults: int = 300  # number of faults


@dataclass(frozen=True, slots=True)
class Faults:
    """The results of the simulated faults."""

    seconds: float  # duration of each fault
    delays_s: list[float]  # of the reported faults, from the first sample of the fault
    missed: int  # number of faults that were not reported
    unclear: int  # number of faults that began during an anomaly


def simulate_alarms(
    bundle: Bundle,
    normal: Sequence[Frames],
    anomalous: Sequence[Frames],
    device: torch.device | str,
    *,
    hours: float,
    fault_s: float,
    faults: int,
    seed: int = 0,
    advance: Callable[[float], None] = lambda _: None,
) -> dict[str, Any]:
    """Simulates the alarm on normal streams, and on streams with faults.

    Args:
        bundle: the model.
        normal: normal recordings.
        anomalous: anomalous recordings; without any, no faults are simulated.
        device: where the network computes.
        hours: duration of the normal streams altogether.
        fault_s: duration of each fault, which follows BEFORE_S of normal sound.
        faults: number of faults.
        seed: of the random order.
        advance: is called with the completed share.

    Returns:
        the number and rate of false alarms; under `faults` the numbers of faults and their delays.

    Raises:
        DataError: if there is no normal recording.
    """
    if not normal:
        raise DataError("Streams are made of normal test recordings, and there are none.")
    generator = np.random.default_rng(seed)
    hop_s = bundle.config.features.hop_s
    normal_rows = list(_rows(bundle, normal, device, generator))
    anomalous_rows = list(_rows(bundle, anomalous, device, generator))
    share = hours * 3600 / (hours * 3600 + (faults * (BEFORE_S + fault_s) if anomalous_rows else 0.0))
    length = max(1, round(hours * 3600 / STREAMS / hop_s))
    began = [0] * STREAMS
    streams = [_RandomRecordings(normal_rows, generator) for _ in range(STREAMS)]
    for start, alarms in _run_alarms(bundle, streams, length):
        for i, alarm in enumerate(alarms):
            began[i] += alarm.begun
        advance(share * min(1.0, (start + ROWS) / length))
    seconds = length * hop_s * STREAMS
    count = sum(began)
    found: dict[str, Any] = {
        "hours": seconds / 3600,
        "normal_recordings": len(normal_rows),
        "false_alarms": count,
        "false_alarms_per_hour": count / seconds * 3600,
        "false_alarms_per_day": count / seconds * 86400,
        "false_alarms_per_day_upper": upper_rate(count, seconds),
        "budget_per_day": bundle.config.calibration.false_alarms_per_day,
    }
    if anomalous_rows:
        found["faults"] = _fault_figures(
            _faults(
                bundle, normal_rows, anomalous_rows, fault_s, faults, generator,
                lambda done: advance(share + (1 - share) * done),
            ),
            len(anomalous_rows),
        )  # fmt: skip
    return found


def _fault_figures(faults: Faults, recordings: int) -> dict[str, Any]:
    clear = len(faults.delays_s) + faults.missed
    return {
        "seconds": faults.seconds,
        "anomalous_recordings": recordings,
        "faults": clear,
        "reported": len(faults.delays_s),
        "reported_share": len(faults.delays_s) / clear if clear else None,
        "missed": faults.missed,
        "delays_s": [round(delay, 2) for delay in faults.delays_s],
        "alarm_stood_already": faults.unclear,
        "median_delay_s": float(np.median(faults.delays_s)) if faults.delays_s else None,
        "p95_delay_s": float(np.quantile(faults.delays_s, 0.95)) if faults.delays_s else None,
    }


def _rows(
    bundle: Bundle, recordings: Sequence[Frames], device: torch.device | str, generator: np.random.Generator
) -> Iterator[FloatArray]:
    """The rows (T, row_width) of recordings, in random order, up to MAX_BYTES altogether."""
    size = 0
    with offline_batch(bundle, device) as batch:
        for i in generator.permutation(len(recordings)):
            rows = np.concatenate([portion.rows for portion in portions_of(batch, recordings[i])])
            if len(rows):
                yield rows
            size += rows.nbytes
            if size > MAX_BYTES:
                return


class _RandomRecordings:
    """An endless stream of the rows of randomly drawn recordings."""

    def __init__(self, recordings: Sequence[FloatArray], generator: np.random.Generator) -> None:
        self._recordings, self._generator = recordings, generator
        self._rest = recordings[0][:0]

    def take(self, count: int) -> FloatArray:
        """The next rows (count, row_width)."""
        parts = [self._rest]
        while sum(len(part) for part in parts) < count:
            parts.append(self._recordings[int(self._generator.integers(len(self._recordings)))])
        joined = np.concatenate(parts)
        self._rest = joined[count:]
        return joined[:count]


class _StreamWithFault:
    """A stream with `onset` normal rows, followed by anomalous rows."""

    def __init__(self, normal: _RandomRecordings, onset: int, anomalous: _RandomRecordings) -> None:
        self._normal, self._before, self._anomalous = normal, onset, anomalous

    def take(self, count: int) -> FloatArray:
        """The next rows (count, row_width)."""
        before = min(count, self._before)
        self._before -= before
        return np.concatenate((self._normal.take(before), self._anomalous.take(count - before)))


@dataclass(slots=True)
class _SimulatedAlarm:
    """An alarm, and the anomalies that it reported for the newest rows."""

    alarm: Alarm
    begun: int = 0  # number of anomalies that began in the newest rows
    reported_at: int | None = None  # number of the row at which the last of them was reported


def _run_alarms(
    bundle: Bundle, streams: Sequence[_RandomRecordings | _StreamWithFault], length: int
) -> Iterator[tuple[int, list[_SimulatedAlarm]]]:
    """Runs the alarm on `length` rows of each stream; yields the first row of each portion, and its alarms."""
    config = bundle.config
    window = rolling_length(config.score, config.features)
    rolling = RollingRows(bundle.layout, window, len(streams))
    every, scorer, limits = np.arange(len(streams)), bundle.scorer(), Limits.of(bundle, config.alarm)
    hop_s = config.features.hop_s
    together = Alarms(len(streams), hop_s, window)
    alarms = [_SimulatedAlarm(Alarm(config.alarm, limits, hop_s, window, (together, i))) for i in range(len(streams))]
    # The alarm decides about one row in so many, so only these are scored; the rows between have the score before them.
    first, step = window - 1, rows_per_decision(config.alarm, hop_s)
    latest = np.full((len(streams), 1), np.nan)
    for start in range(0, length, ROWS):
        rows = np.stack([stream.take(min(ROWS, length - start)) for stream in streams])
        means = np.empty((*rows.shape[:2], bundle.layout.mean_width), np.float32)
        rolling.push(rows, every, means)
        row = np.arange(start, start + rows.shape[1])
        decides = (row >= first) & ((row - first) % step == 0)
        latest = np.concatenate((latest[:, -1:], scorer(means[:, decides])), axis=1)
        reported = together.push_all(every, latest[:, np.cumsum(decides)])
        for simulated, found in zip(alarms, reported, strict=True):
            begun = [one.reported for one in found if one.end is None and not one.reminders]
            simulated.begun, simulated.reported_at = len(begun), begun[-1] if begun else None
        yield start, alarms


def _faults(
    bundle: Bundle,
    normal: Sequence[FloatArray],
    anomalous: Sequence[FloatArray],
    fault_s: float,
    faults: int,
    generator: np.random.Generator,
    advance: Callable[[float], None],
) -> Faults:
    """Simulates faults; the arguments are those of `simulate_alarms`, with rows in place of recordings."""
    hop_s = bundle.config.features.hop_s
    onset, length = round(BEFORE_S / hop_s), round((BEFORE_S + fault_s) / hop_s)
    delays: list[float] = []
    missed = unclear = 0
    for first in range(0, faults, STREAMS):
        count = min(STREAMS, faults - first)
        streams = [
            _StreamWithFault(_RandomRecordings(normal, generator), onset, _RandomRecordings(anomalous, generator))
            for _ in range(count)
        ]
        reported: list[int | None] = [None] * count
        anomaly_before = [False] * count  # whether the fault begins during an anomaly
        for start, alarms in _run_alarms(bundle, streams, length):
            for i, one in enumerate(alarms):
                if one.reported_at is not None and one.reported_at >= onset and reported[i] is None:
                    reported[i] = one.reported_at
                if start <= onset < start + ROWS:
                    anomaly_before[i] = reported[i] is None and one.alarm.state is State.ANOMALY
        for row, before in zip(reported, anomaly_before, strict=True):
            if before:
                unclear += 1
            elif row is None:
                missed += 1
            else:
                delays.append((row + 1 - onset) * hop_s)
        advance(min(1.0, (first + count) / faults))
    return Faults(fault_s, delays, missed, unclear)
