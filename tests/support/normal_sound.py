"""Reservoirs of the simulated machine's normal sound."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import numpy as np

from monitor.normal_sound.piece_writing import file_name, write_piece
from monitor.normal_sound.pieces import PIECE_S, Piece
from support.builders import RATE
from train.demo.machine import Machine, MachineSound

EVERY_S = 300.0


def motor_pieces(
    folder: Path,
    count: int,
    *,
    began: float = 1_764_000_000.0,
    heard: Callable[[np.ndarray], np.ndarray] = lambda sound: sound,
    seed: int = 5000,
) -> Path:
    """Fills a folder with pieces of the motor, five minutes from one to the next; returns it.

    Args:
        folder: it need not exist.
        count: the number of pieces.
        began: Unix time of the first one.
        heard: what the microphone makes of the sound (n,).
        seed: of the first piece.
    """
    folder.mkdir(parents=True, exist_ok=True)
    for number in range(count):
        machine = Machine(sample_rate=RATE, seed=seed + number, passing_noises=False)
        sound = heard(np.asarray(MachineSound(machine).read(round(PIECE_S * RATE))))
        at = began + EVERY_S * number
        write_piece(
            Piece(folder / file_name(at), at, PIECE_S, RATE, stream="motor"), np.round(32767 * sound).astype(np.int16)
        )
    return folder
