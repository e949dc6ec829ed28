"""Which piece goes when there are more than the settings allow, so that all hours, days and modes stay represented."""

from __future__ import annotations

import math
import time
from collections import defaultdict
from collections.abc import Hashable, Sequence
from dataclasses import dataclass

from monitor.normal_sound.pieces import Piece

SATURDAY = 5


@dataclass(frozen=True, slots=True)
class Stratum:
    """A kind of moment of which there should be pieces."""

    hour: int  # of the day, in local time
    weekend: bool
    mode: int | None  # operating mode of the machine


def stratum_of(piece: Piece) -> Stratum:
    """The stratum that a piece belongs to."""
    local = time.localtime(piece.began)
    return Stratum(local.tm_hour, local.tm_wday >= SATURDAY, piece.mode)


def superfluous(times: Sequence[float], strata: Sequence[Hashable]) -> int:
    """The number of the piece that is missed least.

    It is one of the stratum with most pieces, so a stratum never becomes empty while another has more than one. Within
    it the one goes whose neighbours in time are nearest to each other, so the others stay spread over the dates; the
    newest stays. Of equal strata the one with the oldest piece is chosen, of equal pieces the newest.

    Args:
        times: Unix time of each piece, in any order; at least one.
        strata: its stratum.
    """
    members: defaultdict[Hashable, list[int]] = defaultdict(list)
    for number in sorted(range(len(times)), key=lambda i: times[i]):
        members[strata[number]].append(number)
    fullest = min(members.values(), key=lambda numbers: (-len(numbers), times[numbers[0]]))
    room = _room([times[i] for i in fullest])
    return min(zip(room, reversed(range(len(room))), fullest, strict=True))[2]


def _room(ordered: Sequence[float]) -> list[float]:
    """The time between the neighbours of each piece; of the first twice that to the next, of the last without end."""
    if len(ordered) == 1:
        return [math.inf]
    inner = [after - before for before, after in zip(ordered, ordered[2:], strict=False)]
    return [2 * (ordered[1] - ordered[0]), *inner, math.inf]
