"""The choice of the device."""

from __future__ import annotations

import sys

import pytest
import torch

from monitor.core.errors import ConfigError
from monitor.model import device
from monitor.model.device import choose_device, listening_device


def test_a_gpu_is_chosen_if_there_is_one_and_requiring_one_without_is_an_error(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(torch.cuda, "is_available", lambda: True)
    assert [choose_device(requested).type for requested in ("auto", "cpu", "cuda")] == ["cuda", "cpu", "cuda"]
    monkeypatch.setattr(torch.cuda, "is_available", lambda: False)
    assert [choose_device(requested).type for requested in ("auto", "cpu")] == ["cpu", "cpu"]
    with pytest.raises(ConfigError, match="no GPU"):
        choose_device("cuda")


def test_listening_uses_the_same_device_as_training(monkeypatch: pytest.MonkeyPatch) -> None:
    for available in (True, False):
        monkeypatch.setattr(torch.cuda, "is_available", lambda available=available: available)
        for requested in ("auto", "cpu"):
            assert str(listening_device(requested)) == str(choose_device(requested))
    with pytest.raises(ConfigError, match="no GPU"):
        listening_device("cuda")


def test_without_a_gpu_driver_torch_is_not_imported_to_look_for_a_gpu(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(device, "gpu_driver_loaded", lambda: False)
    monkeypatch.delitem(sys.modules, "torch")
    assert listening_device("auto") == listening_device("cpu") == "cpu"
    assert "torch" not in sys.modules
