"""Scores of made-up streams, cut into pieces as an engine would."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import replace

import numpy as np

from monitor.core.events import ScoreRows, State

MINUTE = 1_764_252_000.0 / 60  # number of the minute in which they begin
START = 60 * MINUTE  # Unix time


def made_rows(
    seconds: float,
    state: State = State.NORMAL,
    *,
    share: float = 0.5,
    first: int = 0,
    wall_time: float | None = None,
    hop_s: float = 0.1,
    stream: str = "pump",
    source: str = "mic",
) -> ScoreRows:
    """Scores of so many seconds; the wall time is that of an undisturbed stream unless it is given.

    The score is 100 times the share of the limit, and the error a fifth of it.
    """
    count = round(seconds / hop_s)
    shares = np.full(count, share)
    return ScoreRows(
        source, first, hop_s, (shares / 5).astype(np.float32), 100 * shares, 100.0, state, shares,
        START + first * hop_s if wall_time is None else wall_time, stream,
    )  # fmt: skip


def following(*pieces: tuple[float, State, float]) -> list[ScoreRows]:
    """Scores that follow each other without a gap, from (seconds, state, share of the limit) of each piece."""
    made: list[ScoreRows] = []
    first = 0
    for seconds, state, share in pieces:
        made.append(made_rows(seconds, state, share=share, first=first))
        first += len(made[-1].score)
    return made


def cut(rows: ScoreRows, lengths: Sequence[int]) -> Iterator[ScoreRows]:
    """The same scores in pieces of these lengths, used in turn."""
    begin, turn = 0, 0
    while begin < len(rows.score):
        end = begin + lengths[turn % len(lengths)]
        yield replace(
            rows, first=rows.first + begin, error=rows.error[begin:end], score=rows.score[begin:end],
            share=rows.share[begin:end], wall_time=rows.wall_time + begin * rows.hop_s,
        )  # fmt: skip
        begin, turn = end, turn + 1
