"""The cache computes the mel frames of each recording's content once, independent of file names."""

from __future__ import annotations

import os
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from monitor.config.schema import Config, Train
from monitor.core.errors import ConfigError, DataError
from support.builders import frames_of, noise, small_config, write_sound
from support.feature_caches import reopened, usable
from support.logs import logged
from train.data import feature_cache
from train.data.feature_cache import FeatureCache, Frames, cache_folder, manifest_digest


def same_frames(frames: Frames, expected: np.ndarray) -> None:
    """Checks that frames are equal within half a step of 0.005 dB, the resolution of the files."""
    np.testing.assert_allclose(10 * np.log10(frames.power), 10 * np.log10(expected), rtol=0, atol=0.0026)


# The values of the frames


def test_the_frames_of_a_recording_are_those_of_a_stream(cache: FeatureCache, tmp_path: Path) -> None:
    """The recording is longer than the blocks that are read at once."""
    sound = noise(11 * 16_000)
    path = write_sound(tmp_path / "a.wav", sound)
    frames = cache.frames(path)
    expected = frames_of(small_config(), sound[None])[0]
    assert frames.power.shape == expected.shape == (1101, 64)
    same_frames(frames, expected)
    assert np.array(frames.power).dtype == np.float32
    assert frames.path == path
    assert frames.sound.peak == pytest.approx((sound.max() - sound.min()) / 2)


def test_frames_of_a_recording_do_not_depend_on_the_one_before(cache: FeatureCache, tmp_path: Path) -> None:
    one, other = noise(8000, seed=1), noise(8000, seed=2)
    cache.frames(write_sound(tmp_path / "one.wav", one))
    found = cache.frames(write_sound(tmp_path / "other.wav", other))
    same_frames(found, frames_of(small_config(), other[None])[0])


def test_a_recording_that_fails_half_way_leaves_nothing_in_the_next_one(cache: FeatureCache, tmp_path: Path) -> None:
    bad, good = noise(16_000 * 11), noise(8000)
    bad[-1] = np.nan
    with pytest.raises(DataError, match="not numbers"):
        cache.frames(write_sound(tmp_path / "bad.wav", bad))
    found = cache.frames(write_sound(tmp_path / "good.wav", good))
    same_frames(found, frames_of(small_config(), good[None])[0])


# The cache


def test_the_second_time_no_frames_are_made(cache: FeatureCache, tmp_path: Path) -> None:
    paths = [write_sound(tmp_path / f"{n}.wav", noise(8000, seed=n)) for n in range(3)]
    first = [cache.frames(path) for path in paths]
    assert cache.computed == 3
    second = reopened(cache)
    for path, before in zip(paths, first, strict=True):
        now = second.frames(path)
        assert np.array_equal(now.power, before.power)
        assert (now.digest, now.sound) == (before.digest, before.sound)
    assert second.computed == 0
    assert cache.frames(paths[0]).power.shape == (51, 64)
    assert cache.computed == 3


def test_the_frames_of_changed_content_are_made_again(cache: FeatureCache, tmp_path: Path) -> None:
    path = write_sound(tmp_path / "a.wav", noise(8000, seed=1))
    before = cache.frames(path)
    write_sound(path, noise(8000, seed=2))  # of the same size
    os.utime(path, ns=(1, before.path.stat().st_mtime_ns + 1_000_000))
    now = cache.frames(path)
    assert cache.computed == 2
    assert now.digest != before.digest
    same_frames(now, frames_of(small_config(), noise(8000, seed=2)[None])[0])


