"""The batch size and the precision of training steps."""

from __future__ import annotations

import pytest
import torch

from monitor.config.schema import Train
from train.fitting.precision import step_dtype, windows_per_step


def test_bfloat16_is_used_where_the_processor_has_it_and_a_step_is_large_enough(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    def used(precision: str, batch: int, native: bool) -> torch.dtype:
        monkeypatch.setattr("train.fitting.precision.native_bfloat16", lambda _: native)
        return step_dtype(Train.model_validate({"precision": precision}), batch, torch.device("cpu"))

    assert used("auto", 512, True) == torch.bfloat16
    assert used("auto", 512, False) == used("auto", 511, True) == torch.float32
    assert used("float32", 4096, True) == torch.float32
    assert used("bfloat16", 2, False) == torch.bfloat16


def test_however_few_windows_there_are_an_epoch_has_32_steps_until_a_step_would_be_too_small() -> None:
    train = Train()
    assert windows_per_step(train, 1_000_000) == 512
    assert windows_per_step(train, 32 * 512) == 512
    assert windows_per_step(train, 8 * 601) == 150
    assert windows_per_step(train, 100) == 16
    assert windows_per_step(Train(batch_size=8), 1_000_000) == 8
