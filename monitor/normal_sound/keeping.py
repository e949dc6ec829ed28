"""The pieces of one stream on the disk: those that wait, those that are kept, those in quarantine, and the bound."""

from __future__ import annotations

import contextlib
import math
import os
import time
from collections.abc import Callable
from dataclasses import dataclass, replace
from pathlib import Path

from monitor.clips.memory import Int16Array
from monitor.core.atomic_io import remove_leftovers
from monitor.core.errors import DataError
from monitor.normal_sound.piece_writing import write_piece
from monitor.normal_sound.pieces import NAME, PIECE_S, Piece, read_tags
from monitor.normal_sound.quarantine import (
    EVENT_MARGIN_S,
    MAX_ANOMALIES,
    QUARANTINE,
    Anomaly,
    Standing,
    read_anomalies,
    standings,
    write_anomalies,
)
from monitor.normal_sound.reservoir import Stratum, stratum_of, superfluous

WAITING = ".waiting"  # sub-folder of pieces of which it is not yet certain that they are normal
REVIEW_S = 600.0  # time between two questions for new verdicts

AskVerdicts = Callable[[list[Anomaly]], list[Anomaly]]


@dataclass(frozen=True, slots=True)
class _Kept:
    """A piece on the disk."""

    piece: Piece
    stratum: Stratum


