"""What alarms do on whole streams: false ones in hours of normal sound, and how soon faults are told.

The streams are made of test recordings in random order. What the autoencoder makes of each window is computed once for
every recording, as a stream of its own; then the rows of one recording follow those of another, and from there on
everything is as it is when listening: the same rolling mean, score and alarm. So the recordings' ends, which no machine
has, add nothing of their own.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from torch import Tensor

from monitor.detection.alarm import Alarm, Limits
from monitor.bundle.bundle import Bundle
from monitor.core.errors import DataError
from monitor.scoring.scorer import RollingMean, rolling_length
from monitor.core.snapshot import State
from monitor.streaming.stream import RowStream
from train.data.feature_cache import Frames
from train.calibration.reference import chunks
from train.calibration.tail_model import upper_rate

STREAMS = 24  # computed in step
ROWS = 512  # of each at once
BEFORE_S = 60.0  # of normal sound before a fault
MOST_BYTES = 2_000_000_000  # of rows: more recordings than that are drawn from, not all taken


@dataclass(frozen=True, slots=True)
class Faults:
    """What became of faults that lasted `seconds` each."""

    seconds: float
    delays_s: list[float]  # of those that were told, from the first sample of the fault
    missed: int
    unclear: int  # an alarm stood already


def measure_streams(
    bundle: Bundle,
    normal: Sequence[Frames],
    anomalous: Sequence[Frames],
    device: torch.device,
    *,
    hours: float,
    fault_s: float,
    faults: int,
    seed: int = 0,
    advance: Callable[[float], None] = lambda _: None,
) -> dict[str, Any]:
    """False alarms an hour on normal streams; missed faults, and how late the others are told.

    Args:
        hours: of normal sound altogether.
        fault_s: seconds of anomalous recordings that are spliced into each normal stream, BEFORE_S after its begin.
        faults: how many there are.
        advance: called with the share that is done.

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
    streams = [_Spliced(normal_rows, generator) for _ in range(STREAMS)]
    for start, alarms in _listen(bundle, streams, length):
        for i, alarm in enumerate(alarms):
            began[i] += alarm.begun
        advance(share * min(1.0, (start + ROWS) / length))
    heard_s = length * hop_s * STREAMS
    count = sum(began)
    found: dict[str, Any] = {
        "hours": heard_s / 3600,
        "normal_recordings": len(normal_rows),
        "false_alarms": count,
        "false_alarms_per_hour": count / heard_s * 3600,
        "false_alarms_per_day": count / heard_s * 86400,
        "false_alarms_per_day_upper": upper_rate(count, heard_s),
        "budget_per_day": bundle.config.calibration.false_alarms_per_day,
    }
    if anomalous_rows:
        told = _faults(bundle, normal_rows, anomalous_rows, fault_s, faults, generator,
                       lambda done: advance(share + (1 - share) * done))  # fmt: skip
        clear = len(told.delays_s) + told.missed
        found["faults"] = {
            "seconds": told.seconds,
            "anomalous_recordings": len(anomalous_rows),
            "faults": clear,
            "told": len(told.delays_s),
            "told_share": len(told.delays_s) / clear if clear else None,
            "missed": told.missed,
            "alarm_stood_already": told.unclear,
            "median_delay_s": float(np.median(told.delays_s)) if told.delays_s else None,
            "p95_delay_s": float(np.quantile(told.delays_s, 0.95)) if told.delays_s else None,
        }
    return found


def _rows(
    bundle: Bundle, recordings: Sequence[Frames], device: torch.device, generator: np.random.Generator
) -> Iterator[Tensor]:
    """The rows (T, row_width) of recordings, in random order, until there are MOST_BYTES of them."""
    stream = RowStream(bundle, 1, device)
    taken = 0
    for i in generator.permutation(len(recordings)):
        stream.reset()
        parts = [stream.push(chunk)[0].cpu() for chunk in chunks(recordings[i])]
        rows = torch.cat((*parts, stream.flush()[0].cpu()))
        if len(rows):
            yield rows
        taken += rows.numel() * rows.element_size()
        if taken > MOST_BYTES:
            return


