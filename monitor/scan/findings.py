"""What is kept of each piece for ranking and page, in a few hundred bytes, besides its row a second."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from itertools import pairwise
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from monitor.core.events import Event, State
from monitor.detection.verdict import verdict
from monitor.outputs.event_log import event_fields
from monitor.scan.joining import Piece
from monitor.scan.scoring import Scored
from monitor.scan.seconds import STATES

QUARTER_S = 900  # an hour of any time zone begins with a quarter of an hour of UTC

_STATE = {state: number for number, state in enumerate(STATES)}


@dataclass(frozen=True, slots=True)
class Quarter:
    """A quarter of an hour of the clock in a piece."""

    at: int  # Unix time of its beginning; of a piece without a time: position in the piece
    heard_s: int
    share: float  # highest share of the limit; NaN without one
    usual: float  # median share of the seconds; NaN without one
    anomaly_s: int
    off_s: int


@dataclass(frozen=True, slots=True)
class Finding:
    """What was found in a piece."""

    name: str  # of the piece, which is that of its first file
    files: tuple[str, ...]
    seconds: float
    began: float  # Unix time; NaN if it is not known
    dated: bool  # whether metadata or names state that time; otherwise it is that of the file
    score: float  # of the whole piece
    limit: float  # of that score
    share: float  # the highest of the piece
    worst_s: float  # position of the second with this share
    worst_file: str  # in which that is
    worst_at_s: float  # position in that file
    verdict: str
    reason: str
    anomalies: int
    anomaly_s: int
    off_s: float
    new_mode_s: float
    quarters: tuple[Quarter, ...]
    bands: tuple[int, ...]  # seconds of anomaly by what each band contributed; negative: missing sound; empty: none
    events: tuple[dict[str, Any], ...]  # as `monitor.outputs.event_log.event_fields`, with `piece` and `file`

    def fields(self) -> dict[str, Any]:
        """As JSON, in which there is no NaN."""
        fields: dict[str, Any] = _without_nan(asdict(self))
        return fields

    @classmethod
    def of_fields(cls, fields: Mapping[str, Any]) -> Finding:
        """From JSON."""
        numbers = {name: _nan(fields[name]) for name in ("began", "score", "limit", "share", "worst_s", "worst_at_s")}
        quarters = tuple(
            Quarter(**{**one, "share": _nan(one["share"]), "usual": _nan(one["usual"])}) for one in fields["quarters"]
        )
        lists = {name: tuple(fields[name]) for name in ("files", "bands", "events")}
        return cls(**{**fields, **numbers, **lists, "quarters": quarters})


def finding(piece: Piece, scored: Scored) -> Finding:
    """Sums up a piece that was scored."""
    result, seconds, first = scored.result, scored.seconds, piece.files[0]
    found = verdict(result, scored.limit)
    anomalous = seconds.state == _STATE[State.ANOMALY]
    known = np.isfinite(seconds.share)
    worst = int(np.argmax(np.where(known, seconds.share, -np.inf))) if known.any() else 0
    file, at_s = _place(piece, float(worst))
    return Finding(
        name=piece.name,
        files=tuple(one.name for one in piece.files),
        seconds=result.seconds,
        began=first.began,
        dated=first.dated,
        score=result.score,
        limit=scored.limit,
        share=result.highest_share,
        worst_s=float(worst),
        worst_file=file,
        worst_at_s=at_s,
        verdict=str(found.word),
        reason=found.reason,
        anomalies=result.anomalies,
        anomaly_s=int(anomalous.sum()),
        off_s=result.off_s,
        new_mode_s=result.new_mode_s,
        quarters=_quarters(first.began, scored),
        bands=_band_seconds(seconds.bands[anomalous]),
        events=tuple(_event(piece, one) for one in scored.events),
    )


def _band_seconds(bands: NDArray[np.int8]) -> tuple[int, ...]:
    """The sum of contributions (n, n_mels) in percent, in whole seconds; empty without any."""
    return tuple(np.rint(bands.sum(axis=0, dtype=np.float64) / 100).astype(int).tolist()) if len(bands) else ()


def _quarters(began: float, scored: Scored) -> tuple[Quarter, ...]:
    seconds = scored.seconds
    count = min(len(seconds.share), max(1, math.ceil(scored.result.seconds)))
    if not len(seconds.share):
        return ()
    at = (math.floor(0.0 if math.isnan(began) else began) + np.arange(count)) // QUARTER_S
    starts = [0, *(np.flatnonzero(np.diff(at)) + 1).tolist(), count]
    made = []
    for start, stop in pairwise(starts):
        share = seconds.share[start:stop]
        share, state = share[np.isfinite(share)], seconds.state[start:stop]
        made.append(
            Quarter(
                int(at[start]) * QUARTER_S,
                stop - start,
                float(share.max()) if len(share) else math.nan,
                float(np.median(share)) if len(share) else math.nan,
                int((state == _STATE[State.ANOMALY]).sum()),
                int((state == _STATE[State.OFF]).sum()),
            )
        )
    return tuple(made)


def _event(piece: Piece, event: Event) -> dict[str, Any]:
    fields: dict[str, Any] = event_fields(event)
    file, at_s = _place(piece, event.start_s)
    if math.isnan(piece.files[0].began):
        fields |= {"time": None, "wall_time": None}
    fields |= {"source": Path(file).name, "piece": piece.name, "file": file, "file_s": at_s}
    return {name: _without_nan(value) for name, value in fields.items()}


def _place(piece: Piece, position_s: float) -> tuple[str, float]:
    """The file of a position in a piece, and the position in that file."""
    for file in piece.files[:-1]:
        if position_s < file.seconds:
            return file.name, round(position_s, 3)
        position_s -= file.seconds
    return piece.files[-1].name, round(position_s, 3)


def _nan(value: float | None) -> float:
    return math.nan if value is None else float(value)


def _without_nan(value: Any) -> Any:
    """JSON has no NaN and no infinity: they are null."""
    if isinstance(value, dict):
        return {name: _without_nan(one) for name, one in value.items()}
    if isinstance(value, list | tuple):
        return [_without_nan(one) for one in value]
    return None if isinstance(value, float) and not math.isfinite(value) else value