class StreamPieces:
    """Keeps the pieces of one stream; nothing but one thread uses it.

    Each piece is written at once into a sub-folder of pieces that wait. Those of an earlier run are deleted there,
    because nobody heard what followed them. After `wait_s` of further sound a piece becomes one that is kept, unless it
    overlaps an anomaly. Files are written and moved whole, so a killed program leaves nothing damaged.

    Args:
        folder: of the stream; it need not exist.
        minutes: the largest amount, with the pieces in quarantine.
        hold_h: `normal.hold_h`.
        ask_verdicts: returns anomalies with their newest verdicts.
    """

    def __init__(
        self, folder: Path, *, minutes: float, hold_h: float, ask_verdicts: AskVerdicts = lambda anomalies: anomalies
    ) -> None:
        self.folder = folder
        self._most = max(1, int(minutes * 60 / PIECE_S))
        self._hold_s, self._ask = hold_h * 3600, ask_verdicts
        self._waiting: list[tuple[Piece, float]] = []  # and the sound's time at which it has waited long enough
        self._anomalies: dict[str, Anomaly] = {}
        self._unseen: set[str] = set()  # of these, which lasted when an earlier run was killed: nobody saw their end
        self._kept: dict[Path, _Kept] = {}
        self._next_review = 0.0  # on the monotonic clock
        self._opened = False

    def open(self) -> int:
        """Goes on with what an earlier run left; returns the number of pieces. Called again, it does nothing.

        Raises:
            OSError, MonitorError: if the folder cannot be read or written.
        """
        if not self._opened:
            for path in self._names(WAITING):
                path.unlink(missing_ok=True)
            remove_leftovers(self.folder, below=True)
            self._anomalies = {one.event_id: one for one in read_anomalies(self.folder)}
            self._unseen = {one.event_id for one in self._anomalies.values() if one.lasts}
            self._look_through()
            self._opened = True
            self.settle()
        return len(self._kept)

    def add(self, piece: Piece, samples: Int16Array, ready_s: float) -> None:
        """Writes a piece that waits until the sound's time is `ready_s`; its path is chosen here.

        Raises:
            OSError, MonitorError: if it cannot be written.
        """
        self._end_unseen(piece.began)
        waiting = replace(piece, path=self.folder / WAITING / piece.path.name)
        self._waiting.append((write_piece(waiting, samples), ready_s))

    def keep_ready(self, heard_s: float) -> int:
        """Keeps the pieces that have waited long enough at this time of the sound; returns their number.

        Raises:
            OSError, MonitorError: if that fails; called again, it goes on.
        """
        ready = [one for one in self._waiting if one[1] <= heard_s]
        for piece, ready_s in ready:
            path = self.folder / piece.path.name
            with contextlib.suppress(FileNotFoundError):  # somebody has deleted it
                piece.path.replace(path)
                self._keep(replace(piece, path=path))
            self._waiting.remove((piece, ready_s))
        if ready:
            self.settle()
        return len(ready)

    def note(self, anomaly: Anomaly) -> None:
        """Notes an anomaly that has begun, lasts or has ended: pieces near it are discarded or put into quarantine.

        Raises:
            OSError, MonitorError: if that fails; called again, it goes on.
        """
        known = self._anomalies.get(anomaly.event_id)
        self._anomalies[anomaly.event_id] = replace(anomaly, verdict=known.verdict if known else "")
        self._unseen.discard(anomaly.event_id)
        write_anomalies(self.folder, self._anomalies.values())
        since = anomaly.onset - EVENT_MARGIN_S
        for piece, ready_s in [one for one in self._waiting if one[0].began + one[0].seconds > since]:
            piece.path.unlink(missing_ok=True)
            self._waiting.remove((piece, ready_s))
        self.settle()

    def settle(self) -> None:
        """Asks for verdicts when that is due, moves pieces to where they belong, and deletes superfluous ones.

        Raises:
            OSError, MonitorError: if that fails; called again, it goes on.
        """
        self._look_through()
        self._review()
        kept = sorted(self._kept.values(), key=lambda one: one.piece.began)
        standing = standings([one.piece for one in kept], list(self._anomalies.values()), self._hold_s)
        refused = []
        for one, found in zip(kept, standing, strict=True):
            path = self._move(one, self.folder if found is Standing.USABLE else self.folder / QUARANTINE)
            if found is Standing.REFUSED:
                refused.append(path)
        for path in refused[: max(0, len(self._kept) - self._most)]:
            self._delete(path)
        while len(self._kept) > self._most:
            left = list(self._kept.values())
            number = superfluous([one.piece.began for one in left], [one.stratum for one in left])
            self._delete(left[number].piece.path)

    def close(self) -> None:
        """Deletes the pieces that wait: what follows them is not heard."""
        for piece, _ in self._waiting:
            with contextlib.suppress(OSError):
                piece.path.unlink(missing_ok=True)
        self._waiting.clear()

    def _end_unseen(self, normal_since: float) -> None:
        """Ends the anomalies that lasted when an earlier run was killed: they may have lasted until all was normal."""
        for one in [self._anomalies[event_id] for event_id in self._unseen if event_id in self._anomalies]:
            ended = max(one.ended, normal_since)
            self._anomalies[one.event_id] = replace(one, ended=ended, lasts=False, sudden=False)
        if self._unseen:
            write_anomalies(self.folder, self._anomalies.values())
            self._unseen.clear()

    def _review(self) -> None:
        """Asks for verdicts, and forgets anomalies near which there are no pieces any more."""
        if not self._anomalies or time.monotonic() < self._next_review:
            return
        self._next_review = time.monotonic() + REVIEW_S
        before = list(self._anomalies.values())
        pieces = [*(one.piece for one in self._kept.values()), *(piece for piece, _ in self._waiting)]
        oldest = min((piece.began for piece in pieces), default=-math.inf)
        reach = max(self._hold_s, EVENT_MARGIN_S)
        found = [one for one in self._ask(before) if one.lasts or one.ended + reach > oldest]
        if len(found) > MAX_ANOMALIES:
            self._forget_oldest(found)
        if found != before:
            write_anomalies(self.folder, found)
            self._anomalies = {one.event_id: one for one in found}

    def _forget_oldest(self, anomalies: list[Anomaly]) -> None:
        """Shortens the list to MAX_ANOMALIES, and deletes the pieces that the forgotten ones may hold back."""
        anomalies.sort(key=lambda one: one.onset)
        until = max(one.ended for one in anomalies[:-MAX_ANOMALIES]) + self._hold_s
        for path in [path for path, one in self._kept.items() if one.piece.began < until]:
            if path.parent.name == QUARANTINE:
                self._delete(path)
        del anomalies[:-MAX_ANOMALIES]

    def _look_through(self) -> None:
        """Learns of files that came or went without this program, and of all at the start."""
        there = {*self._names(""), *self._names(QUARANTINE)}
        for path in self._kept.keys() - there:
            del self._kept[path]
        for path in there - self._kept.keys():
            with contextlib.suppress(FileNotFoundError, DataError):  # `pieces_of` tells of damaged files
                self._keep(read_tags(path))

    def _names(self, below: str) -> list[Path]:
        try:
            with os.scandir(self.folder / below) as entries:
                return [Path(entry.path) for entry in entries if NAME.fullmatch(entry.name)]
        except FileNotFoundError:
            return []

    def _keep(self, piece: Piece) -> None:
        self._kept[piece.path] = _Kept(piece, stratum_of(piece))

    def _move(self, one: _Kept, folder: Path) -> Path:
        """Moves a piece to a folder if it is not there; returns its path."""
        path = folder / one.piece.path.name
        if path != one.piece.path:
            folder.mkdir(exist_ok=True)
            with contextlib.suppress(FileNotFoundError):
                one.piece.path.replace(path)
                self._keep(replace(one.piece, path=path))
            del self._kept[one.piece.path]
        return path

    def _delete(self, path: Path) -> None:
        path.unlink(missing_ok=True)
        self._kept.pop(path, None)
