"""Windows of W consecutive frames, with the article's padding.

The window of frame t has frames t - W/2 … t + W/2 - 1, flattened frame by frame. Frames before the first one are the
first W/2 frames in reversed order, those after the last one are the last W/2 frames in reversed order. So T frames give
T windows, or none if T < W/2: there are too few frames to mirror.
"""

from __future__ import annotations

from monitor.core.array_backend import namespace, sliding_rows
from monitor.core.types import Array


def padded_frames(frames: Array, window_frames: int) -> Array:
    """Pads whole recordings with mirrored frames: (N, T, M) -> (N, T + W - 1, M), or (N, 0, M) if T < W/2."""
    half = window_frames // 2
    if frames.shape[1] < half:
        return frames[:, :0]
    xp = namespace(frames)
    before = xp.flip(frames[:, :half], axis=1)
    after = xp.flip(frames[:, frames.shape[1] - half :], axis=1)[:, : half - 1]
    return xp.concat((before, frames, after), axis=1)


def windows_of(frames: Array, window_frames: int) -> Array:
    """All windows of whole recordings, as a read-only view: (N, T, M) -> (N, T, W · M), or (N, 0, W · M) if T < W/2."""
    return sliding_rows(padded_frames(frames, window_frames), window_frames)
