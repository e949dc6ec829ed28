"""Reading recordings in several processes."""

from __future__ import annotations

import multiprocessing
import os
import signal
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

from monitor.core.errors import MonitorError
from support.builders import noise, write_sound
from support.feature_caches import usable
from support.listening import DEADLINE_S
from train.data.feature_cache import FeatureCache, Frames, usable_frames

# A program that is killed while two processes wait to hand over recordings that are larger than a pipe holds.
KILLED_PROGRAM = """
import os, signal
from pathlib import Path
from train.data import parallel_reading

parallel_reading.available_processors = os.cpu_count = lambda: 2
results = parallel_reading.results_of(lambda path: bytes(2**20), [Path(str(number)) for number in range(8)])
next(results)
os.kill(os.getpid(), signal.SIGKILL)
"""


@pytest.fixture
def two_processors(monkeypatch: pytest.MonkeyPatch) -> None:
    """Two processors may be used, so that other processes read."""
    monkeypatch.setattr("train.data.parallel_reading.available_processors", lambda: 2)
    monkeypatch.setattr("os.cpu_count", lambda: 2)


def test_recordings_read_by_several_processes_are_those_read_by_one(
    two_processors: None, cache: FeatureCache, tmp_path: Path
) -> None:
    paths = [write_sound(tmp_path / f"{n}.wav", noise(16_000 + n, seed=n)) for n in range(12)]
    other = FeatureCache(cache.features, tmp_path / "other")
    together, _ = usable(other, *paths)
    assert other.computed == 0, "other processes have computed them"
    for path, frames in zip(paths, together, strict=True):
        assert frames.path == path
        assert np.array_equal(frames.power, cache.frames(path).power)


def test_a_recording_that_is_added_among_cached_ones_is_read_in_its_place(
    two_processors: None, cache: FeatureCache, tmp_path: Path
) -> None:
    paths = [write_sound(tmp_path / f"{n}.wav", noise(16_000, seed=n)) for n in range(6)]
    usable(cache, *paths[:2], *paths[3:])
    kept, _ = usable(cache, *paths)
    assert [frames.path for frames in kept] == paths
    assert np.array_equal(kept[2].power, FeatureCache(cache.features, tmp_path / "other").frames(paths[2]).power)


def test_the_reason_why_a_recording_cannot_be_used_comes_back_from_the_process_that_read_it(
    two_processors: None, cache: FeatureCache, tmp_path: Path
) -> None:
    paths = [write_sound(tmp_path / f"{n}.wav", noise(16_000, seed=n)) for n in range(6)]
    paths[3].write_bytes(b"no sound")
    kept, reasons = usable(cache, *paths)
    assert [frames.path for frames in kept] == paths[:3] + paths[4:]
    assert len(reasons) == 1
    assert str(paths[3]) in reasons[0]


def test_a_cache_that_cannot_be_written_is_an_error_of_one_sentence(
    two_processors: None, cache: FeatureCache, tmp_path: Path
) -> None:
    paths = [write_sound(tmp_path / f"{n}.wav", noise(16_000, seed=n)) for n in range(6)]
    cache.folder.write_text("a file where the folder should be")
    with pytest.raises(MonitorError, match="cannot be written") as caught:
        usable(cache, *paths)
    assert multiprocessing.active_children() == [], "also while somebody holds the error"
    assert "\n" not in str(caught.value)


def test_an_interruption_ends_the_reading_processes(two_processors: None, cache: FeatureCache, tmp_path: Path) -> None:
    """They end at once, although they ignore Ctrl-C and the error still refers to them; else the program would hang."""
    paths = [write_sound(tmp_path / f"{n}.wav", noise(16_000, seed=n)) for n in range(6)]

    def interrupt() -> None:
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt) as caught:
        usable_frames(cache, paths, training=True, leave_out=pytest.fail, advance=interrupt)
    assert multiprocessing.active_children() == []
    assert caught.value is not None


def test_a_killed_reading_process_is_an_error_that_says_so_and_what_was_made_is_kept(
    two_processors: None, cache: FeatureCache, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    paths = [write_sound(tmp_path / f"{n}.wav", noise(16_000, seed=n)) for n in range(12)]

    def frames(self: FeatureCache, path: Path, digest: str | None = None) -> Frames:
        if path == paths[10] and multiprocessing.parent_process():
            os.kill(os.getpid(), signal.SIGKILL)
        return made(self, path, digest)

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


@pytest.mark.skipif(sys.platform != "linux", reason="the program's function can be sent to a forked process only")
def test_no_reading_process_is_left_when_the_program_is_killed() -> None:
    with subprocess.Popen([sys.executable, "-c", KILLED_PROGRAM], stdout=subprocess.PIPE, start_new_session=True) as it:
        try:
            it.communicate(timeout=DEADLINE_S)  # ends when no process has the output open any more
        except subprocess.TimeoutExpired:
            os.killpg(it.pid, signal.SIGKILL)
            pytest.fail("processes go on")
    assert it.returncode == -signal.SIGKILL
