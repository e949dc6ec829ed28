"""The same promises on a graphics processor, where there is one."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch
from conftest import QUICK, Told

from monitor.bundle import Bundle, load_bundle
from monitor.settings import load_config
from monitor.stream import ScoreStream
from train import run

pytestmark = pytest.mark.skipif(not torch.cuda.is_available(), reason="no graphics processor here")


def test_a_stream_on_the_graphics_processor_scores_as_on_the_processor(bundle: Bundle) -> None:
    sound = 0.1 * torch.randn(1, 64000, generator=torch.Generator().manual_seed(0))
    here = ScoreStream(bundle).push(sound)[1]
    there = ScoreStream(bundle, device="cuda").push(sound)[1]
    assert there.score.device.type == "cpu"
    torch.testing.assert_close(there.error, here.error, rtol=1e-3, atol=1e-5)
    torch.testing.assert_close(there.score, here.score, rtol=1e-2, atol=1e-3, equal_nan=True)


def test_a_model_trained_on_the_graphics_processor_tells_faults_and_loads_anywhere(data: Path, tmp_path: Path) -> None:
    metrics = run.train(load_config(overrides=(*QUICK, "train.device=cuda")), data, tmp_path, Told())
    assert metrics["auc"] == 1.0
    assert load_bundle(tmp_path / run.BUNDLE_FILE).model.dense_enc1.weight.device.type == "cpu"
