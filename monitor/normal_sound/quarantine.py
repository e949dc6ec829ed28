"""Which pieces nothing may be learnt from, because an anomaly near them may have been a fault.

The rule, for the anomalies of a stream (`standings` is its implementation):

- What overlaps an anomaly, with EVENT_MARGIN_S before and after it, is never used.
- A fault that grows slowly is there before it is loud enough to be reported, and may fall silent for a time. So
  without a verdict, all pieces from `normal.hold_h` before the onset until `normal.hold_h` after the end are held back.
- Only a sudden anomaly that was heard to end within BRIEF_S holds back less: an hour. But if there are OFTEN or more
  of these within `normal.hold_h` before and after it, it holds back as much as any: a fault may come and go.
- The verdicts `new but normal`, `disturbance` and `maintenance` release everything outside of the anomaly itself;
  `real fault` and `sensor` keep out for good what is held back, however short the anomaly was.

A fault that grows for longer than `normal.hold_h` before it is reported may be learnt in its first days: nothing here
tells them from a machine that is run in. `train.improvement.known_sound` limits what comes of it.

Pieces that are held back lie in a hidden sub-folder, into which `monitor train` does not look. What counts is the list
of anomalies, which lies beside them: where the pieces lie follows from it.
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Sequence
from dataclasses import asdict, dataclass, replace
from enum import IntEnum
from pathlib import Path

import numpy as np
from pydantic import FiniteFloat, TypeAdapter, ValidationError

from monitor.core.atomic_io import write_atomically
from monitor.core.errors import DataError
from monitor.core.types import BoolArray, DoubleArray
from monitor.normal_sound.pieces import Piece, pieces_of
from monitor.store.database import Store
from monitor.store.records import StoredEvent
from monitor.store.verdicts import histories

QUARANTINE = ".quarantine"  # sub-folder of pieces that are held back
LIST = ".anomalies.json"
EVENT_MARGIN_S = 60.0
BRIEF_S, BRIEF_HOLD_S = 600.0, 3600.0
OFTEN = 6  # a budget of one false alarm a day seldom leads to so many in two days
MAX_ANOMALIES = 2000  # in the list; the oldest go first, with the pieces that they hold back
RELEASING = ("new but normal", "disturbance", "maintenance")
REFUSING = ("real fault", "sensor")


class Standing(IntEnum):
    """Whether a piece may be learnt from."""

    USABLE = 0
    HELD = 1  # not before there is a verdict
    REFUSED = 2  # never: it is a part of an anomaly, or near a fault


@dataclass(frozen=True, slots=True)
class Anomaly:
    """An anomaly of the stream, with the newest verdict on it that is known.

    Attributes:
        event_id: its id.
        onset: Unix time at which it began.
        ended: Unix time of its end, or until which it is known to have lasted.
        lasts: whether it has not ended.
        sudden: whether it was reported because the score was far above normal, not because it was slightly above it
            for long; False if its end was not heard, because the monitor was stopped.
        verdict: one of `monitor.store.verdicts.VERDICTS`; empty: none.
    """

    event_id: str
    onset: FiniteFloat
    ended: FiniteFloat
    sudden: bool
    lasts: bool = False
    verdict: str = ""


@dataclass(frozen=True, slots=True)
class Survey:
    """The pieces of a stream, by what may be learnt from them."""

    usable: list[Piece]  # ordered by time
    held: list[Piece]  # that a verdict can release
    refused: list[Piece]
    undecided: list[Anomaly]  # without a verdict, oldest first


def usable_pieces(folder: Path, store: Store | None = None, *, hold_h: float) -> list[Piece]:
    """The pieces of a stream that may be learnt from, ordered by time.

    Args:
        folder: of the stream's pieces.
        store: has the newest verdicts; None: those that were known when the pieces were looked through last.
        hold_h: `normal.hold_h`.

    Raises:
        DataError: if the folder or its list of anomalies cannot be read.
        StoreError: if the store does not answer.
    """
    return survey(folder, store, hold_h=hold_h).usable


def survey(folder: Path, store: Store | None = None, *, hold_h: float, events: Iterable[StoredEvent] = ()) -> Survey:
    """All pieces of a stream by what may be learnt from them; arguments and errors as of `usable_pieces`.

    Args:
        events: anomalies of the stream in the store. They count, too: the list beside the pieces may have been deleted
            with them, or nothing was gathered at their time.
    """
    listed = {one.event_id: one for one in read_anomalies(folder)}
    known = {event.id: _of_event(event) for event in events} | listed
    anomalies = with_verdicts(list(known.values()), store)
    pieces = sorted((*pieces_of(folder), *pieces_of(folder / QUARANTINE)), key=lambda piece: piece.began)
    found: dict[Standing, list[Piece]] = {standing: [] for standing in Standing}
    for piece, standing in zip(pieces, standings(pieces, anomalies, hold_h * 3600), strict=True):
        found[standing].append(piece)
    undecided = [one for one in anomalies if one.verdict not in (*RELEASING, *REFUSING)]
    undecided.sort(key=lambda one: one.onset)
    return Survey(found[Standing.USABLE], found[Standing.HELD], found[Standing.REFUSED], undecided)


def standings(pieces: Sequence[Piece], anomalies: Sequence[Anomaly], hold_s: float) -> list[Standing]:
    """Whether each of the pieces may be learnt from, by the rule of this module.

    Args:
        pieces: in any order.
        anomalies: of their stream.
        hold_s: `normal.hold_h` in seconds.
    """
    began = np.array([piece.began for piece in pieces])
    ended = began + np.array([piece.seconds for piece in pieces])
    refusing: list[tuple[float, float]] = []
    holding: list[tuple[float, float]] = []
    holding_onsets = np.sort([one.onset for one in anomalies if one.verdict not in RELEASING])
    for one in anomalies:
        end = np.inf if one.lasts else one.ended
        refusing.append((one.onset - EVENT_MARGIN_S, end + EVENT_MARGIN_S))
        if one.verdict in RELEASING:
            continue
        reach = hold_s
        if one.verdict not in REFUSING and one.sudden and end - one.onset <= BRIEF_S:
            first, stop = np.searchsorted(holding_onsets, (one.onset - hold_s, one.onset + hold_s))
            reach = min(hold_s, BRIEF_HOLD_S) if stop - first < OFTEN else hold_s
        (refusing if one.verdict in REFUSING else holding).append((one.onset - reach, end + reach))
    refused, held = _overlap(began, ended, refusing), _overlap(began, ended, holding)
    return [Standing(2 if bad else int(open_)) for bad, open_ in zip(refused.tolist(), held.tolist(), strict=True)]


def read_anomalies(folder: Path) -> list[Anomaly]:
    """The anomalies of a stream in the list beside its pieces; none if there is no list.

    Raises:
        DataError: if the list cannot be read.
    """
    path = folder / LIST
    try:
        return TypeAdapter(dict[str, list[Anomaly]]).validate_json(path.read_bytes())["anomalies"]
    except FileNotFoundError:
        return []
    except OSError as error:
        raise DataError(f"{path}: cannot be read: {error.strerror}.") from None
    except (ValidationError, KeyError):
        raise DataError(
            f"{path}: is damaged, so it is not known which pieces are near an anomaly: move {folder} away, and normal "
            "sound is gathered anew."
        ) from None


def write_anomalies(folder: Path, anomalies: Iterable[Anomaly]) -> None:
    """Writes the list of anomalies whole.

    Raises:
        MonitorError: if it cannot be written.
    """
    content = json.dumps({"anomalies": [asdict(one) for one in anomalies]}, indent=1)
    write_atomically(folder / LIST, content.encode())


def with_verdicts(anomalies: Sequence[Anomaly], store: Store | None) -> list[Anomaly]:
    """The anomalies with the newest verdicts of the store; one that the store no longer knows keeps its own.

    Raises:
        StoreError: if the store does not answer.
    """
    if store is None or not anomalies:
        return list(anomalies)
    said = histories(store, [one.event_id for one in anomalies])
    return [
        replace(one, verdict=said[one.event_id][-1].verdict) if said.get(one.event_id) else one for one in anomalies
    ]


def _of_event(event: StoredEvent) -> Anomaly:
    ended = event.onset if event.ended is None else event.ended
    sudden = event.cause == "sudden" and not event.cut_off
    return Anomaly(event.id, event.onset, ended, sudden, event.ended is None, event.verdict)


def _overlap(began: DoubleArray, ended: DoubleArray, spans: Sequence[tuple[float, float]]) -> BoolArray:
    """Whether each piece from `began` (n,) to `ended` (n,) overlaps any of the spans: (n,)."""
    if not spans:
        return np.zeros(len(began), np.bool_)
    since, until = np.array(sorted(spans)).T
    furthest = np.maximum.accumulate(until)  # of all spans that begin before the next one
    before = np.searchsorted(since, ended, side="left")  # the number of spans that begin before the piece ends
    found: BoolArray = (before > 0) & (furthest[np.maximum(before, 1) - 1] > began)
    return found
