"""The windows that are trained on: each once an epoch, those of a stream, whatever fits in memory."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import torch
from builders import reference_windows, small_config, write_sound

from monitor.config.schema import Config
from monitor.features.mel import Scale
from train.data.feature_cache import FrameCache, Frames
from train.data.window_dataset import WorkSet, standardization

LENGTHS = (20, 21, 75, 10, 40)


def recording(power: np.ndarray) -> Frames:
    return Frames(path=Path("x"), power=np.ascontiguousarray(power, np.float32), digest="")


def some_recordings() -> list[Frames]:
    generator = np.random.default_rng(5)
    return [recording(generator.exponential(1.0, (total, 64))) for total in LENGTHS]


def expected(recordings: list[Frames], scale: Scale) -> torch.Tensor:
    """The windows of all recordings, by the article's definition."""
    scaled = (scale(torch.from_numpy(np.array(frames.power))).numpy() for frames in recordings)
    return torch.from_numpy(np.concatenate([reference_windows(frames) for frames in scaled]))


def in_order(windows: torch.Tensor) -> torch.Tensor:
    """The rows sorted by a number of the frame in their midst, so that sets can be compared."""
    return windows[windows[:, 10 * 64].argsort()]


def all_windows(work: WorkSet) -> list[torch.Tensor]:
    """The windows of an epoch, portion by portion."""
    return [portion.gather(torch.arange(len(portion))).clone() for portion in work.portions(work.plan())]


def scaled_by(config: Config, recordings: list[Frames]) -> Scale:
    return Scale(config.features, *standardization(recordings, config))


@pytest.mark.parametrize("block", [7, 20, 4096])
@pytest.mark.parametrize("kind", ["log", "power"])
def test_training_windows_are_those_of_a_stream_never_across_recordings(monkeypatch, kind: str, block: int) -> None:
    monkeypatch.setattr("train.data.window_dataset.BLOCK", block)
    config = small_config(f"features.scale={kind}")
    recordings = some_recordings()
    scale = scaled_by(config, recordings)
    work = WorkSet(recordings, scale, config)
    assert work.resident
    [windows] = all_windows(work)
    assert len(work) == len(windows) == sum(LENGTHS)
    torch.testing.assert_close(windows, expected(recordings, scale))
    [portion] = work.portions(work.plan())
    index = torch.randperm(len(windows), generator=torch.Generator().manual_seed(1))[:50]
    assert torch.equal(portion.gather(index), windows[index])
    assert torch.equal(portion.gather(index, torch.empty(50, 1280)), windows[index])


@pytest.mark.parametrize("block", [7, 4096])
def test_of_a_set_larger_than_memory_every_window_comes_once_an_epoch_in_another_order(monkeypatch, block: int) -> None:
    monkeypatch.setattr("train.data.window_dataset.BLOCK", block)
    monkeypatch.setattr("train.data.window_dataset.LEAST_BLOCKS", 1)
    config = small_config("train.memory_gb=1e-9")
    recordings = some_recordings()
    scale = scaled_by(config, recordings)
    work = WorkSet(recordings, scale, config)
    assert not work.resident
    torch.manual_seed(0)
    first, second = all_windows(work), all_windows(work)
    assert len(first) == len(second) == sum(-(-length // block) for length in LENGTHS)
    for epoch in (first, second):
        torch.testing.assert_close(in_order(torch.cat(epoch)), in_order(expected(recordings, scale)))
    assert not torch.equal(torch.cat(first), torch.cat(second))
    torch.manual_seed(0)
    assert torch.equal(torch.cat(all_windows(work)), torch.cat(first)), "the same seed gives the same order"


def test_a_plan_says_how_many_windows_its_portions_have(monkeypatch) -> None:
    monkeypatch.setattr("train.data.window_dataset.BLOCK", 16)
    monkeypatch.setattr("train.data.window_dataset.LEAST_BLOCKS", 3)
    config = small_config("train.memory_gb=1e-9")
    work = WorkSet(some_recordings(), Scale(config.features), config)
    plan = work.plan()
    assert [work.windows(part) for part in plan] == [len(portion) for portion in work.portions(plan)]
    assert all(len(part) == 3 for part in plan[:-1])


def test_processes_that_share_a_machine_share_its_memory() -> None:
    config = small_config("train.memory_gb=1e-4")
    recordings = some_recordings()
    assert WorkSet(recordings, Scale(config.features), config).resident
    assert not WorkSet(recordings, Scale(config.features), config, sharers=2).resident


def test_where_fewer_windows_will_do_they_come_from_all_over_the_set(monkeypatch) -> None:
    monkeypatch.setattr("train.data.window_dataset.BLOCK", 10)
    config = small_config()
    power = np.arange(1.0, 1001.0)[:, None].repeat(64, axis=1)
    work = WorkSet([recording(power)], Scale(small_config("features.scale=power").features), config, most=200)
    [windows] = all_windows(work)
    assert len(windows) == len(work) == 200
    assert windows.max() > 950


def test_making_training_windows_leaves_the_recordings_frames_as_they_are() -> None:
    """They are used again for the threshold."""
    config = small_config()
    power = np.random.default_rng(0).exponential(1.0, (40, 64)).astype(np.float32)
    power.setflags(write=False)
    before = power.copy()
    all_windows(WorkSet([recording(power)], Scale(config.features), config))
    assert np.array_equal(power, before)


def test_windows_of_kept_frames_are_those_of_the_frames_in_memory(monkeypatch, tmp_path: Path) -> None:
    monkeypatch.setattr("train.data.window_dataset.BLOCK", 64)
    config = small_config()
    sound = np.random.default_rng(0).standard_normal(32_000).astype(np.float32) * 0.1
    kept = FrameCache(config.features, tmp_path / "cache").frames(write_sound(tmp_path / "a.wav", sound))
    scale = scaled_by(config, [kept])
    [windows] = all_windows(WorkSet([kept], scale, config))
    torch.testing.assert_close(windows, expected([kept], scale))
