"""Streams of one model, computed together: whole hops in, frames and scores out, for each at its own pace."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, NamedTuple

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from monitor.bundle.bundle import Bundle
from monitor.features.mel import FrameLevel
from monitor.streaming.stream_batch import Lanes
from monitor.core.thread_pool import Processors
from monitor.core.snapshot import FloatArray
from monitor.streaming.stream import Scores, ScoreStream

QUIETEST = 1e-12  # power that is shown


class Portion(NamedTuple):
    """What some sound of one stream came to: t frames and k windows, whose scores come later than their frames."""

    frames: FloatArray  # (t, n_mels) power
    decibels: FloatArray  # (t, n_mels) the same in dB
    mean_square: NDArray[np.float64]  # (t,) of the sound in each frame
    rows: FloatArray  # (k, row_width) of each window
    rolling: NDArray[np.floating]  # (k, row_width) their mean over score.window_s; NaN before there is so much
    error: FloatArray  # (k,) reconstruction error of each window
    rolling_error: NDArray[np.floating]  # (k,) its mean over score.window_s
    score: NDArray[np.float64]  # (k,) anomaly score


class Ensemble:
    """The streams that one model judges, by number.

    A stream that is alone is computed by ScoreStream, which is quicker for one: 0.6 ms where Lanes take 0.73 for a
    hop, and half as long for a portion of four seconds. The scores are the same. Several threads may push at the same
    time, different streams each.

    Args:
        precision: as of `monitor.streaming.stream.RowStream`.
        processors: share the windows of a stream that is alone.
    """

    def __init__(
        self,
        bundle: Bundle,
        count: int,
        device: torch.device | str = "cpu",
        precision: str = "float32",
        processors: Processors | None = None,
    ) -> None:
        self._level = FrameLevel(bundle.config.features)
        self._streams: ScoreStream | Lanes
        if count == 1:
            self._streams = ScoreStream(bundle, 1, device, precision, processors)
        else:
            self._streams = Lanes(bundle, count, device, precision)

    def push(self, samples: Tensor, which: Sequence[int]) -> list[Portion]:
        """The next m hops (n, m · hop_length) of n different streams; what each of them comes to."""
        if isinstance(self._streams, ScoreStream):
            return self._portions(*self._streams.push(samples))
        heard = self._streams.push(samples, torch.tensor(which))
        return self._portions(heard.frames, heard.scores, heard.new_frames.tolist(), heard.new_rows.tolist())

    def flush(self, number: int, rest: Tensor) -> Portion:
        """What the end of one stream comes to, behind its last samples, fewer than a hop."""
        if isinstance(self._streams, Lanes):
            [portion] = self._portions(*self._streams.flush(number, rest))
            return portion
        [last] = self._portions(*self._streams.push(rest[None]))
        [ending] = self._portions(*self._streams.flush())
        pairs: list[Any] = list(zip(last, ending, strict=True))
        return Portion(*map(np.concatenate, pairs))

    def reset(self, number: int) -> None:
        """What comes next of this stream has no past."""
        if isinstance(self._streams, Lanes):
            self._streams.reset(torch.tensor([number]))
        else:
            self._streams.reset()

    def recentre(self, number: int, offsets: Mapping[str, Tensor]) -> None:
        """Moves what is normal of each part of one stream's score by an offset (p,) from the model's."""
        if isinstance(self._streams, Lanes):
            self._streams.recentre(number, offsets)
        else:
            self._streams.recentre(offsets)

    def _portions(
        self,
        frames: Tensor,
        scores: Scores,
        new_frames: Sequence[int] | None = None,
        new_rows: Sequence[int] | None = None,
    ) -> list[Portion]:
        """Of frames (n, t, n_mels) and n streams' scores the last of each, as many as are new, or all; views.

        What can be computed of all streams at once is: one by one it would take longer than the model does.
        """
        decibels, mean_square = 10 * torch.log10(frames.clamp_min(QUIETEST)), self._level.mean_square(frames).double()
        of_frames = [one.numpy() for one in (frames, decibels, mean_square)]
        of_rows = [
            one.numpy() for one in (scores.rows, scores.rolling, scores.error, scores.rolling_error, scores.score)
        ]
        (count, all_frames), all_rows = frames.shape[:2], scores.rows.shape[1]
        first_frames = [all_frames - new for new in new_frames] if new_frames is not None else [0] * count
        first_rows = [all_rows - new for new in new_rows] if new_rows is not None else [0] * count
        return [
            Portion(*(values[i, frame:] for values in of_frames), *(values[i, row:] for values in of_rows))
            for i, (frame, row) in enumerate(zip(first_frames, first_rows, strict=True))
        ]


@dataclass(frozen=True, slots=True)
class Lane:
    """One stream's place in an ensemble."""

    ensemble: Ensemble
    number: int

    def push(self, samples: Tensor) -> Portion:
        """The next whole hops (n,) of this stream alone."""
        return self.ensemble.push(samples[None], (self.number,))[0]

    def flush(self, rest: Tensor) -> Portion:
        """As `Ensemble.flush`."""
        return self.ensemble.flush(self.number, rest)

    def reset(self) -> None:
        """As `Ensemble.reset`."""
        self.ensemble.reset(self.number)

    def recentre(self, offsets: Mapping[str, Tensor]) -> None:
        """As `Ensemble.recentre`."""
        self.ensemble.recentre(self.number, offsets)
