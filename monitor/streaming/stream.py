"""From sound to score, as streams: the one path that microphone, replay, calibration and evaluation share."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from functools import partial

import torch
from torch import Tensor

from monitor.bundle.bundle import Bundle
from monitor.features.mel import FrameStream, WindowStream
from monitor.model.autoencoder import Inference
from monitor.model.device import PRECISIONS
from monitor.core.thread_pool import Processors
from monitor.scoring.scorer import RollingMean, by_band, frame_and_change, rolling_length, row_width

BATCH = 1024  # windows through the model at once
SHARED = 128  # windows that are worth being shared by several processors


class RowStream:
    """Power mel frames of N streams in, a row for each window out: what is left over of it, and what it was.

    A row is [residual | band error], or [residual | band error | frame | change] (`monitor.scoring.scorer`).

    Args:
        precision: "float32", or "bfloat16" for the network alone: weights and what passes between its layers.
        processors: share the windows of what is pushed at once.
    """

    def __init__(
        self,
        bundle: Bundle,
        streams: int = 1,
        device: torch.device | str = "cpu",
        precision: str = "float32",
        processors: Processors | None = None,
    ) -> None:
        self._features = features = bundle.config.features
        self.device = torch.device(device)
        self.width = row_width(bundle.config.score, features)
        self._scale = bundle.scale().to(self.device)
        self._type = PRECISIONS[precision]
        self._model = Inference(bundle.model.to(self.device).eval(), self._type)
        self._processors = processors
        self._windows = WindowStream(features.window_frames, features.n_mels, streams, self.device)

    def reset(self) -> None:
        """Forgets all frames: the next one has no past."""
        self._windows.reset()

    def push(self, frames: Tensor) -> Tensor:
        """Power mel frames (N, t, M) in, the row of each complete window out: (N, k, row_width)."""
        return self._rows(self._windows.push(self._scale(frames.to(self.device))))

    def flush(self) -> Tensor:
        """The rows (N, k, row_width) that the end of the frames completes; afterwards new streams begin."""
        return self._rows(self._windows.flush())

    @torch.inference_mode()
    def _rows(self, windows: Tensor) -> Tensor:
        streams, count, _ = windows.shape
        rows = windows.new_empty(streams, count, self.width)
        processors = self._processors if count >= SHARED else None
        step = max(1, BATCH // streams)
        if processors:
            step = min(step, -(-count // processors.count))
        parts = [slice(start, start + step) for start in range(0, count, step)]
        write = partial(self._write, windows, rows)
        if processors:
            processors.each(write, parts)
        else:
            for part in parts:
                write(part)
        return rows

    @torch.inference_mode()
    def _write(self, windows: Tensor, rows: Tensor, part: slice) -> None:
        """Writes the rows (N, k, row_width) of some of the windows (N, k, W · M)."""
        bands, batch, found = self._features.n_mels, windows[:, part], rows[:, part]
        flat = batch.flatten(0, 1)
        residual, band_error = by_band(self._model(flat.to(self._type)).float().sub_(flat), bands)
        found[..., :bands] = residual.view(*batch.shape[:2], bands)
        found[..., bands : 2 * bands] = band_error.view(*batch.shape[:2], bands)
        if self.width > 2 * bands:
            found[..., 2 * bands : 3 * bands], found[..., 3 * bands :] = frame_and_change(batch, self._features)


@dataclass(frozen=True, slots=True)
class Scores:
    """What one push gave, a row per window: N streams, k windows, M bands. All on the CPU."""

    rows: Tensor  # (N, k, row_width) of each window
    rolling: Tensor  # (N, k, row_width) mean over score.window_s; NaN before there is so much
    score: Tensor  # (N, k) anomaly score, float64; NaN before there is so much
    n_mels: int

    @property
    def error(self) -> Tensor:
        """The reconstruction error of each window (N, k)."""
        return self._band_error(self.rows).mean(dim=-1)

    @property
    def rolling_error(self) -> Tensor:
        """The mean reconstruction error over score.window_s (N, k)."""
        return self._band_error(self.rolling).mean(dim=-1)

    def _band_error(self, rows: Tensor) -> Tensor:
        return rows[..., self.n_mels : 2 * self.n_mels]


class ScoreStream:
    """N streams of one model, in step with each other: samples or mel frames in, anomaly scores out.

    Args:
        precision, processors: as of `RowStream`.
    """

    def __init__(
        self,
        bundle: Bundle,
        streams: int = 1,
        device: torch.device | str = "cpu",
        precision: str = "float32",
        processors: Processors | None = None,
    ) -> None:
        features, score = bundle.config.features, bundle.config.score
        self._frames = FrameStream(features, streams, device, processors)
        self._rows = RowStream(bundle, streams, device, precision, processors)
        self._rolling = RollingMean(rolling_length(score, features), self._rows.width, streams, device)
        self._scorer = bundle.scorer().to(device)
        self._n_mels = features.n_mels
        self._device = torch.device(device)

    def reset(self) -> None:
        """Forgets all sound: what comes next has no past."""
        self._frames.reset()
        self._rows.reset()
        self._rolling.reset()

    def recentre(self, offsets: Mapping[str, Tensor]) -> None:
        """Moves what is normal of each part of the score by an offset (p,), or (N, 1, p)."""
        self._scorer.recentre(offsets)

    def push(self, samples: Tensor) -> tuple[Tensor, Scores]:
        """Samples (N, n) in; the power mel frames (N, t, M) and the scores that are complete out."""
        frames = self._frames.push(samples.to(self._device))
        return frames.cpu(), self.push_frames(frames)

    def flush(self) -> tuple[Tensor, Scores]:
        """The frames and scores that the end of the streams completes; afterwards new streams begin."""
        frames = self._frames.flush()
        rows = torch.cat((self._rows.push(frames), self._rows.flush()), dim=1)
        scores = self._score(rows)
        self.reset()
        return frames.cpu(), scores

    def push_frames(self, frames: Tensor) -> Scores:
        """Power mel frames (N, t, M) in, the scores that are complete out."""
        return self._score(self._rows.push(frames))

    def flush_frames(self) -> Scores:
        """The scores that the end of the frames completes; afterwards new streams begin."""
        scores = self._score(self._rows.flush())
        self.reset()
        return scores

    def _score(self, rows: Tensor) -> Scores:
        rolling = self._rolling.push(rows)
        score = self._scorer(rolling)
        return Scores(rows.cpu(), rolling.cpu(), score.cpu(), self._n_mels)