class _Spliced:
    """Recordings one after another, drawn at random, without end."""

    def __init__(self, recordings: Sequence[Tensor], generator: np.random.Generator) -> None:
        self._recordings, self._generator = recordings, generator
        self._rest = recordings[0][:0]

    def take(self, count: int) -> Tensor:
        """The next rows (count, row_width)."""
        parts = [self._rest]
        while sum(len(part) for part in parts) < count:
            parts.append(self._recordings[int(self._generator.integers(len(self._recordings)))])
        joined = torch.cat(parts)
        self._rest = joined[count:]
        return joined[:count]


class _Then:
    """One source of rows, and from a row on another."""

    def __init__(self, first: _Spliced, rows: int, then: _Spliced) -> None:
        self._first, self._left, self._then = first, rows, then

    def take(self, count: int) -> Tensor:
        """The next rows (count, row_width)."""
        before = min(count, self._left)
        self._left -= before
        return torch.cat((self._first.take(before), self._then.take(count - before)))


@dataclass(slots=True)
class _Judged:
    """An alarm and what it told lately."""

    alarm: Alarm
    begun: int = 0  # anomalies that the last rows began
    told_at: int | None = None  # the row of the last of them


def _listen(bundle: Bundle, streams: Sequence[_Spliced | _Then], length: int) -> Iterator[tuple[int, list[_Judged]]]:
    """Listens to streams in step: after each portion its first row's number, and what the alarms told of it."""
    config = bundle.config
    window = rolling_length(config.score, config.features)
    rolling = RollingMean(window, streams[0].take(1).shape[1], len(streams))
    scorer = bundle.scorer()
    limits = Limits.of(bundle, config.alarm)
    alarms = [_Judged(Alarm(config.alarm, limits, config.features.hop_s, window)) for _ in streams]
    for start in range(0, length, ROWS):
        rows = torch.stack([stream.take(min(ROWS, length - start)) for stream in streams])
        scores = scorer(rolling.push(rows)).numpy()
        for judged, of_stream in zip(alarms, scores, strict=True):
            told = [anomaly for anomaly in judged.alarm.update(of_stream) if anomaly.end is None]
            fresh = [anomaly.told for anomaly in told if not anomaly.reminders]
            judged.begun, judged.told_at = len(fresh), fresh[-1] if fresh else None
        yield start, alarms


def _faults(
    bundle: Bundle,
    normal: Sequence[Tensor],
    anomalous: Sequence[Tensor],
    fault_s: float,
    faults: int,
    generator: np.random.Generator,
    advance: Callable[[float], None],
) -> Faults:
    hop_s = bundle.config.features.hop_s
    onset, length = round(BEFORE_S / hop_s), round((BEFORE_S + fault_s) / hop_s)
    delays: list[float] = []
    missed = unclear = 0
    for first in range(0, faults, STREAMS):
        count = min(STREAMS, faults - first)
        streams = [_Then(_Spliced(normal, generator), onset, _Spliced(anomalous, generator)) for _ in range(count)]
        told: list[int | None] = [None] * count
        stood = [False] * count
        for start, alarms in _listen(bundle, streams, length):
            for i, judged in enumerate(alarms):
                if judged.told_at is not None and judged.told_at >= onset and told[i] is None:
                    told[i] = judged.told_at
                if start <= onset < start + ROWS:
                    stood[i] = told[i] is None and judged.alarm.state is State.ANOMALY
        for row, already in zip(told, stood, strict=True):
            if already:
                unclear += 1
            elif row is None:
                missed += 1
            else:
                delays.append((row + 1 - onset) * hop_s)
        advance(min(1.0, (first + count) / faults))
    return Faults(fault_s, delays, missed, unclear)
