"""Small pieces of normal sound for tests."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np

from monitor.normal_sound.piece_writing import file_name, write_piece
from monitor.normal_sound.pieces import Piece

RATE = 8000


def unwritten(began: float, seconds: float = 10.0, **facts: Any) -> Piece:
    """A piece of which there is no file."""
    return replace(Piece(Path(file_name(began)), began, seconds, RATE, stream="pump"), **facts)


def piece_at(folder: Path, began: float, **facts: Any) -> Piece:
    """Writes a piece of a tenth of a second that began at a Unix time."""
    piece = unwritten(began, 0.1, **facts)
    return write_piece(replace(piece, path=folder / piece.path.name), np.zeros(RATE // 10, np.int16))
