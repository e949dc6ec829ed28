"""Pixels become characters: a braille cell has 2×4 pixels, an ASCII cell 1×2."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

BoolArray = NDArray[np.bool_]


@dataclass(frozen=True, slots=True)
class Dots:
    """A set of characters that show pixels: how many pixels a cell has, and the character of each pattern."""

    across: int
    down: int
    weights: NDArray[np.uint8]  # (down, across) what each pixel adds to the code of its pattern, the top row first
    characters: str  # by code

    def codes(self, pixels: BoolArray) -> NDArray[np.uint8]:
        """(rows · down, columns · across) pixels, the top row first -> (rows, columns) codes."""
        rows, columns = pixels.shape[0] // self.down, pixels.shape[1] // self.across
        cells = pixels.reshape(rows, self.down, columns, self.across)
        codes: NDArray[np.uint8] = np.einsum("rdca,da->rc", cells, self.weights, dtype=np.uint8, casting="unsafe")
        return codes

    def text(self, codes: NDArray[np.uint8]) -> str:
        """One row of codes as a string."""
        return "".join([self.characters[code] for code in codes.tolist()])


BRAILLE = Dots(
    across=2,
    down=4,
    weights=np.array([[0x01, 0x08], [0x02, 0x10], [0x04, 0x20], [0x40, 0x80]], np.uint8),
    characters=" " + "".join(chr(0x2800 + code) for code in range(1, 256)),
)
ASCII_DOTS = Dots(across=1, down=2, weights=np.array([[1], [2]], np.uint8), characters=" '.|")


def trace(rows: NDArray[np.int64], height: int, line: int | None) -> BoolArray:
    """The pixels of a history: a connected line, and filled down to the threshold where it is above that.

    Args:
        rows: (columns,) pixel row of each column counted from the bottom, negative where there is no value.
        height: pixel rows of the chart.
        line: pixel row of the threshold.

    Returns:
        (height, columns) pixels, the top row first.
    """
    before = np.concatenate([rows[:1], rows[:-1]])
    joined = np.where(before < 0, rows, before)
    # up to the neighbour and not beside it, so that a steep flank is one pixel wide
    low = np.where(joined < rows, joined + 1, rows)
    high = np.where(joined > rows, joined - 1, rows)
    if line is not None:
        low = np.where(rows > line, np.minimum(low, line + 1), low)
    up = np.arange(height - 1, -1, -1)[:, None]
    pixels: BoolArray = (up >= low) & (up <= high) & (rows >= 0)
    return pixels
