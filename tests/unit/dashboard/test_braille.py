"""Pixels as characters."""

from __future__ import annotations

import numpy as np

from monitor.dashboard.render.braille import ASCII_DOTS, BRAILLE, trace


def test_each_pixel_is_its_own_dot() -> None:
    for y in range(4):
        for x in range(2):
            pixels = np.zeros((4, 2), bool)
            pixels[y, x] = True
            character = BRAILLE.text(BRAILLE.codes(pixels)[0])
            names = {
                (0, 0): "⠁",
                (1, 0): "⠂",
                (2, 0): "⠄",
                (3, 0): "⡀",
                (0, 1): "⠈",
                (1, 1): "⠐",
                (2, 1): "⠠",
                (3, 1): "⢀",
            }
            assert character == names[y, x]
    assert ASCII_DOTS.text(ASCII_DOTS.codes(np.array([[1, 0, 1, 0], [0, 1, 1, 0]], bool))[0]) == "'.| "


def test_a_trace_is_connected_and_filled_only_above_the_threshold() -> None:
    rows = np.array([1, 1, 6, 6, -1, 2])
    pixels = trace(rows, 8, None)[::-1]
    assert [np.flatnonzero(column).tolist() for column in pixels.T] == [
        [1],
        [1],
        [2, 3, 4, 5, 6],
        [6],
        [],
        [2],
    ]
    filled = trace(rows, 8, 4)[::-1]
    assert [np.flatnonzero(column).tolist() for column in filled.T] == [
        [1],
        [1],
        [2, 3, 4, 5, 6],
        [5, 6],
        [],
        [2],
    ]
