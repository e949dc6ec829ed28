"""A cache of mel frames for each test."""

from __future__ import annotations

from pathlib import Path

import pytest

from monitor.config.schema import Features
from train.data.feature_cache import FeatureCache


@pytest.fixture
def cache(tmp_path: Path) -> FeatureCache:
    """An empty cache with the default settings."""
    return FeatureCache(Features(), tmp_path / "cache")
