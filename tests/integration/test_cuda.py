"""The same promises on a GPU, where there is one."""

from __future__ import annotations

import os
from pathlib import Path

import numpy as np
import pytest
import torch

from monitor.bundle.bundle import Bundle
from monitor.bundle.bundle_io import load_bundle
from monitor.config.loader import load_config
from monitor.config.schema import Config
from monitor.features.normalization import Normalization
from monitor.model.cuda_transfer import TorchBackend
from monitor.model.network import Compute
from monitor.streaming.hops import FrameStream
from monitor.streaming.portion import Portion
from monitor.streaming.stream_batch import StreamBatch
from support.builders import noise, small_bundle, small_config
from support.oracle import expected_of, librosa_frames
from support.recordings import QUICK, RememberedProgress
from train.bench import gpu
from train.commands.train import BUNDLE_FILE, train
from train.data import window_dataset
from train.data.feature_cache import Frames
from train.data.window_dataset import WindowDataset
from train.fitting.loop import Trainer

pytestmark = pytest.mark.skipif(not torch.cuda.is_available(), reason="no GPU here that torch can use")


def assert_near(found: Portion, expected: Portion) -> None:
    """A GPU may multiply with fewer bits than a processor."""
    assert all(isinstance(values, np.ndarray) for values in found)
    np.testing.assert_allclose(found.frames, expected.frames, rtol=1e-4, atol=1e-5 * expected.frames.max(initial=0.0))
    np.testing.assert_allclose(found.error, expected.error, rtol=1e-3, atol=1e-5)
    np.testing.assert_allclose(found.score, expected.score, rtol=1e-2, atol=1e-3, equal_nan=True)


def test_a_stream_on_a_gpu_has_the_scores_of_one_on_a_processor(bundle: Bundle) -> None:
    samples = noise(64_000)[None]
    here, there = StreamBatch(bundle), StreamBatch(bundle, compute=Compute.on("cuda"))
    assert_near(*(one.push(samples, [0]).portions()[0] for one in (there, here)))
    assert_near(*(one.flush(0, samples[0, :99]) for one in (there, here)))


def test_many_streams_on_a_gpu_have_the_scores_of_those_on_a_processor(bundle: Bundle) -> None:
    count, streams = 40, np.random.default_rng(0).permutation(40)
    here, there = StreamBatch(bundle, count), StreamBatch(bundle, count, compute=Compute.on(torch.device("cuda")))
    random = np.random.default_rng(1)
    offsets = {part: 0.1 * random.random(len(one.centre)) for part, one in bundle.references.items()}
    for one in (here, there):
        one.recentre(offsets, 7)
    for step, hops in enumerate((50, 1, 230, 0, 7)):
        samples = np.stack([noise(hops * 160, seed=100 * step + stream) for stream in range(count)])
        results = [one.push(samples, streams).portions() for one in (there, here)]
        for found, expected in zip(*results, strict=True):
            assert_near(found, expected)
        for one in (here, there):
            one.reset([step])


@pytest.mark.parametrize("kind", ["fused", "error"])
def test_scores_on_a_gpu_are_what_their_definition_says(kind: str) -> None:
    """Pushed in portions that come and go while others are computed."""
    bundle = small_bundle(small_config(f"score.kind={kind}"))
    batch = StreamBatch(bundle, 3, compute=Compute.on("cuda"))
    samples = noise(160 * 600, streams=3)
    results = [batch.push(samples[:, start : start + 1600], [2, 0, 1]).portions() for start in range(0, 96_000, 1600)]
    for position in range(3):
        expected = expected_of(bundle, samples[position], ended=False)
        score, error = (
            np.concatenate([getattr(portions[position], name) for portions in results]) for name in ("score", "error")
        )
        np.testing.assert_allclose(error, expected.error, rtol=1e-3, atol=1e-5)
        np.testing.assert_allclose(score, expected.score, rtol=1e-2, equal_nan=True)


def test_in_bfloat16_a_score_on_a_gpu_is_within_a_hundredth(bundle: Bundle) -> None:
    samples = noise(160 * 400, streams=5)
    single, half = (
        StreamBatch(bundle, 5, compute=Compute.on("cuda", precision)).push(samples, range(5)).score[:, 200:]
        for precision in ("float32", "bfloat16")
    )
    assert np.quantile(np.abs(half / single - 1), 0.99) < 0.01
    assert not np.array_equal(half, single)


def test_frames_of_a_gpu_are_those_of_librosa() -> None:
    samples, config = noise(50_000), Config()
    stream = FrameStream(config.features, TorchBackend("cuda"))
    found = np.concatenate([stream.push(samples[:20_001]), stream.push(samples[20_001:]), stream.flush()])
    expected = librosa_frames(samples, config.features)
    np.testing.assert_allclose(found, expected, rtol=1e-4, atol=1e-5 * expected.max())


def test_a_model_trained_on_a_gpu_finds_faults_and_loads_anywhere(data: Path, tmp_path: Path) -> None:
    config = load_config(Path(os.devnull), overrides=(*QUICK, "train.device=cuda"))
    metrics = train(config, data, tmp_path, RememberedProgress())
    assert metrics["auc"] == 1.0
    assert isinstance(load_bundle(tmp_path / BUNDLE_FILE).weights["dense_enc1.weight"], np.ndarray)


def invented(config: Config, *, memory_gb: float = 1.0) -> WindowDataset:
    random = np.random.default_rng(0)
    recordings = [
        Frames(Path(f"{number}"), random.exponential(1.0, (300, 64)).astype(np.float32), str(number))
        for number in range(30)
    ]
    settings = config.train.model_copy(update={"memory_gb": memory_gb})
    normalization = Normalization(config.features, backend=TorchBackend("cuda"))
    return WindowDataset(recordings, normalization, config.model_copy(update={"train": settings}), "cuda")


def test_steps_of_a_cuda_graph_learn_what_steps_taken_one_by_one_do() -> None:
    config = load_config(
        Path(os.devnull), overrides=("train.input_noise=0", "model.dropout=0", "train.precision=float32")
    )
    losses = []
    for graphed in (True, False):
        trainer, windows = Trainer(config, 10**6, torch.device("cuda")), invented(config)
        if not graphed:
            trainer._run_step = trainer.step
        losses.append([trainer.epoch(number, windows)[0] for number in (1, 2, 3)])
    assert losses[0] == pytest.approx(losses[1], rel=1e-3)
    assert losses[0][2] < losses[0][0]


def test_windows_that_come_from_disk_in_portions_are_those_that_lie_on_the_gpu(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(window_dataset, "MIN_BLOCKS", 2)
    whole, parts = invented(Config()), invented(Config(), memory_gb=1e-4)
    assert whole.resident
    assert not parts.resident
    [together] = [portion.gather(torch.arange(len(portion), device="cuda")) for portion in whole.portions(whole.plan())]
    apart = torch.cat([p.gather(torch.arange(len(p), device="cuda")) for p in parts.portions(parts.plan())])
    assert torch.equal(*(torch.sort(windows.sum(dim=1)).values for windows in (together, apart)))


def test_the_bench_reports_what_the_gpu_manages(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("train.bench.gpu.COUNTS", (20,))
    monkeypatch.setattr("train.bench.gpu.WHOLE_COUNTS", (20,))
    monkeypatch.setattr("train.bench.gpu.WHOLE_S", 0.0)
    monkeypatch.setattr("train.bench.gpu.FILES", 40)
    figures = gpu.measure(Config()).figures
    assert figures.keys() == {
        "device", "peak_tflops", "streams_20", "whole_program_20", "training_512", "training_8192"
    }  # fmt: skip
