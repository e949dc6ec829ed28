"""From sound to score, as streams: the one path that microphone, replay, calibration and evaluation share."""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor

from monitor.bundle import Bundle
from monitor.features import FrameStream, WindowStream
from monitor.model import Inference
from monitor.scoring import RollingMean, Scorer, band_errors, rolling_length

BATCH = 1024  # windows through the model at once


class ErrorStream:
    """Power mel frames of N streams in, what the model could not reconstruct of each window out."""

    def __init__(self, bundle: Bundle, streams: int = 1, device: torch.device | str = "cpu") -> None:
        features = bundle.config.features
        self.device = torch.device(device)
        self._n_mels = features.n_mels
        self._scale = bundle.scale().to(self.device)
        self._model = Inference(bundle.model.to(self.device).eval())
        self._windows = WindowStream(features.window_frames, features.n_mels, streams, self.device)

    def reset(self) -> None:
        """Forgets all frames: the next one has no past."""
        self._windows.reset()

    def push(self, frames: Tensor) -> Tensor:
        """Power mel frames (N, t, M) in; the residual and the band error of each complete window out: (N, k, 2 · M)."""
        return self._rows(self._windows.push(self._scale(frames.to(self.device))))

    def flush(self) -> Tensor:
        """The rows (N, k, 2 · M) that the end of the frames completes; afterwards new streams begin."""
        return self._rows(self._windows.flush())

    @torch.inference_mode()
    def _rows(self, windows: Tensor) -> Tensor:
        streams, count, _ = windows.shape
        rows = windows.new_empty(streams, count, 2 * self._n_mels)
        step = max(1, BATCH // streams)
        for start in range(0, count, step):
            batch = windows[:, start : start + step].flatten(0, 1)
            residual_and_error = torch.cat(band_errors(batch, self._model(batch), self._n_mels), dim=-1)
            rows[:, start : start + step] = residual_and_error.view(streams, -1, 2 * self._n_mels)
        return rows


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
    """N streams of one model, in step with each other: samples or mel frames in, anomaly scores out."""

    def __init__(self, bundle: Bundle, streams: int = 1, device: torch.device | str = "cpu") -> None:
        features, score = bundle.config.features, bundle.config.score
        self._frames = FrameStream(features, streams, device)
        self._errors = ErrorStream(bundle, streams, device)
        self._rolling = RollingMean(rolling_length(score, features), 2 * features.n_mels, streams, device)
        self._scorer = Scorer(score, bundle.normal_residual.to(device) if bundle.normal_residual else None)
        self._device = torch.device(device)

    def reset(self) -> None:
        """Forgets all sound: what comes next has no past."""
        self._frames.reset()
        self._errors.reset()
        self._rolling.reset()

    def push(self, samples: Tensor) -> tuple[Tensor, Scores]:
        """Samples (N, n) in; the power mel frames (N, t, M) and the scores that are complete out."""
        frames = self._frames.push(samples.to(self._device))
        return frames.cpu(), self.push_frames(frames)

    def flush(self) -> tuple[Tensor, Scores]:
        """The frames and scores that the end of the streams completes; afterwards new streams begin."""
        frames = self._frames.flush()
        rows = torch.cat((self._errors.push(frames), self._errors.flush()), dim=1)
        scores = self._score(rows)
        self.reset()
        return frames.cpu(), scores

    def push_frames(self, frames: Tensor) -> Scores:
        """Power mel frames (N, t, M) in, the scores that are complete out."""
        return self._score(self._errors.push(frames))

    def flush_frames(self) -> Scores:
        """The scores that the end of the frames completes; afterwards new streams begin."""
        scores = self._score(self._errors.flush())
        self.reset()
        return scores

    def _score(self, rows: Tensor) -> Scores:
        residual, band_error = rows.cpu().chunk(2, dim=-1)
        rolled = self._rolling.push(rows)
        rolled_residual, rolled_band_error = rolled.chunk(2, dim=-1)
        score = self._scorer(rolled_residual, rolled_band_error)
        return Scores(residual, band_error, rolled_band_error.cpu(), score.cpu())
