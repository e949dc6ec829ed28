"""The same promises on a graphics processor, where there is one."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import torch
from builders import noise
from conftest import QUICK, Told

from monitor.bundle.bundle import Bundle, load_bundle
from monitor.config.schema import Config
from monitor.features.mel import Scale
from monitor.streaming.stream_batch import Lanes
from monitor.config.loader import load_config
from monitor.streaming.stream import ScoreStream
from train.commands import train as run
from train.data import window_dataset as workset
from train.bench import gpu
from train.fitting.loop import Trainer
from train.data.feature_cache import Frames
from train.data.window_dataset import WorkSet

pytestmark = pytest.mark.skipif(not torch.cuda.is_available(), reason="no graphics processor here")


def test_a_stream_on_the_graphics_processor_scores_as_on_the_processor(bundle: Bundle) -> None:
    sound = 0.1 * torch.randn(1, 64000, generator=torch.Generator().manual_seed(0))
    here = ScoreStream(bundle).push(sound)[1]
    there = ScoreStream(bundle, device="cuda").push(sound)[1]
    assert there.score.device.type == "cpu"
    torch.testing.assert_close(there.error, here.error, rtol=1e-3, atol=1e-5)
    torch.testing.assert_close(there.score, here.score, rtol=1e-2, atol=1e-3, equal_nan=True)


def test_many_streams_on_the_graphics_processor_score_as_on_the_processor(bundle: Bundle) -> None:
    count, which = 40, torch.randperm(40, generator=torch.Generator().manual_seed(0))
    here, there = Lanes(bundle, count), Lanes(bundle, count, "cuda")
    for step, hops in enumerate((50, 1, 230, 7)):
        sound = torch.stack([torch.from_numpy(noise(hops * 160, seed=100 * step + lane)) for lane in range(count)])
        expected, found = here.push(sound, which).scores, there.push(sound, which).scores
        assert found.score.device.type == "cpu"
        torch.testing.assert_close(found.error, expected.error, rtol=1e-3, atol=1e-5, equal_nan=True)
        torch.testing.assert_close(found.score, expected.score, rtol=1e-2, atol=1e-3, equal_nan=True)


def test_a_model_trained_on_the_graphics_processor_tells_faults_and_loads_anywhere(data: Path, tmp_path: Path) -> None:
    metrics = run.train(load_config(overrides=(*QUICK, "train.device=cuda")), data, tmp_path, Told())
    assert metrics["auc"] == 1.0
    assert load_bundle(tmp_path / run.BUNDLE_FILE).model.dense_enc1.weight.device.type == "cpu"


def invented(config: Config, *, memory_gb: float = 1.0) -> WorkSet:
    generator = np.random.default_rng(0)
    recordings = [
        Frames(Path(f"{number}"), generator.exponential(1.0, (300, 64)).astype(np.float32), str(number))
        for number in range(30)
    ]
    settings = config.train.model_copy(update={"memory_gb": memory_gb})
    return WorkSet(recordings, Scale(config.features), config.model_copy(update={"train": settings}), "cuda")


def test_recorded_steps_learn_what_steps_taken_one_by_one_do() -> None:
    config = load_config(overrides=("train.input_noise=0", "model.dropout=0", "train.precision=float32"))
    losses = []
    for recorded in (True, False):
        trainer, work = Trainer(config, 10**6, torch.device("cuda")), invented(config)
        if not recorded:
            trainer._take = trainer.step
        losses.append([trainer.epoch(number, work)[0] for number in (1, 2, 3)])
    assert losses[0] == pytest.approx(losses[1], rel=1e-3)
    assert losses[0][2] < losses[0][0]


def test_windows_that_come_from_disk_in_portions_are_those_that_lie_on_the_graphics_processor(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(workset, "LEAST_BLOCKS", 2)
    whole, parts = invented(Config()), invented(Config(), memory_gb=1e-4)
    assert whole.resident
    assert not parts.resident
    [together] = [portion.gather(torch.arange(len(portion), device="cuda")) for portion in whole.portions(whole.plan())]
    apart = torch.cat([p.gather(torch.arange(len(p), device="cuda")) for p in parts.portions(parts.plan())])
    assert torch.equal(*(torch.sort(windows.sum(dim=1)).values for windows in (together, apart)))


def test_the_bench_tells_what_the_graphics_processor_manages(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("train.bench.gpu.COUNTS", (20,))
    monkeypatch.setattr("train.bench.gpu.FILES", 40)
    figures = gpu.measure(Config()).figures
    assert figures.keys() == {"device", "peak_tflops", "streams_20", "training_512", "training_8192"}
