"""Spectrograms as PNG: small files with a palette, the same in a dark and in a light page."""

from __future__ import annotations

import io
from functools import cache

import numpy as np
from numpy.typing import NDArray

from monitor.core.types import FloatArray
from monitor.outputs.rescoring import averaged

COLUMNS = 1400  # of a picture at most; more than a screen shows at that size
MORE, LESS = (209, 73, 91), (58, 122, 165)  # colours of new and of missing sound, as in the report


def heat(frames: FloatArray, low: float, high: float) -> bytes:
    """A spectrogram in a perceptually uniform colour map (magma), low frequencies at the bottom.

    Args:
        frames: (t, n_mels), t > 0.
        low, high: values of the darkest and of the brightest colour.

    Returns:
        a PNG with a pixel for each band, and for each frame or for several neighbouring ones.
    """
    scaled = (averaged(frames, COLUMNS) - low) / max(high - low, 1e-9)
    return _png(np.clip(np.rint(scaled * 255), 0, 255).astype(np.uint8), _magma())


def difference(frames: FloatArray, scale: float) -> bytes:
    """Differences: red for more, blue for less, transparent for none, so that it fits any background.

    Args:
        frames: (t, n_mels), t > 0.
        scale: difference with the full colour.

    Returns:
        a PNG as that of `heat`.
    """
    scaled = np.clip(averaged(frames, COLUMNS) / max(scale, 1e-9), -1, 1)
    levels = np.abs(np.arange(256) - 128) / 127
    palette = np.where(np.arange(256)[:, None] >= 128, MORE, LESS).astype(np.uint8)
    alpha = np.clip(np.rint(levels * 255), 0, 255).astype(np.uint8)
    return _png(np.rint(128 + scaled * 127).astype(np.uint8), palette.tobytes(), alpha.tobytes())


def _png(pixels: NDArray[np.uint8], palette: bytes, transparency: bytes | None = None) -> bytes:
    """A picture of indices (columns, rows) into a palette; the first row is at the bottom."""
    from PIL import Image

    picture = Image.fromarray(np.ascontiguousarray(pixels.T[::-1]), "L")
    picture.putpalette(palette)  # makes it one with a palette
    content = io.BytesIO()
    picture.save(content, "PNG", **({} if transparency is None else {"transparency": transparency}))
    return content.getvalue()


@cache
def _magma() -> bytes:
    from matplotlib import colormaps

    return bytes((colormaps["magma"](np.arange(256))[:, :3] * 255).round().astype(np.uint8).tobytes())
