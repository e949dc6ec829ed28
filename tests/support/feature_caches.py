"""Caches of mel frames: opens one again as another run of the program would, and lists the usable recordings."""

from __future__ import annotations

from pathlib import Path

from train.data.feature_cache import FeatureCache, Frames, usable_frames


def reopened(cache: FeatureCache, **settings: object) -> FeatureCache:
    """Returns the same cache as in another run of the program, with some settings of the features changed."""
    return FeatureCache(cache.features.model_copy(update=settings), cache.folder)


def usable(cache: FeatureCache, *paths: Path, training: bool = True) -> tuple[list[Frames], list[str]]:
    """Returns the frames of the usable recordings, and the reason why each other one is not usable."""
    reasons: list[str] = []
    kept = usable_frames(
        cache, paths, training=training, leave_out=lambda path, reason: reasons.append(f"{path}: {reason}")
    )
    return kept, reasons
