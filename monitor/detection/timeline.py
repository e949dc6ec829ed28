"""The history of the last minute of a stream in slots of a tenth of a second, for the dashboard."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from monitor.core.types import DoubleArray, FloatArray
from monitor.detection.slots import SLOTS
from monitor.detection.timelines import QUIETEST, SLOT_S, Timelines

__all__ = ["QUIETEST", "SLOTS", "SLOT_S", "Timeline"]


class Timeline:
    """The last minute of one stream: a view of one of `monitor.detection.timelines.Timelines`.

    Args:
        n_mels: number of bands.
        hop_s: seconds from one frame to the next.
        place: timelines, and the number of a stream in them, which begins anew; None: this one is on its own.
    """

    def __init__(self, n_mels: int, hop_s: float, place: tuple[Timelines, int] | None = None) -> None:
        self._lines, self._number = place or (Timelines(1, n_mels, hop_s), 0)
        self._lines.reset(self._number)

    @property
    def slot_s(self) -> float:
        """Seconds in a slot."""
        return self._lines.slot_s

    def move(self, lines: Timelines, number: int) -> None:
        """Goes on as stream `number` of other timelines."""
        lines.take_over(number, self._lines, self._number)
        self._lines, self._number = lines, number

    def add_scores(
        self, first: int, error: NDArray[np.floating], score: DoubleArray, levels: DoubleArray | None = None
    ) -> None:
        """Adds values of windows; `first` is the hop number of the first window.

        Args:
            first: the hop number.
            error: (k,) rolling errors.
            score: (k,) scores.
            levels: (k, 2) share of the limit and cumulative sum, as `Alarm.trace`; None: not known.
        """
        if not len(score):
            return
        levels = np.full((len(score), 2), np.nan) if levels is None else levels
        of_hops = (error, score, levels[:, 0], levels[:, 1])
        self._lines.add_highest(
            np.array([self._number]), np.array([first]), len(score), lambda hops: [hops.highest(one) for one in of_hops]
        )

    def add_frames(self, first: int, power: FloatArray) -> None:
        """Adds power mel frames (t, n_mels); `first` is the hop number of the first frame."""
        self._lines.add_frames(np.array([self._number]), np.array([first]), power[None])

    def advance(self, hop: int) -> None:
        """Continues without sound, up to and including hop number `hop`."""
        self._lines.advance(self._number, hop)

    def levels(self) -> tuple[FloatArray, FloatArray]:
        """The share of the limit (slots,) and the cumulative sum (slots,), from the same slot on as `view`."""
        return self._lines.levels(self._number)

    def view(self) -> tuple[int, FloatArray, FloatArray, FloatArray]:
        """The number of the oldest slot, and from it on error (slots,), score (slots,) and spectrogram (slots, n_mels).

        The spectrogram is in dB.
        """
        return self._lines.view(self._number)
