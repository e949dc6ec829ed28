"""Stretches of normal sound: chosen from all times, of pieces that sound alike, joined without clicks."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from monitor.core.errors import DataError
from monitor.normal_sound.pieces import Piece
from monitor.selftest.stretches import choose, joined, newest
from support.builders import RATE, noise, sine

DAY_S = 86_400.0


def piece(number: int, *, level: float = -40.0, began: float | None = None) -> Piece:
    at = 1e9 + 300.0 * number if began is None else began
    return Piece(Path(f"{number}.flac"), at, 10.0, RATE, spectrum_db=np.full(8, level, np.float32))


def test_only_the_newest_week_at_the_rate_of_the_model_is_used() -> None:
    old = piece(0, began=1e9 - 20 * DAY_S)
    other_rate = replace(piece(9), sample_rate=8000)
    found = newest([old, *map(piece, range(4)), other_rate], RATE)
    assert [one.path.name for one in found] == ["0.flac", "1.flac", "2.flac", "3.flac"]
    assert old not in found


def test_too_little_normal_sound_is_said_in_a_sentence() -> None:
    with pytest.raises(DataError, match=r"only 2 pieces .* needs 3"):
        newest([piece(0), piece(1)], RATE)
    with pytest.raises(DataError, match="only 0 pieces of its normal sound, and"):
        newest([], RATE)
    with pytest.raises(DataError, match=rf"only 0 pieces .* at the model's {RATE} Hz \(3 at another rate\)"):
        newest([replace(piece(number), sample_rate=2 * RATE) for number in range(3)], RATE)


def test_a_stretch_keeps_to_one_way_of_running_and_stretches_come_from_all_times() -> None:
    pieces = [piece(n, level=-40.0 if n % 2 else -60.0) for n in range(20)]
    chosen = choose(pieces, 5, 6)
    assert len(chosen) == 5
    for stretch in chosen:
        assert len(stretch) == 6
        assert len({float(one.spectrum_db[0]) for one in stretch if one.spectrum_db is not None}) == 1
    assert {chosen[0][0].path.name, chosen[-1][-1].path.name} == {"0.flac", "19.flac"}


def test_few_pieces_are_repeated() -> None:
    chosen = choose([piece(n) for n in range(3)], 5, 7)
    assert len(chosen) == 3
    assert all(len(one) == 7 for one in chosen)


def test_joined_sound_has_no_pause_and_no_click() -> None:
    sounds = [noise(2 * RATE, seed=seed) for seed in range(3)]
    long = joined(sounds, 9 * RATE, RATE)
    levels = np.sqrt(np.mean(long[: 9 * RATE].reshape(-1, RATE // 10) ** 2, axis=1))
    assert len(long) == 9 * RATE
    assert levels.min() > 0.08
    assert levels.max() < 0.12
    tone = joined([sine(1.0, hz=200.0), sine(1.3, hz=200.0)[777:]], 3 * RATE, RATE)
    assert np.abs(np.diff(tone)).max() < 1.6 * np.abs(np.diff(sine(1.0, hz=200.0))).max()
