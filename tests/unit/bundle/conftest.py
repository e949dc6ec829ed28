"""The file of a small bundle."""

from __future__ import annotations

from pathlib import Path

import pytest

from monitor.bundle.bundle_io import save_bundle
from support.builders import small_bundle, small_config
from support.bundle_files import TINY


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("bundle")


@pytest.fixture(scope="module")
def saved(folder: Path) -> Path:
    """The file of a small bundle of a machine with modes, peaks and a rhythm."""
    bundle = small_bundle(small_config(*TINY), modes=2, rhythm=True, peaks=True)
    save_bundle(bundle, folder / "saved.safetensors")
    return folder / "saved.safetensors"
