"""A virtual microphone, and a model to listen with."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from monitor.bundle.bundle_io import save_bundle
from support.builders import RATE, small_bundle, small_config
from support.listening import never_alarmed
from support.virtual_microphone import VirtualMicrophone

PROMPT = ("alarm.warm_up_s=0", "alarm.block_s=0.1")


@pytest.fixture
def microphone() -> Iterator[VirtualMicrophone]:
    with VirtualMicrophone(RATE) as virtual:
        yield virtual


@pytest.fixture
def bundle(tmp_path: Path) -> Path:
    """A model that finds everything normal, as soon as it may."""
    path = tmp_path / "model.safetensors"
    save_bundle(never_alarmed(small_bundle(small_config(*PROMPT))), path)
    return path
