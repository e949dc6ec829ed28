"""Which files are parts of one recording: recorders begin a new file every few seconds or minutes without a gap."""

from __future__ import annotations

import hashlib
import json
import math
from collections import defaultdict
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import PurePosixPath

from monitor.audio.recording_time import without_time
from monitor.scan.survey import Surveyed, total_seconds

HOUR_S = 3600
ROUNDING_S = 1.0  # names state whole seconds
DRIFT = 5e-4  # by which a recorder's clock may differ from the true time


@dataclass(frozen=True, slots=True)
class Piece:
    """A part of the archive that is heard as one recording: a file, or files that follow each other without a gap."""

    files: tuple[Surveyed, ...]

    @property
    def name(self) -> str:
        """Its name: that of its first file."""
        return self.files[0].name

    @property
    def seconds(self) -> float:
        """Its length."""
        return total_seconds(self.files)

    def key(self, made_with: str) -> str:
        """A digest of everything that its results depend on; `made_with` is that of model and settings."""
        content = json.dumps([made_with, [one.identity for one in self.files]])
        return hashlib.sha256(content.encode()).hexdigest()[:32]


def pieces(files: Iterable[Surveyed], *, separate: bool = False) -> list[Piece]:
    """Divides readable recordings into pieces.

    Files belong together if they are in one folder, have the same rate, channels and kind, names that differ only in
    their time or number, and each begins where the one before ends, to a second. A new piece begins with each hour of
    the clock (UTC), so pieces are short enough to be shared among processes, and what is added to an archive later does
    not change the earlier ones.

    Args:
        files: the recordings; unreadable ones are left out.
        separate: whether each file is a piece of its own.

    Returns:
        by name; they do not depend on the order of `files`.
    """
    readable = [one for one in files if not one.failure]
    if separate:
        return [Piece((one,)) for one in sorted(readable, key=lambda one: one.name)]
    recorders: dict[tuple[object, ...], list[Surveyed]] = defaultdict(list)
    for one in readable:
        path = PurePosixPath(one.name)
        same = (path.parent, without_time(path.name), one.sample_rate, one.channels)
        recorders[same].append(one)
    found = [piece for parts in recorders.values() for piece in _joined(parts)]
    return sorted(found, key=lambda piece: piece.name)


def _joined(files: Sequence[Surveyed]) -> Iterator[Piece]:
    begun: list[Surveyed] = []
    for one in sorted(files, key=lambda one: (math.inf if math.isnan(one.began) else one.began, one.name)):
        if begun and not _continues(begun, one):
            yield Piece(tuple(begun))
            begun = []
        begun.append(one)
    yield Piece(tuple(begun))


def _continues(begun: Sequence[Surveyed], one: Surveyed) -> bool:
    """Whether a file begins where the files before it end, in the same hour in which they began."""
    first, length = begun[0], total_seconds(begun)
    expected = first.began + length
    near = abs(one.began - expected) <= ROUNDING_S + DRIFT * length
    return near and one.began // HOUR_S == first.began // HOUR_S and one.dated == first.dated