@pytest.mark.parametrize("seconds", [0.5, 12.0])
def test_other_content_of_the_same_size_and_time_is_noticed(
    cache: FeatureCache, tmp_path: Path, seconds: float
) -> None:
    """As a program leaves it that keeps the time of what it copies."""
    before, after = noise(int(seconds * 16_000), seed=1), noise(int(seconds * 16_000), seed=1)
    after[len(after) // 3] += 0.1
    path = write_sound(tmp_path / "a.wav", before)
    stat = path.stat()
    first = cache.frames(path)
    write_sound(path, after)
    os.utime(path, ns=(stat.st_atime_ns, stat.st_mtime_ns))
    assert path.stat().st_size == stat.st_size
    now = reopened(cache).frames(path)
    assert now.digest != first.digest
    same_frames(now, frames_of(small_config(), after[None])[0])


def test_other_content_is_noticed_on_a_disk_whose_times_say_nothing(
    cache: FeatureCache, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("train.data.content_digests.file_state", lambda path: (path.stat().st_size,))
    path = write_sound(tmp_path / "a.wav", noise(80_000, seed=1))
    first = cache.frames(path)
    write_sound(path, noise(80_000, seed=2))
    assert cache.frames(path).digest != first.digest


def test_a_recording_that_grows_while_it_is_read_is_left_out(
    cache: FeatureCache, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path, read = write_sound(tmp_path / "a.wav", noise(8000, seed=1)), feature_cache.read_blocks

    def growing(*arguments: Any, **options: Any) -> Iterator[np.ndarray]:
        write_sound(path, noise(16_000, seed=1))
        return read(*arguments, **options)

    monkeypatch.setattr(feature_cache, "read_blocks", growing)
    with pytest.raises(DataError, match="was changed while it was read"):
        cache.frames(path)
    assert list(cache.folder.rglob("*.mel")) == []


@pytest.mark.parametrize(
    "setting",
    [
        {"n_mels": 32},
        {"n_fft": 1024},
        {"hop_length": 80},
        {"fmin": 50.0},
        {"fmax": 6000.0},
        {"channel": 1},
        {"sample_rate": 8000},
    ],
)
def test_other_settings_of_the_frames_have_frames_of_their_own(
    cache: FeatureCache, tmp_path: Path, setting: dict
) -> None:
    path = write_sound(tmp_path / "a.wav", noise(16_000, streams=2).T)
    before = cache.frames(path).power
    changed = reopened(cache, **setting)
    now = changed.frames(path).power
    assert changed.computed == 1
    assert now.shape != before.shape or not np.allclose(now, before)
    third = reopened(cache)
    assert np.array_equal(third.frames(path).power, before)
    assert third.computed == 0, "the old ones are still there"


@pytest.mark.parametrize(
    "setting", [{"scale": "power"}, {"floor": 1e-6}, {"standardize": False}, {"window_frames": 10}]
)
def test_settings_that_do_not_change_the_frames_make_none_again(cache, tmp_path: Path, setting: dict) -> None:
    path = write_sound(tmp_path / "a.wav", noise(8000))
    cache.frames(path)
    changed = reopened(cache, **setting)
    changed.frames(path)
    assert changed.computed == 0


def test_a_renamed_moved_or_copied_recording_is_not_made_again(cache: FeatureCache, tmp_path: Path) -> None:
    path = write_sound(tmp_path / "a.wav", noise(8000))
    before = cache.frames(path)
    (tmp_path / "elsewhere").mkdir()
    moved = path.rename(tmp_path / "elsewhere" / "b.wav")
    copy = tmp_path / "copy.wav"
    copy.write_bytes(moved.read_bytes())
    for other in (moved, copy):
        now = reopened(cache).frames(other)
        assert np.array_equal(now.power, before.power)
        assert (now.path, now.digest) == (other, before.digest)
        assert cache.computed == 1
        fresh = reopened(cache)
        fresh.frames(other)
        assert fresh.computed == 0


@pytest.mark.parametrize("damage", ["no file", "half a file", "a longer file", "an empty file"])
def test_damaged_frames_on_disk_are_made_again(cache: FeatureCache, tmp_path: Path, damage: str) -> None:
    path = write_sound(tmp_path / "a.wav", noise(8000))
    before = np.array(cache.frames(path).power)
    [kept] = cache.folder.rglob("*.mel")
    content = kept.read_bytes()
    kept.unlink()
    if damage != "no file":
        left = {"half a file": content[: len(content) // 2], "a longer file": content + content, "an empty file": b""}
        kept.write_bytes(left[damage])
    fresh = reopened(cache)
    assert np.array_equal(fresh.frames(path).power, before)
    assert fresh.computed == 1


@pytest.mark.parametrize("place", [0, 0.37, 0.999, -1, -10, -30, -60])
def test_a_flipped_bit_of_kept_frames_is_noticed_and_they_are_made_again(
    cache: FeatureCache, tmp_path: Path, place: float
) -> None:
    path = write_sound(tmp_path / "a.wav", noise(8000))
    before = np.array(cache.frames(path).power)
    [kept] = cache.folder.rglob("*.mel")
    content = bytearray(kept.read_bytes())
    content[int(place * (len(content) - 100)) if place >= 0 else int(place)] ^= 4
    kept.write_bytes(content)
    fresh = reopened(cache)
    with logged("train") as messages:
        assert np.array_equal(fresh.frames(path).power, before)
    assert fresh.computed == 1
    [message] = messages
    assert "kept frames are damaged" in message
    assert np.array_equal(reopened(cache).frames(path).power, before)


def test_frames_of_another_recording_are_never_used(cache: FeatureCache, tmp_path: Path) -> None:
    paths = [write_sound(tmp_path / f"{n}.wav", noise(8000, seed=n)) for n in range(2)]
    before = np.array(cache.frames(paths[0]).power)
    [first] = cache.folder.rglob("*.mel")
    cache.frames(paths[1])
    [other] = set(cache.folder.rglob("*.mel")) - {first}
    first.write_bytes(other.read_bytes())
    assert np.array_equal(reopened(cache).frames(paths[0]).power, before)


def test_the_note_of_another_recordings_digest_is_never_used(cache: FeatureCache, tmp_path: Path) -> None:
    def notes() -> set[Path]:
        return {file for file in (cache.folder / "seen").rglob("*") if file.is_file()}

    paths = [write_sound(tmp_path / f"{n}.wav", noise(8000, seed=n)) for n in range(2)]
    before = cache.frames(paths[0])
    [first] = notes()
    cache.frames(paths[1])
    [other] = notes() - {first}
    first.write_bytes(other.read_bytes())
    assert reopened(cache).frames(paths[0]).digest == before.digest


def test_a_damaged_note_of_a_recordings_digest_is_made_again(cache: FeatureCache, tmp_path: Path) -> None:
    path = write_sound(tmp_path / "a.wav", noise(8000))
    before = cache.frames(path)
    [note] = [file for file in (cache.folder / "seen").rglob("*") if file.is_file()]
    flipped = note.read_bytes().translate(bytes.maketrans(b"01", b"10"))
    for damage in (b"\xff\xfe", b"", b"../../elsewhere", before.digest.encode(), flipped):
        note.write_bytes(damage)
        assert not cache.has(path)
        assert cache.frames(path).digest == before.digest
        assert cache.has(path)


def test_the_cache_keeps_no_temporary_files_and_nothing_of_a_recording_that_failed(
    cache: FeatureCache, tmp_path: Path
) -> None:
    bad = noise(16_000 * 11)
    bad[-1] = np.inf
    usable(cache, write_sound(tmp_path / "bad.wav", bad), write_sound(tmp_path / "good.wav", noise(8000)))
    kept = [path for path in cache.folder.rglob("*") if path.is_file()]
    assert sorted(path.suffix for path in kept) == ["", "", ".mel"], "two notes, one recording"


def test_what_a_killed_training_left_in_the_cache_is_removed_when_it_is_an_hour_old(tmp_path: Path) -> None:
    config = Config(train=Train(cache_dir=tmp_path / "cache"))
    old, new = (tmp_path / "cache" / "ab" / f".x.mel.{digit * 16}.tmp" for digit in "01")
    for file in (old, new):
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_bytes(b"half of the frames")
    os.utime(old, (time.time() - 4000, time.time() - 4000))
    cache_folder(config)
    assert (old.exists(), new.exists()) == (False, True)


def test_the_cache_folder_is_that_of_the_settings_or_else_in_the_users_cache(tmp_path: Path, monkeypatch) -> None:
    assert cache_folder(Config(train=Train(cache_dir=tmp_path / "here"))) == tmp_path / "here"
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "caches"))
    assert (tmp_path / "caches") in cache_folder(Config()).parents
    (tmp_path / "file").touch()
    with pytest.raises(ConfigError, match="cannot be written"):
        cache_folder(Config(train=Train(cache_dir=tmp_path / "file" / "below")))


def test_a_user_without_a_home_folder_has_a_cache_until_the_program_ends(monkeypatch: pytest.MonkeyPatch) -> None:
    def homeless() -> Path:
        raise RuntimeError("Could not determine home directory.")

    monkeypatch.delenv("XDG_CACHE_HOME", raising=False)
    monkeypatch.setattr(Path, "home", homeless)
    assert cache_folder(Config()) == cache_folder(Config())
    assert cache_folder(Config()).is_dir()


def test_a_thousand_recordings_need_no_open_files_and_no_memory_maps_until_they_are_read(cache, tmp_path: Path) -> None:
    """A large data set has more recordings than a process may open or map."""
    kept = cache.frames(write_sound(tmp_path / "a.wav", noise(16_000)))
    before = len(list(Path("/proc/self/maps").read_text().splitlines()))
    many = [reopened(cache).frames(kept.path) for _ in range(1000)]
    assert len(Path("/proc/self/maps").read_text().splitlines()) < before + 500
    assert np.array_equal(np.array(many[-1].power[10:20]), np.array(kept.power)[10:20])


# The digest of a data set


def test_the_digest_of_a_set_is_that_of_its_contents_whatever_their_names_and_order(cache, tmp_path: Path) -> None:
    first = [cache.frames(write_sound(tmp_path / f"{n}.wav", noise(8000, seed=n))) for n in range(3)]
    renamed = [cache.frames(write_sound(tmp_path / f"x{n}.wav", noise(8000, seed=n))) for n in (2, 0, 1)]
    other = [*first[:2], cache.frames(write_sound(tmp_path / "4.wav", noise(8000, seed=4)))]
    assert manifest_digest(first) == manifest_digest(renamed)
    assert len({manifest_digest(s) for s in (first, other, first[:2], [*first, first[0]])}) == 4
