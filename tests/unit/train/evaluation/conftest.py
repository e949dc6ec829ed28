"""The frames of the data set that the test model was trained on."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest

from monitor.bundle.bundle import Bundle
from train.data.discovery import find_recordings
from train.data.feature_cache import FeatureCache, Frames, cache_folder


@pytest.fixture
def frames(bundle: Bundle, data: Path) -> Callable[[str], list[Frames]]:
    """The frames of one list of recordings of the data set, such as "test_normal"."""
    cache = FeatureCache(bundle.config.features, cache_folder(bundle.config))
    return lambda name: [cache.frames(path) for path in getattr(find_recordings(data), name)]
