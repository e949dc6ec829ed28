"""Reconstruction error, residual, rolling anomaly score, score of a recording: the only definition of each."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass, replace

import torch
from torch import Tensor

from monitor.config.schema import Features, Score

CHANGE_S = 0.032  # between the two frames whose difference is a frame's change
PARTS: dict[str, tuple[str, ...]] = {
    "fused": ("residual", "spectrum"),
    "mahalanobis": ("residual",),
    "spectrum": ("spectrum",),
    "error": (),
}


def band_errors(windows: Tensor, reconstructions: Tensor, n_mels: int) -> tuple[Tensor, Tensor]:
    """What the model could not reconstruct, by band.

    Args:
        windows, reconstructions: (…, W · n_mels).

    Returns:
        the residual, mean of x̂ - x over the window's W frames, and the squared error, mean of (x̂ - x)² over them:
        both (…, n_mels) float32. The mean of the latter over the bands is the reconstruction error.
    """
    return by_band(reconstructions - windows, n_mels)


def by_band(difference: Tensor, n_mels: int) -> tuple[Tensor, Tensor]:
    """As `band_errors`, of x̂ - x (…, W · n_mels), which is used up."""
    by_frame = difference.reshape(*difference.shape[:-1], -1, n_mels)
    return by_frame.mean(dim=-2), by_frame.square_().mean(dim=-2)


def frame_and_change(windows: Tensor, features: Features) -> tuple[Tensor, Tensor]:
    """A window's own frame, and how much it differs from the one CHANGE_S before, as the model sees them.

    The mean level of a machine says what it sounds like; the mean change says how rough it sounds, which a mean level
    cannot (a rattle and a hum can be equally loud).

    Args:
        windows: (…, W · n_mels) of frames t - W/2 … t + W/2 - 1.

    Returns:
        frame t, and |frame t - frame t - lag|: both (…, n_mels).
    """
    n_mels, own = features.n_mels, features.window_frames // 2
    lag = min(own, max(1, round(CHANGE_S / features.hop_s)))
    frame = windows[..., own * n_mels : (own + 1) * n_mels]
    return frame, (frame - windows[..., (own - lag) * n_mels : (own - lag + 1) * n_mels]).abs()


def row_width(score: Score, features: Features) -> int:
    """Numbers that are kept of a window: residual and band error, and frame and change where the score wants them."""
    return (4 if "spectrum" in PARTS[score.kind] else 2) * features.n_mels


def part_of(rows: Tensor, part: str, n_mels: int) -> Tensor:
    """The columns of rows (…, row_width) that a part of the score is made of: (…, n_mels), or (…, 2 · n_mels)."""
    return rows[..., :n_mels] if part == "residual" else rows[..., 2 * n_mels : 4 * n_mels]


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
            of_part = slice(done, done + stop - start)
            prefix = rows[:, of_part].to(torch.float64, copy=True)
            self._block[:, start:stop] = prefix
            prefix[:, :1] += self._prefix
            torch.cumsum(prefix, dim=1, out=prefix)
            torch.add(self._suffix[:, start:stop], prefix, out=means[:, of_part]).mul_(1 / self._length)
            self._prefix, self._filled = prefix[:, -1:], stop
            done += stop - start
            if stop == self._length:
                self._start_block()
        return means

    def _start_block(self) -> None:
        to_suffixes(self._block)
        self._suffix[:, :-1] = self._block[:, 1:]
        self._prefix = torch.zeros_like(self._prefix)
        self._filled = 0


def to_suffixes(blocks: Tensor) -> None:
    """Replaces row j of each block (n, length, width) by the sum of its rows from j on, in place.

    In groups of √length rows, all groups at once, then the sums of whole groups: a few dozen calls, where one by one
    would take `length`, and `cumsum` goes through memory column by column.
    """
    length = blocks.shape[1]
    size = max(1, math.isqrt(length))
    odd = length % size  # rows before the first whole group
    groups = blocks[:, odd:].view(len(blocks), -1, size, blocks.shape[2])
    for row in range(size - 2, -1, -1):
        groups[:, :, row].add_(groups[:, :, row + 1])
    for group in range(groups.shape[1] - 2, -1, -1):
        groups[:, group].add_(groups[:, group + 1, :1])
    for row in range(odd - 1, -1, -1):
        blocks[:, row].add_(blocks[:, row + 1])


@dataclass(frozen=True, slots=True)
class Normal:
    """What a mean statistic of p numbers is on normal sound, and how far from it normal sound usually is.

    `centre` (p,) and `precision` (p, p); `usual` (2, 2): mean and deviation of ln d² on normal sound that neither was
    fitted on, of score.window_s (first row) and of whole recordings (second). All float64.
    """

    centre: Tensor
    precision: Tensor
    usual: Tensor

    def distance(self, mean: Tensor) -> Tensor:
        """The squared Mahalanobis distance d² of mean statistics (…, p) from normal: (…)."""
        offset = mean.double() - self.centre
        return (offset @ self.precision).mul_(offset).sum(dim=-1)

    def shares(self, mean: Tensor) -> tuple[Tensor, Tensor]:
        """How much of d² each number carries (…, p), adding up to 1, and its offset from normal (…, p).

        The terms of the sum over i of offset_i · (precision · offset)_i; single ones can be negative.
        """
        offset = mean.double() - self.centre
        terms = (offset @ self.precision) * offset
        return terms / terms.sum(dim=-1, keepdim=True).clamp_min(1e-300), offset

    def of(self, streams: Tensor) -> Normal:
        """What is normal of some streams (n,), where each has a centre of its own: (N, 1, p)."""
        return replace(self, centre=self.centre[streams]) if self.centre.dim() > 1 else self

    def to(self, device: torch.device | str) -> Normal:
        """The same on another device."""
        return Normal(self.centre.to(device), self.precision.to(device), self.usual.to(device))


class Scorer:
    """Turns rolled or averaged rows (…, row_width) into anomaly scores, as `score.kind` says.

    `error`: the mean reconstruction error. The others: the squared Mahalanobis distance of each part from normal, over
    what it usually is (the geometric mean on normal sound), and of two such ratios the geometric mean, where a part
    whose distances vary less on normal sound weighs more. So 1 is usual, whatever the machine and the kind.
    """

    def __init__(
        self, score: Score, features: Features, normals: Mapping[str, Normal], usual_band_error: Tensor
    ) -> None:
        self.kind, self._n_mels, self._usual_error = score.kind, features.n_mels, usual_band_error.double()
        if missing := [part for part in PARTS[score.kind] if part not in normals]:
            raise ValueError(f"the {score.kind} score needs to know what is normal of: {', '.join(missing)}")
        self._normals = [(part, normals[part]) for part in PARTS[score.kind]]
        self._centres = {part: normal.centre for part, normal in self._normals}

    def __call__(self, rows: Tensor, *, whole: bool = False, streams: Tensor | None = None) -> Tensor:
        """Means of rows over score.window_s, or over whole recordings: (…, row_width) to scores (…) float64.

        `streams` (n,) says which of the N that were recentred the rows (n, k, row_width) are of; None: all of them.
        """
        if self.kind == "error":
            return rows[..., self._n_mels : 2 * self._n_mels].double().mean(dim=-1)
        normals = self._normals
        if streams is not None:
            normals = [(part, normal.of(streams)) for part, normal in normals]
        distances = [normal.distance(part_of(rows, part, self._n_mels)) for part, normal in normals]
        return fuse(torch.stack(distances, dim=-1).clamp_min(1e-300).log(), self._usual(whole))

    def shares(self, rows: Tensor, *, whole: bool = False) -> tuple[Tensor, Tensor]:
        """Which bands carry the score of rows (…, row_width).

        Returns:
            share of each band (…, n_mels), adding up to 1 (of the error: in absolute value, of what it is beyond the
            usual), and (…, n_mels) > 0 where the sound has more of a band than normal sound, < 0 where it has less.
        """
        bands = self._n_mels
        residual, band_error = rows[..., :bands].double(), rows[..., bands : 2 * bands].double()
        if self.kind == "error":
            beyond = band_error - self._usual_error
            return beyond / beyond.abs().sum(dim=-1, keepdim=True).clamp_min(1e-300), -residual
        total = torch.zeros_like(residual)
        more = torch.zeros_like(residual)
        for (part, normal), weight in zip(self._normals, weights(self._usual(whole)), strict=True):
            share, offset = normal.shares(part_of(rows, part, bands))
            total += weight * share.reshape(*share.shape[:-1], -1, bands).sum(dim=-2)
            # What is missing is reconstructed all the same: the residual x̂ - x is positive. The first half of the
            # spectrum's numbers are levels.
            more = -offset if part == "residual" else offset[..., :bands]
        return total, more

    def recentre(self, offsets: Mapping[str, Tensor], stream: int | None = None) -> None:
        """Moves what is normal of each part: to its centre (p,) plus an offset (p,), or (N, 1, p) for N streams.

        With `stream`, that of this one of the N alone, by offsets (p,).
        """
        device = self._usual_error.device
        if stream is not None:
            for part, normal in self._normals:
                normal.centre[stream, 0] = self._centres[part] + offsets[part].to(device)
            return
        self._normals = [
            (part, replace(normal, centre=self._centres[part] + offsets[part].to(device)))
            for part, normal in self._normals
        ]

    def to(self, device: torch.device | str) -> Scorer:
        """Moves what is normal to a device."""
        self._normals = [(part, normal.to(device)) for part, normal in self._normals]
        self._centres = {part: centre.to(device) for part, centre in self._centres.items()}
        self._usual_error = self._usual_error.to(device)
        return self

    def _usual(self, whole: bool) -> Tensor:
        return torch.stack([normal.usual[int(whole)] for _, normal in self._normals])


def weights(usual: Tensor) -> Tensor:
    """The weight of each part (parts,), adding up to 1, from mean and deviation of its ln d² (parts, 2)."""
    inverse = 1 / usual[:, 1].clamp_min(1e-3)
    return inverse / inverse.sum()


def fuse(log_distances: Tensor, usual: Tensor) -> Tensor:
    """ln d² of each part (…, parts) to scores (…)."""
    return ((log_distances - usual[:, 0]) @ weights(usual)).exp()


def rolling_length(score: Score, features: Features) -> int:
    """Frames that the anomaly score of a stream is a mean over, 1 at least."""
    return max(1, round(score.window_s / features.hop_s))


class RecordingScore:
    """The score of one whole recording, from the same frames a stream is scored by.

    `mean`: the score of the mean row of all frames. `max`: the highest score of any frame, the article's way.
    `cut_frames` at each end are left out of either. Memory does not grow with the recording.
    """

    def __init__(self, score: Score, scorer: Scorer, width: int) -> None:
        self._score, self._scorer = score, scorer
        self._skip = score.cut_frames
        # The last cut_frames: they count if more come.
        self._rows_waiting = torch.empty(0, width)
        self._scores_waiting = torch.empty(0, dtype=torch.float64)
        self._sum = torch.zeros(width, dtype=torch.float64)
        self._max = -torch.inf
        self.frames = 0

    def push(self, rows: Tensor, scores: Tensor) -> None:
        """Takes rows of one stream (k, row_width) and their rolling scores (k,), NaN before the first."""
        rows, scores = rows.cpu(), scores.double().cpu()
        if self._score.cut_frames:
            skipped = min(self._skip, len(rows))
            self._skip -= skipped
            rows = torch.cat((self._rows_waiting, rows[skipped:]))
            scores = torch.cat((self._scores_waiting, scores[skipped:]))
            ready = max(0, len(rows) - self._score.cut_frames)
            self._rows_waiting, self._scores_waiting = rows[ready:], scores[ready:]
            rows, scores = rows[:ready], scores[:ready]
        if len(rows):
            self.frames += len(rows)
            self._sum += rows.sum(dim=0, dtype=torch.float64)
            scored = scores[~scores.isnan()]
            self._max = max(self._max, float(scored.max()) if len(scored) else -torch.inf)

    def mean(self) -> Tensor:
        """The mean row so far (row_width,); NaN if no frame counts yet."""
        return self._sum / self.frames if self.frames else torch.full_like(self._sum, torch.nan)

    def value(self) -> float:
        """The score so far; NaN if no frame counts yet."""
        if self._score.recording == "max":
            return self._max if self._max > -torch.inf else float("nan")
        return float(self._scorer(self.mean(), whole=True)) if self.frames else float("nan")
