"""Reconstruction error, residual, rolling anomaly score, score of a recording: the only definition of each."""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor

from monitor.config import Features, Score


def band_errors(windows: Tensor, reconstructions: Tensor, n_mels: int) -> tuple[Tensor, Tensor]:
    """What the model could not reconstruct, by band.

    Args:
        windows, reconstructions: (…, W · n_mels).

    Returns:
        the residual, mean of x̂ - x over the window's W frames, and the squared error, mean of (x̂ - x)² over them:
        both (…, n_mels) float32. The mean of the latter over the bands is the reconstruction error.
    """
    difference = (reconstructions - windows).reshape(*windows.shape[:-1], -1, n_mels)
    return difference.mean(dim=-2), difference.square().mean(dim=-2)


class RollingMean:
    """The mean of the last `length` rows of N streams; NaN until there are so many.

    It never subtracts: the rows are cut into blocks of `length`, and the last `length` rows are always the end of
    one block and the beginning of the next (van Herk, 1992). So a loud moment leaves no rounding error behind, and
    the result depends on the rows alone, not on how they were pushed.
    """

    def __init__(self, length: int, width: int, streams: int = 1, device: torch.device | str = "cpu") -> None:
        self._length = length
        self._block = torch.zeros(streams, length, width, dtype=torch.float64, device=device)
        self.reset()

    def reset(self) -> None:
        """Forgets all rows."""
        self._filled = 0  # rows in the current block
        self._prefix = torch.zeros_like(self._block[:, :1])  # their sum
        self._suffix = torch.full_like(self._block, torch.nan)  # row j: sum of the previous block from j + 1
        self._suffix[:, -1] = 0.0

    def push(self, rows: Tensor) -> Tensor:
        """Rows (N, k, width) in, for each the mean of the last `length` up to it: (N, k, width) float64."""
        means = torch.empty_like(rows, dtype=torch.float64)
        done = 0
        while done < rows.shape[1]:
            start, stop = self._filled, min(self._length, self._filled + rows.shape[1] - done)
            part = rows[:, done : done + stop - start].double()
            prefix = torch.cumsum(torch.cat((self._prefix, part), dim=1), dim=1)[:, 1:]
            self._block[:, start:stop] = part
            means[:, done : done + stop - start] = (self._suffix[:, start:stop] + prefix) / self._length
            self._prefix, self._filled = prefix[:, -1:], stop
            done += stop - start
            if stop == self._length:
                self._start_block()
        return means

    def _start_block(self) -> None:
        self._suffix[:, :-1] = self._block.flip(1).cumsum(dim=1).flip(1)[:, 1:]
        self._prefix = torch.zeros_like(self._prefix)
        self._filled = 0


@dataclass(frozen=True, slots=True)
class NormalResidual:
    """What the mean residual is on normal sound: its centre (n_mels,) and precision (n_mels, n_mels), float64."""

    centre: Tensor
    precision: Tensor

    def distance(self, mean_residual: Tensor) -> Tensor:
        """The squared Mahalanobis distance d² of (…, n_mels) from normal: (…)."""
        offset = mean_residual.double() - self.centre
        return ((offset @ self.precision) * offset).sum(dim=-1)

    def to(self, device: torch.device | str) -> NormalResidual:
        """The same on another device."""
        return NormalResidual(self.centre.to(device), self.precision.to(device))


class Scorer:
    """Turns rolled or averaged residuals and band errors into anomaly scores, as `score.kind` says."""

    def __init__(self, score: Score, normal: NormalResidual | None) -> None:
        self.kind, self.normal = score.kind, normal

    def __call__(self, residual: Tensor, band_error: Tensor) -> Tensor:
        """Means over any time of the residual and the squared error, both (…, n_mels), to scores (…) float64."""
        if self.kind == "error":
            return band_error.double().mean(dim=-1)
        if self.normal is None:
            raise ValueError("the mahalanobis score needs the residual's centre and precision")
        return self.normal.distance(residual)


def rolling_length(score: Score, features: Features) -> int:
    """Frames that the anomaly score of a stream is a mean over, 1 at least."""
    return max(1, round(score.window_s / features.hop_s))


class RecordingScore:
    """The score of one whole recording, from the same frames a stream is scored by.

    `mean`: the score of the mean residual (or error) of all frames. `max`: the highest score of any frame, the
    article's way. `cut_frames` at each end are left out of either. Memory does not grow with the recording.
    """

    def __init__(self, score: Score, scorer: Scorer, n_mels: int) -> None:
        self._score, self._scorer = score, scorer
        self._skip = score.cut_frames
        self._pending: list[Tensor] = []  # the last cut_frames rows: known to count only when more come
        self._sum = torch.zeros(2 * n_mels + 1, dtype=torch.float64)
        self._max = -torch.inf
        self.frames = 0

    def push(self, residual: Tensor, band_error: Tensor, rolling: Tensor) -> None:
        """Takes rows of one stream: residual and band error (k, n_mels), rolling score (k,), NaN before the first."""
        rows = torch.cat((residual.double(), band_error.double(), rolling.double()[:, None]), dim=1).cpu()
        skipped = min(self._skip, len(rows))
        self._skip -= skipped
        waiting = torch.cat((*self._pending, rows[skipped:]))
        cut = self._score.cut_frames
        ready = waiting[: max(0, len(waiting) - cut)]
        self._pending = [waiting[len(ready) :]]
        if len(ready):
            self.frames += len(ready)
            self._sum[:-1] += ready[:, :-1].sum(dim=0)
            scored = ready[:, -1][~ready[:, -1].isnan()]
            self._max = max(self._max, float(scored.max()) if len(scored) else -torch.inf)

    def value(self) -> float:
        """The score so far; NaN if no frame counts yet."""
        if self._score.recording == "max":
            return self._max if self._max > -torch.inf else float("nan")
        if not self.frames:
            return float("nan")
        residual, band_error = (self._sum[:-1] / self.frames).chunk(2)
        return float(self._scorer(residual, band_error))
