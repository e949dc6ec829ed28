"""ScoreStream: samples or mel frames in, anomaly scores out. The one path of sound to score.

Microphone, replay, calibration and evaluation all go through it.
"""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor

from monitor.bundle import Bundle
from monitor.features import FrameStream, WindowStream
from monitor.scoring import RollingMean, Scorer, band_errors, rolling_length

BATCH = 1024  # windows through the model at once


@dataclass(frozen=True, slots=True)
class Scores:
    """What one push gave, a row per window: N streams, k windows, M bands. All on the CPU."""

    residual: Tensor  # (N, k, M) of each window
    band_error: Tensor  # (N, k, M) of each window
    rolling_band_error: Tensor  # (N, k, M) mean over score.window_s; NaN before there is so much
    score: Tensor  # (N, k) anomaly score, float64; NaN before there is so much

    @property
    def error(self) -> Tensor:
        """The reconstruction error of each window (N, k)."""
        return self.band_error.mean(dim=-1)

    @property
    def rolling_error(self) -> Tensor:
        """The mean reconstruction error over score.window_s (N, k)."""
        return self.rolling_band_error.mean(dim=-1)


class ScoreStream:
    """N streams of one model, in step with each other."""

    def __init__(self, bundle: Bundle, streams: int = 1, device: torch.device | str = "cpu") -> None:
        features = bundle.config.features
        self.device = torch.device(device)
        self._n_mels = features.n_mels
        self._scale = bundle.scale().to(self.device)
        self._model = bundle.model.to(self.device).eval()
        self.frames = FrameStream(features, streams, self.device)
        self._windows = WindowStream(features.window_frames, features.n_mels, streams, self.device)
        normal = bundle.normal_residual
        self.scorer = Scorer(bundle.config.score, normal)
        self._on_device = Scorer(bundle.config.score, normal.to(self.device) if normal else None)
        length = rolling_length(bundle.config.score, features)
        self._rolling = RollingMean(length, 2 * features.n_mels, streams, self.device)

    def reset(self) -> None:
        """Forgets all sound: what comes next has no past."""
        self.frames.reset()
        self._windows.reset()
        self._rolling.reset()

    def push(self, samples: Tensor) -> tuple[Tensor, Scores]:
        """Samples (N, n) in; the power mel frames (N, t, M) and the scores that are complete out."""
        frames = self.frames.push(samples.to(self.device))
        return frames.cpu(), self.push_frames(frames)

    def push_frames(self, frames: Tensor) -> Scores:
        """Power mel frames (N, t, M) in, the scores that are complete out."""
        return self._scores(self._windows.push(self._scale(frames.to(self.device))))

    def flush(self) -> tuple[Tensor, Scores]:
        """The frames and scores that the end of the streams completes; afterwards new streams begin."""
        frames = self.frames.flush()
        before = self.push_frames(frames)
        after = self.flush_frames()
        return frames.cpu(), Scores(*(torch.cat(pair, dim=1) for pair in zip(_fields(before), _fields(after), strict=True)))

    def flush_frames(self) -> Scores:
        """The scores that the end of the frames completes; afterwards new streams begin."""
        scores = self._scores(self._windows.flush())
        self.reset()
        return scores

    @torch.inference_mode()
    def _scores(self, windows: Tensor) -> Scores:
        streams, count, _ = windows.shape
        rows = windows.new_empty(streams, count, 2 * self._n_mels)
        step = max(1, BATCH // streams)
        for start in range(0, count, step):
            batch = windows[:, start : start + step].flatten(0, 1)
            residual, band_error = band_errors(batch, self._model(batch), self._n_mels)
            rows[:, start : start + step] = torch.cat((residual, band_error), dim=-1).unflatten(0, (streams, -1))
        rolled = self._rolling.push(rows)
        rolled_residual, rolled_band_error = rolled.chunk(2, dim=-1)
        score = self._on_device(rolled_residual, rolled_band_error)
        residual, band_error = rows.cpu().chunk(2, dim=-1)
        return Scores(residual, band_error, rolled_band_error.cpu(), score.cpu())


def _fields(scores: Scores) -> tuple[Tensor, ...]:
    return scores.residual, scores.band_error, scores.rolling_band_error, scores.score
