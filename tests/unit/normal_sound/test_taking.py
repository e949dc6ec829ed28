"""The moments of pieces are random, on the clock of the sound: a fast replay gives as many as the same hours live."""

from __future__ import annotations

import numpy as np
import pytest

from monitor.core.events import ScoreRows, State
from monitor.normal_sound.taking import PieceTaker, TakenPiece
from support.builders import RATE, small_bundle

BUNDLE = small_bundle()
HOP_S = BUNDLE.config.features.hop_s
T = 1_795_000_000.0


def pieces_of_hours(hours: float, *, every_s: float = 300.0, chunk_s: float = 4.0, seed: int = 1) -> list[TakenPiece]:
    """The pieces of normal sound that comes in chunks, without its frames."""
    taker, found = PieceTaker(BUNDLE, every_s, seed=seed), []
    silence, rows = np.zeros(round(chunk_s * RATE), np.float32), round(chunk_s / HOP_S)
    scores = np.ones(rows)
    for number in range(round(hours * 3600 / chunk_s)):
        taker.samples(silence)
        at = ScoreRows("pump", number * rows, HOP_S, scores, scores, 2.0, State.NORMAL, scores, T + number * chunk_s)
        if (piece := taker.scores(at)) is not None:
            found.append(piece)
    return found


def test_in_the_first_hour_there_are_more_pieces_so_that_there_are_some_soon() -> None:
    hours = [(piece.began - T) / 3600 for piece in pieces_of_hours(4.0)]
    first = sum(hour < 1 for hour in hours)
    assert 30 <= first <= 75  # sixty on average
    assert 18 <= len(hours) - first <= 60  # twelve an hour on average
    assert hours[0] < 0.2


def test_the_moments_are_random_and_differ_from_run_to_run() -> None:
    times = np.array([piece.began for piece in pieces_of_hours(2.0, every_s=60)])
    assert np.diff(times).min() >= 10
    assert np.diff(times).std() > 10
    others = {piece.began for piece in pieces_of_hours(2.0, every_s=60, seed=2)}
    assert len(others & set(times)) < len(times) / 2


@pytest.mark.parametrize("chunk_s", [0.5, 20.0])
def test_pieces_do_not_overlap_however_the_sound_is_divided(chunk_s: float) -> None:
    pieces = pieces_of_hours(0.3, every_s=10, chunk_s=chunk_s)
    assert len(pieces) > 20
    assert np.diff([piece.first for piece in pieces]).min() >= round(10 / HOP_S)
    assert all(piece.began == pytest.approx(T + piece.first * HOP_S) for piece in pieces)
