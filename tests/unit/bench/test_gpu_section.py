"""The section of the GPU, whose parts run on a processor, too: so it is in order on the day when there is a GPU."""

from __future__ import annotations

from typing import Any

import pytest
import torch

from support.builders import small_config
from train.bench import gpu

LITTLE: dict[str, object] = {
    "monitor.bench.timing.REST_S": 0.0,
    "train.bench.gpu.COUNTS": (3,),
    "train.bench.gpu.WHOLE_COUNTS": (2, 3),
    "train.bench.gpu.WHOLE_S": 0.0,
    "train.bench.gpu.FILES": 1,
    "train.bench.gpu.BATCHES": (320,),
    "train.bench.gpu.SIZE": 64,
}


def test_streams_computed_the_whole_program_and_training_are_measured_beside_their_aims(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    for name, value in LITTLE.items():
        monkeypatch.setattr(name, value)
    section = gpu.measure_on(torch.device("cpu"), small_config("features.n_mels=16"))
    figures: Any = section.figures
    assert figures.keys() == {
        "device", "peak_tflops", "streams_3", "whole_program_2", "whole_program_3", "training_320"
    }  # fmt: skip
    assert figures["whole_program_3"]["count"] == 3
    assert figures["whole_program_3"]["turns"] >= 3
    assert [(target.aim, target.measured > 0) for target in section.targets] == [
        (30_000, True),
        (10_000, True),
        (1_000_000, True),
    ]
    assert all(len(line) <= 118 for line in section.lines)
