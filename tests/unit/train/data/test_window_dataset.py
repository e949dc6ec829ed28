"""The training windows: each comes once an epoch, and equals that of a stream, however much memory there is."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import torch

from monitor.config.schema import Config
from monitor.features.normalization import Normalization
from monitor.model.cuda_transfer import TorchBackend
from support.builders import noise, reference_windows, small_config, with_little_memory, write_sound
from train.data.feature_cache import FeatureCache, Frames
from train.data.standardization import standardization
from train.data.window_dataset import WindowDataset

LENGTHS = (20, 21, 75, 10, 40)


def recording(power: np.ndarray) -> Frames:
    return Frames(path=Path("x"), power=np.ascontiguousarray(power, np.float32), digest="")


def some_recordings() -> list[Frames]:
    generator = np.random.default_rng(5)
    return [recording(generator.exponential(1.0, (total, 64))) for total in LENGTHS]


def expected(recordings: list[Frames], config: Config) -> torch.Tensor:
    """The windows of all recordings by the article's definition, normalised with numpy."""
    normalization = Normalization(config.features, *standardization(recordings, config))
    seen = (normalization(np.array(frames.power)) for frames in recordings)
    return torch.from_numpy(np.concatenate([reference_windows(frames) for frames in seen]))


def in_order(windows: torch.Tensor) -> torch.Tensor:
    """The rows sorted by a value of their middle frame, so that sets of windows can be compared."""
    return windows[windows[:, 10 * 64].argsort()]


def dataset(recordings: list[Frames], config: Config) -> WindowDataset:
    """The windows of recordings, standardised with the mean and standard deviation of these recordings."""
    normalization = Normalization(config.features, *standardization(recordings, config), TorchBackend("cpu"))
    return WindowDataset(recordings, normalization, config)


def plain(config: Config) -> Normalization:
    """A normalisation without mean and deviation."""
    return Normalization(config.features, backend=TorchBackend("cpu"))


def windows_by_portion(data: WindowDataset) -> list[torch.Tensor]:
    """The windows of an epoch, portion by portion."""
    return [portion.gather(torch.arange(len(portion))).clone() for portion in data.portions(data.plan())]


@pytest.mark.parametrize("block", [7, 20, 4096])
@pytest.mark.parametrize("scale", ["log", "power"])
def test_windows_are_those_of_a_stream_and_never_span_two_recordings(monkeypatch, scale: str, block: int) -> None:
    monkeypatch.setattr("train.data.window_dataset.BLOCK", block)
    config = small_config(f"features.scale={scale}")
    recordings = some_recordings()
    data = dataset(recordings, config)
    assert data.resident
    [windows] = windows_by_portion(data)
    assert len(data) == len(windows) == sum(LENGTHS)
    torch.testing.assert_close(windows, expected(recordings, config))
    [portion] = data.portions(data.plan())
    index = torch.randperm(len(windows), generator=torch.Generator().manual_seed(1))[:50]
    assert torch.equal(portion.gather(index), windows[index])
    assert torch.equal(portion.gather(index, torch.empty(50, 1280)), windows[index])


@pytest.mark.parametrize("block", [7, 4096])
def test_in_a_set_larger_than_memory_every_window_comes_once_an_epoch_in_another_order(monkeypatch, block: int) -> None:
    monkeypatch.setattr("train.data.window_dataset.BLOCK", block)
    monkeypatch.setattr("train.data.window_dataset.MIN_BLOCKS", 1)
    config = with_little_memory(small_config())
    recordings = some_recordings()
    data = dataset(recordings, config)
    assert not data.resident
    torch.manual_seed(0)
    first, second = windows_by_portion(data), windows_by_portion(data)
    assert len(first) == len(second) == sum(-(-length // block) for length in LENGTHS)
    for epoch in (first, second):
        torch.testing.assert_close(in_order(torch.cat(epoch)), in_order(expected(recordings, config)))
    assert not torch.equal(torch.cat(first), torch.cat(second))
    torch.manual_seed(0)
    assert torch.equal(torch.cat(windows_by_portion(data)), torch.cat(first)), "the same seed gives the same order"


def test_a_plan_knows_how_many_windows_its_portions_have(monkeypatch) -> None:
    monkeypatch.setattr("train.data.window_dataset.BLOCK", 16)
    monkeypatch.setattr("train.data.window_dataset.MIN_BLOCKS", 3)
    config = with_little_memory(small_config())
    data = WindowDataset(some_recordings(), plain(config), config)
    plan = data.plan()
    assert [data.windows(part) for part in plan] == [len(portion) for portion in data.portions(plan)]
    assert all(len(part) == 3 for part in plan[:-1])


def test_processes_that_share_a_machine_share_its_memory() -> None:
    config = with_little_memory(small_config(), 1e-4)
    recordings = some_recordings()
    assert WindowDataset(recordings, plain(config), config).resident
    assert not WindowDataset(recordings, plain(config), config, sharers=2).resident


def test_a_limited_number_of_windows_comes_from_all_over_the_set(monkeypatch) -> None:
    monkeypatch.setattr("train.data.window_dataset.BLOCK", 10)
    config = small_config("features.scale=power")
    power = np.arange(1.0, 1001.0)[:, None].repeat(64, axis=1)
    data = WindowDataset([recording(power)], plain(config), config, max_windows=200)
    [windows] = windows_by_portion(data)
    assert len(windows) == len(data) == 200
    assert windows.max() > 950


def test_making_windows_leaves_the_frames_of_the_recordings_as_they_are() -> None:
    """The frames are used again for calibration."""
    config = small_config()
    power = np.random.default_rng(0).exponential(1.0, (40, 64)).astype(np.float32)
    power.setflags(write=False)
    before = power.copy()
    windows_by_portion(WindowDataset([recording(power)], plain(config), config))
    assert np.array_equal(power, before)


def test_windows_of_frames_on_disk_are_those_of_the_frames_in_memory(monkeypatch, tmp_path: Path) -> None:
    monkeypatch.setattr("train.data.window_dataset.BLOCK", 64)
    config = small_config()
    stored = FeatureCache(config.features, tmp_path / "cache").frames(write_sound(tmp_path / "a.wav", noise(32_000)))
    [windows] = windows_by_portion(dataset([stored], config))
    torch.testing.assert_close(windows, expected([stored], config))
