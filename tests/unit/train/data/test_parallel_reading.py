"""Reading recordings in several processes."""

from __future__ import annotations

import multiprocessing
import os
import signal
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest
import torch
from torch.utils.data import get_worker_info

from monitor.core.errors import MonitorError
from support.builders import noise, write_sound
from support.feature_caches import usable
from train.data.feature_cache import FeatureCache, Frames, usable_frames


def test_recordings_read_by_several_processes_are_those_read_by_one(cache: FeatureCache, tmp_path: Path) -> None:
    paths = [write_sound(tmp_path / f"{n}.wav", noise(16_000 + n, seed=n)) for n in range(12)]
    threads = torch.get_num_threads()
    try:
        torch.set_num_threads(4)
        together, _ = usable(FeatureCache(cache.features, tmp_path / "other"), *paths)
        assert torch.get_num_threads() == 4
    finally:
        torch.set_num_threads(threads)
    for path, frames in zip(paths, together, strict=True):
        assert frames.path == path
        assert np.array_equal(frames.power, cache.frames(path).power)


def test_the_reason_why_a_recording_cannot_be_used_comes_back_from_the_process_that_read_it(
    cache: FeatureCache, tmp_path: Path
) -> None:
    paths = [write_sound(tmp_path / f"{n}.wav", noise(16_000, seed=n)) for n in range(6)]
    paths[3].write_bytes(b"no sound")
    kept, reasons = usable(cache, *paths)
    assert [frames.path for frames in kept] == paths[:3] + paths[4:]
    assert len(reasons) == 1
    assert str(paths[3]) in reasons[0]


def test_a_cache_that_cannot_be_written_is_an_error_of_one_sentence(cache: FeatureCache, tmp_path: Path) -> None:
    paths = [write_sound(tmp_path / f"{n}.wav", noise(16_000, seed=n)) for n in range(6)]
    cache.folder.write_text("a file where the folder should be")
    with pytest.raises(MonitorError, match="cannot be written") as caught:
        usable(cache, *paths)
    assert multiprocessing.active_children() == [], "also while somebody holds the error"
    assert "\n" not in str(caught.value)


def test_an_interruption_ends_the_reading_processes(cache: FeatureCache, tmp_path: Path) -> None:
    """They end at once, although they ignore Ctrl-C and the error still refers to them; else the program would hang."""
    paths = [write_sound(tmp_path / f"{n}.wav", noise(16_000, seed=n)) for n in range(6)]

    def interrupt() -> None:
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt) as caught:
        usable_frames(cache, paths, training=True, leave_out=pytest.fail, advance=interrupt)
    assert multiprocessing.active_children() == []
    assert caught.value is not None


@pytest.fixture
def two_threads() -> Iterator[None]:
    """Two processors may be used, so that another process reads, too."""
    before = torch.get_num_threads()
    torch.set_num_threads(2)
    yield
    torch.set_num_threads(before)


def test_a_killed_reading_process_is_an_error_that_says_so_and_what_was_made_is_kept(
    two_threads: None, cache: FeatureCache, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    paths = [write_sound(tmp_path / f"{n}.wav", noise(16_000, seed=n)) for n in range(12)]

    def frames(self: FeatureCache, path: Path) -> Frames:
        if path == paths[10] and get_worker_info():
            os.kill(os.getpid(), signal.SIGKILL)
        return made(self, path)

    with monkeypatch.context() as patched:
        made = FeatureCache.frames
        patched.setattr(FeatureCache, "frames", frames)
        with pytest.raises(MonitorError, match=r"ended.*begin again") as caught:
            usable(cache, *paths)
        assert multiprocessing.active_children() == []
        assert "\n" not in str(caught.value)
    assert cache.has(paths[0])
    assert not cache.has(paths[10])
    assert [kept.path for kept in usable(cache, *paths)[0]] == paths
