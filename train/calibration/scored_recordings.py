"""Recordings with their scores."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from typing import TYPE_CHECKING

from monitor.bundle.bundle import Bundle
from monitor.scoring.recording_score import RecordingScore
from train.calibration.observations import offline_batch, portions_of
from train.data.feature_cache import Frames

if TYPE_CHECKING:
    import torch


@dataclass(frozen=True, slots=True)
class ScoredRecording:
    """A recording and its score."""

    frames: Frames
    score: float  # of the whole recording; NaN if it is too short for score.cut_frames
    seconds: float  # length
    length_factor: float = 1.0  # by how much the limit is higher for this length; NaN if it is too short to judge

    @property
    def comparable(self) -> float:
        """The score as a recording of usual length would have it; NaN if it cannot be compared."""
        return self.score / self.length_factor


def score_recordings(bundle: Bundle, recordings: Iterable[Frames], device: torch.device | str) -> list[ScoredRecording]:
    """Scores recordings, each as a separate stream."""
    features, scorer = bundle.config.features, bundle.scorer()
    scored: list[ScoredRecording] = []
    with offline_batch(bundle, device) as batch:
        for frames in recordings:
            whole = RecordingScore(bundle.config.score, scorer)
            for portion in portions_of(batch, frames):
                whole.push(portion.rows, portion.means, portion.score)
            seconds = len(frames.power) * features.hop_s
            scored.append(ScoredRecording(frames, whole.value(), seconds, bundle.length_factor(seconds)))
    return scored
