"""Mel frames are made once, for what a recording holds and not for what it is called; bad recordings are left out."""

from __future__ import annotations

import os
import pickle
import signal
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
import torch
from builders import frames_of, noise, small_config, write_sound
from hypothesis import given
from hypothesis import strategies as st
from torch.utils.data import get_worker_info

from monitor.config.schema import Config, Features, Train
from monitor.core.errors import ConfigError, DataError, MonitorError
from train.data.feature_store import decoded, encoded
from train.data.feature_cache import FrameCache, Frames, cache_folder, manifest_digest, usable


@pytest.fixture
def cache(tmp_path: Path) -> FrameCache:
    return FrameCache(Features(), tmp_path / "cache")


def again(cache: FrameCache, **settings: object) -> FrameCache:
    """The same cache in another run of the program."""
    return FrameCache(cache.features.model_copy(update=settings), cache.folder)


def chosen(cache: FrameCache, *paths: Path, training: bool = True) -> tuple[list[Frames], list[str]]:
    """The frames that can be used, and why the others cannot."""
    reasons: list[str] = []
    return usable(cache, paths, training=training, leave_out=reasons.append), reasons


def same_frames(frames: Frames, expected: np.ndarray) -> None:
    """Within half a step of 0.005 dB, in which they are kept."""
    np.testing.assert_allclose(10 * np.log10(frames.power), 10 * np.log10(expected), rtol=0, atol=0.0026)


# Frames


def test_frames_are_those_of_a_stream(cache: FrameCache, tmp_path: Path) -> None:
    """Longer than what is read at once."""
    sound = noise(11 * 16_000)
    path = write_sound(tmp_path / "a.wav", sound)
    frames = cache.frames(path)
    expected = frames_of(small_config(), sound[None])[0].numpy()
    assert frames.power.shape == expected.shape == (1101, 64)
    same_frames(frames, expected)
    assert np.array(frames.power).dtype == np.float32
    assert frames.path == path
    assert frames.peak == pytest.approx((sound.max() - sound.min()) / 2)


def test_two_recordings_have_nothing_of_each_other(cache: FrameCache, tmp_path: Path) -> None:
    one, other = noise(8000, seed=1), noise(8000, seed=2)
    cache.frames(write_sound(tmp_path / "one.wav", one))
    found = cache.frames(write_sound(tmp_path / "other.wav", other))
    same_frames(found, frames_of(small_config(), other[None])[0].numpy())


def test_after_one_that_failed_in_the_midst_the_next_has_nothing_of_it(cache: FrameCache, tmp_path: Path) -> None:
    bad, good = noise(16_000 * 11), noise(8000)
    bad[-1] = np.nan
    with pytest.raises(DataError, match="not numbers"):
        cache.frames(write_sound(tmp_path / "bad.wav", bad))
    found = cache.frames(write_sound(tmp_path / "good.wav", good))
    same_frames(found, frames_of(small_config(), good[None])[0].numpy())


# The cache


def test_the_second_time_nothing_is_made(cache: FrameCache, tmp_path: Path) -> None:
    paths = [write_sound(tmp_path / f"{n}.wav", noise(8000, seed=n)) for n in range(3)]
    first = [cache.frames(path) for path in paths]
    assert cache.made == 3
    second = again(cache)
    for path, before in zip(paths, first, strict=True):
        now = second.frames(path)
        assert np.array_equal(now.power, before.power)
        assert (now.digest, now.peak, now.clipped_share) == (before.digest, before.peak, before.clipped_share)
    assert second.made == 0
    assert cache.frames(paths[0]).power.shape == (51, 64)
    assert cache.made == 3


def test_changed_content_is_made_again(cache: FrameCache, tmp_path: Path) -> None:
    path = write_sound(tmp_path / "a.wav", noise(8000, seed=1))
    before = cache.frames(path)
    write_sound(path, noise(8000, seed=2))  # of the same size
    os.utime(path, ns=(1, before.path.stat().st_mtime_ns + 1_000_000))
    now = cache.frames(path)
    assert cache.made == 2
    assert now.digest != before.digest
    same_frames(now, frames_of(small_config(), noise(8000, seed=2)[None])[0].numpy())


@pytest.mark.parametrize(
    "setting",
    [
        {"n_mels": 32},
        {"n_fft": 1024},
        {"hop_length": 80},
        {"fmin": 50.0},
        {"fmax": 7000.0},
        {"channel": 1},
        {"sample_rate": 8000},
    ],
)
def test_changed_settings_of_the_frames_are_made_again(cache: FrameCache, tmp_path: Path, setting: dict) -> None:
    path = write_sound(tmp_path / "a.wav", noise(16_000, streams=2).T)
    before = cache.frames(path).power
    changed = again(cache, **setting)
    now = changed.frames(path).power
    assert changed.made == 1
    assert now.shape != before.shape or not np.allclose(now, before)
    third = again(cache)
    assert np.array_equal(third.frames(path).power, before)
    assert third.made == 0, "the old ones are still there"


@pytest.mark.parametrize(
    "setting", [{"scale": "power"}, {"floor": 1e-6}, {"standardize": False}, {"window_frames": 10}]
)
def test_settings_that_do_not_change_the_frames_make_nothing_again(cache, tmp_path: Path, setting: dict) -> None:
    path = write_sound(tmp_path / "a.wav", noise(8000))
    cache.frames(path)
    changed = again(cache, **setting)
    changed.frames(path)
    assert changed.made == 0


def test_a_renamed_moved_or_copied_recording_is_not_made_again(cache: FrameCache, tmp_path: Path) -> None:
    path = write_sound(tmp_path / "a.wav", noise(8000))
    before = cache.frames(path)
    (tmp_path / "elsewhere").mkdir()
    moved = path.rename(tmp_path / "elsewhere" / "b.wav")
    copy = tmp_path / "copy.wav"
    copy.write_bytes(moved.read_bytes())
    for other in (moved, copy):
        now = again(cache).frames(other)
        assert np.array_equal(now.power, before.power)
        assert (now.path, now.digest) == (other, before.digest)
        assert cache.made == 1
        fresh = again(cache)
        fresh.frames(other)
        assert fresh.made == 0


@pytest.mark.parametrize("damage", ["no file", "half a file", "a longer file", "an empty file"])
def test_a_damaged_cache_is_made_again(cache: FrameCache, tmp_path: Path, damage: str) -> None:
    path = write_sound(tmp_path / "a.wav", noise(8000))
    before = np.array(cache.frames(path).power)
    [kept] = cache.folder.rglob("*.mel")
    content = kept.read_bytes()
    kept.unlink()
    if damage != "no file":
        left = {"half a file": content[: len(content) // 2], "a longer file": content + content, "an empty file": b""}
        kept.write_bytes(left[damage])
    fresh = again(cache)
    assert np.array_equal(fresh.frames(path).power, before)
    assert fresh.made == 1


def test_a_damaged_note_of_what_a_recording_holds_is_made_again(cache: FrameCache, tmp_path: Path) -> None:
    path = write_sound(tmp_path / "a.wav", noise(8000))
    before = cache.frames(path)
    [note] = [file for file in (cache.folder / "seen").rglob("*") if file.is_file()]
    for damage in (b"\xff\xfe", b"", b"../../elsewhere"):
        note.write_bytes(damage)
        assert not cache.has(path)
        assert cache.frames(path).digest == before.digest
        assert cache.has(path)


def test_the_cache_leaves_no_temporary_files_and_none_of_what_failed(cache: FrameCache, tmp_path: Path) -> None:
    bad = noise(16_000 * 11)
    bad[-1] = np.inf
    chosen(cache, write_sound(tmp_path / "bad.wav", bad), write_sound(tmp_path / "good.wav", noise(8000)))
    kept = [path for path in cache.folder.rglob("*") if path.is_file()]
    assert sorted(path.suffix for path in kept) == ["", "", ".mel"], "two notes, one recording"


def test_the_cache_is_where_the_settings_say_else_where_the_user_keeps_such(tmp_path: Path, monkeypatch) -> None:
    assert cache_folder(Config(train=Train(cache_dir=tmp_path / "here"))) == tmp_path / "here"
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "caches"))
    assert (tmp_path / "caches") in cache_folder(Config()).parents
    (tmp_path / "file").touch()
    with pytest.raises(ConfigError, match="cannot be written"):
        cache_folder(Config(train=Train(cache_dir=tmp_path / "file" / "below")))


def test_a_thousand_recordings_need_no_open_files_and_no_memory_until_they_are_read(cache, tmp_path: Path) -> None:
    """A large set has more recordings than a system lets a process map or open."""
    kept = cache.frames(write_sound(tmp_path / "a.wav", noise(16_000)))
    before = len(list(Path("/proc/self/maps").read_text().splitlines()))
    many = [again(cache).frames(kept.path) for _ in range(1000)]
    assert len(Path("/proc/self/maps").read_text().splitlines()) < before + 500
    assert np.array_equal(np.array(many[-1].power[10:20]), np.array(kept.power)[10:20])


def test_recordings_read_side_by_side_are_those_read_one_by_one(cache: FrameCache, tmp_path: Path) -> None:
    paths = [write_sound(tmp_path / f"{n}.wav", noise(16_000 + n, seed=n)) for n in range(12)]
    threads = torch.get_num_threads()
    try:
        torch.set_num_threads(4)
        together, _ = chosen(FrameCache(cache.features, tmp_path / "other"), *paths)
        assert torch.get_num_threads() == 4
    finally:
        torch.set_num_threads(threads)
    for path, frames in zip(paths, together, strict=True):
        assert frames.path == path
        assert np.array_equal(frames.power, cache.frames(path).power)


def test_why_one_of_many_cannot_be_used_comes_back_from_the_process_that_read_it(
    cache: FrameCache, tmp_path: Path
) -> None:
    paths = [write_sound(tmp_path / f"{n}.wav", noise(16_000, seed=n)) for n in range(6)]
    paths[3].write_bytes(b"no sound")
    kept, told = chosen(cache, *paths)
    assert [frames.path for frames in kept] == paths[:3] + paths[4:]
    assert len(told) == 1
    assert str(paths[3]) in told[0]


def test_a_cache_that_cannot_be_written_ends_it_with_a_sentence(cache: FrameCache, tmp_path: Path) -> None:
    paths = [write_sound(tmp_path / f"{n}.wav", noise(16_000, seed=n)) for n in range(6)]
    cache.folder.write_text("a file where the folder should be")
    with pytest.raises(MonitorError, match="cannot be written"):
        chosen(cache, *paths)


@pytest.mark.skipif(torch.get_num_threads() < 2, reason="recordings are read by this process alone")
def test_when_the_system_ends_a_process_that_reads_it_is_told_and_what_was_made_is_kept(
    cache: FrameCache, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    paths = [write_sound(tmp_path / f"{n}.wav", noise(16_000, seed=n)) for n in range(12)]

    def frames(self: FrameCache, path: Path) -> Frames:
        if path == paths[10] and get_worker_info():
            os.kill(os.getpid(), signal.SIGKILL)
        return made(self, path)

    with monkeypatch.context() as patched:
        made = FrameCache.frames
        patched.setattr(FrameCache, "frames", frames)
        with pytest.raises(MonitorError, match=r"ended.*begin again"):
            chosen(cache, *paths)
    assert cache.has(paths[0])
    assert not cache.has(paths[10])
    assert [kept.path for kept in chosen(cache, *paths)[0]] == paths


def test_frames_that_vanish_while_they_are_used_are_told_in_a_sentence(cache: FrameCache, tmp_path: Path) -> None:
    frames = cache.frames(write_sound(tmp_path / "a.wav", noise(16_000)))
    [kept] = cache.folder.rglob("*.mel")
    kept.write_bytes(kept.read_bytes()[:1000])
    with pytest.raises(DataError, match="cut off"):
        np.array(frames.power)
    kept.unlink()
    with pytest.raises(DataError, match="cannot be read"):
        np.array(frames.power)


# What is kept of them


@given(st.floats(1e-15, 1e17))
def test_a_power_of_any_size_is_kept_to_0_0026_dB(power: float) -> None:  # noqa: N802
    again = decoded(encoded(torch.tensor([[power]])))
    assert 10 * np.log10(again[0, 0]) == pytest.approx(10 * np.log10(power), abs=0.0026)


def test_silence_is_kept_as_silence_and_what_is_beyond_all_measure_as_the_highest() -> None:
    silence, faint, huge = decoded(encoded(torch.tensor([0.0, 1e-20, 1e30])))
    assert silence == faint == 0
    assert huge == pytest.approx(10**17.767, rel=1e-3)


def test_decibels_rise_with_their_codes() -> None:
    powers = decoded(np.arange(65536, dtype=np.uint16))
    assert (np.diff(powers) > 0).all()
    assert np.array_equal(encoded(torch.from_numpy(powers)), np.arange(65536))


# Left out


def bad_recordings(folder: Path) -> dict[str, tuple[Path, str]]:
    """Recordings that cannot be trained on, each with a word of the reason."""
    sound = noise(16_000)
    not_finite, infinite, absurd = sound.copy(), sound.copy(), sound.copy()
    not_finite[5000], infinite[5000], absurd[5000] = np.nan, np.inf, -1e30
    clipped = np.clip(20 * sound, -1, 1)
    (folder / "text.wav").write_text("this is no sound")
    (folder / "empty.wav").touch()
    return {
        "unreadable": (folder / "text.wav", "not a recording that can be read"),
        "empty": (folder / "empty.wav", "not a recording that can be read"),
        "missing": (folder / "missing.wav", "No such file"),
        "silent": (write_sound(folder / "silent.wav", np.zeros(16_000)), "silent"),
        "clipped": (write_sound(folder / "clipped.wav", clipped, subtype="PCM_16"), "clipped"),
        "short": (write_sound(folder / "short.wav", noise(19 * 160 - 1)), "too short"),
        "no sample": (write_sound(folder / "none.wav", noise(0)), "without any sound"),
        "constant": (write_sound(folder / "constant.wav", np.full(16_000, 0.3)), "silent"),
        "NaN": (write_sound(folder / "nan.wav", not_finite), "not numbers"),
        "infinite": (write_sound(folder / "inf.wav", infinite), "not numbers"),
        "absurd": (write_sound(folder / "absurd.wav", absurd), "full scale"),
    }


def test_bad_recordings_are_left_out_with_a_reason_each_and_the_others_stay(cache: FrameCache, tmp_path: Path) -> None:
    bad = bad_recordings(tmp_path)
    good = [write_sound(tmp_path / f"good{n}.wav", noise(16_000, seed=n)) for n in range(2)]
    advanced: list[None] = []
    reasons: list[str] = []
    kept = usable(
        cache,
        [good[0], *(path for path, _ in bad.values()), good[1]],
        training=True,
        leave_out=reasons.append,
        advance=lambda: advanced.append(None),
    )
    assert [frames.path for frames in kept] == good
    assert len(reasons) == len(bad)
    for reason, (path, word) in zip(reasons, bad.values(), strict=True):
        assert reason.startswith(f"{path}: ")
        assert word in reason
        assert reason.endswith(".")
        assert "\n" not in reason
    assert len(advanced) == len(bad) + 2, "the progress goes on for those too"
    assert chosen(again(cache), *(path for path, _ in bad.values()))[1] == reasons


def test_silent_and_clipped_recordings_are_still_tested(cache: FrameCache, tmp_path: Path) -> None:
    """A fault may well be loud, and a machine that stands still is one."""
    bad = bad_recordings(tmp_path)
    kept, reasons = chosen(cache, *(path for path, _ in bad.values()), training=False)
    assert [frames.path for frames in kept] == [bad[what][0] for what in ("silent", "clipped", "constant")]
    assert len(reasons) == len(bad) - 3


def test_the_shortest_recording_has_as_many_frames_as_a_window(cache: FrameCache, tmp_path: Path) -> None:
    kept, reasons = chosen(cache, write_sound(tmp_path / "just.wav", noise(19 * 160)))
    assert ([len(frames.power) for frames in kept], reasons) == ([20], [])


def test_a_loud_moment_or_a_normalised_peak_is_not_clipping(cache: FrameCache, tmp_path: Path) -> None:
    sound = noise(16_000)
    sound[100:115] = 1.0
    assert len(chosen(cache, write_sound(tmp_path / "a.wav", sound))[0]) == 1
    sound[100:120] = -1.0
    [reason] = chosen(cache, write_sound(tmp_path / "b.wav", sound))[1]
    assert "clipped (0.1%" in reason


def test_clipping_of_one_channel_is_seen_before_they_are_mixed(cache: FrameCache, tmp_path: Path) -> None:
    sound = noise(16_000, streams=2)
    sound[1] = np.clip(30 * sound[1], -1, 1)
    path = write_sound(tmp_path / "a.wav", sound.T)
    assert "clipped" in chosen(cache, path)[1][0]
    assert len(chosen(again(cache, channel=0), path)[0]) == 1, "the other one is fine"


def test_a_quiet_recording_is_not_silent(cache: FrameCache, tmp_path: Path) -> None:
    sound = np.zeros(16_000, np.float32)
    sound[::7] = 1 / 32768
    assert len(chosen(cache, write_sound(tmp_path / "a.wav", sound, subtype="PCM_16"))[0]) == 1


# Arrays of mel frames


def array_file(folder: Path, array: np.ndarray, **options: bool) -> Path:
    np.save(folder / "mel.npy", array, **options)  # type: ignore[arg-type]
    return folder / "mel.npy"


@pytest.mark.parametrize("dtype", [np.float32, np.float64, np.float16, np.uint8, np.int64])
@pytest.mark.parametrize("order", ["C", "F"])
def test_an_array_of_mel_frames_is_taken_as_it_is(cache: FrameCache, tmp_path: Path, dtype, order: str) -> None:
    array = np.asarray(100 * np.random.default_rng(0).random((30, 64)), dtype=dtype, order=order)
    frames = cache.frames(array_file(tmp_path, array))
    assert frames.power.dtype == np.float32
    assert np.array_equal(frames.power, array.astype(np.float32))
    assert cache.made == 0


def arrays() -> dict[str, tuple[Callable[[Path], Path], str]]:
    def written(content: bytes) -> Callable[[Path], Path]:
        def write(folder: Path) -> Path:
            (folder / "mel.npy").write_bytes(content)
            return folder / "mel.npy"

        return write

    def saved(array: np.ndarray, **options: bool) -> Callable[[Path], Path]:
        return lambda folder: array_file(folder, array, **options)

    good = np.ones((30, 64))
    negative, hole = -60 * good, good.copy()
    hole[3, 3] = np.nan
    return {
        "transposed": (saved(good.T), "(frames, 64)"),
        "other bands": (saved(np.ones((30, 128))), "(frames, 64)"),
        "one dimension": (saved(np.ones(64)), "(frames, 64)"),
        "three dimensions": (saved(np.ones((1, 30, 64))), "(frames, 64)"),
        "a number": (saved(np.array(1.0)), "(frames, 64)"),
        "decibels": (saved(negative), "dB"),
        "NaN": (saved(hole), "finite"),
        "too large": (saved(np.full((30, 64), 1e300)), "finite"),
        "complex": (saved(good.astype(complex)), "power mel frames"),
        "text": (saved(np.full((30, 64), "1.0")), "power mel frames"),
        "silent": (saved(0 * good), "silent"),
        "short": (saved(np.ones((19, 64))), "too short"),
        "no frames": (saved(np.ones((0, 64))), "too short"),
        "objects": (saved(np.full((30, 64), None, object), allow_pickle=True), "not an array that can be read"),
        "pickle": (written(pickle.dumps(good)), "not an array that can be read"),
        "empty": (written(b""), "not an array that can be read"),
        "header only": (written(b"\x93NUMPY\x01\x00v\x00"), "not an array that can be read"),
        "sound": (written(b"RIFF" + bytes(100)), "not an array that can be read"),
    }


@pytest.mark.filterwarnings("ignore:overflow encountered in cast:RuntimeWarning")
@pytest.mark.parametrize("name", arrays())
def test_an_array_that_is_no_power_mel_frames_is_refused_with_a_reason(cache, tmp_path: Path, name: str) -> None:
    make, word = arrays()[name]
    kept, [reason] = chosen(cache, make(tmp_path))
    assert kept == []
    assert word in reason
    assert "mel.npy" in reason
    assert "\n" not in reason


class Payload:
    """Leaves a trace where it is unpickled."""

    def __init__(self, trace: Path) -> None:
        self.trace = trace

    def __reduce__(self) -> tuple[Callable[..., object], tuple[object, ...]]:
        return exec, (f"open({str(self.trace)!r}, 'w').close()",)


@pytest.mark.parametrize("kind", ["an object array", "a bare pickle"])
def test_an_array_that_holds_a_program_is_refused_and_never_executed(cache, tmp_path: Path, kind: str) -> None:
    trace = tmp_path / "executed"
    if kind == "a bare pickle":
        path = tmp_path / "mel.npy"
        path.write_bytes(pickle.dumps(Payload(trace)))
    else:
        path = array_file(tmp_path, np.array([[Payload(trace)] * 64] * 30, object), allow_pickle=True)
    np.load(path, allow_pickle=True)
    assert trace.exists(), "the payload works"
    trace.unlink()
    assert len(chosen(cache, path)[1]) == 1
    assert not trace.exists()


@pytest.mark.filterwarnings("ignore::UserWarning")
@pytest.mark.parametrize("damage", ["an npz", (8, 64), (21, 16), (26, 66), (64, 13)])
def test_a_damaged_array_is_refused_with_a_reason(cache: FrameCache, tmp_path: Path, damage) -> None:
    """An npz under another name, or one byte of the header (position, flip) that makes numpy raise something else."""
    path = array_file(tmp_path, np.ones((30, 64)))
    if damage == "an npz":
        np.savez(tmp_path / "frames.npz", np.ones((30, 64)))
        (tmp_path / "frames.npz").rename(path)
    else:
        content = bytearray(path.read_bytes())
        content[damage[0]] ^= damage[1]
        path.write_bytes(content)
    kept, reasons = chosen(cache, path)
    assert (kept, len(reasons)) == ([], 1)


# Their digest


def test_the_digest_of_a_set_is_that_of_its_contents_whatever_their_names_and_order(cache, tmp_path: Path) -> None:
    first = [cache.frames(write_sound(tmp_path / f"{n}.wav", noise(8000, seed=n))) for n in range(3)]
    renamed = [cache.frames(write_sound(tmp_path / f"x{n}.wav", noise(8000, seed=n))) for n in (2, 0, 1)]
    other = [*first[:2], cache.frames(write_sound(tmp_path / "4.wav", noise(8000, seed=4)))]
    assert manifest_digest(first) == manifest_digest(renamed)
    assert len({manifest_digest(s) for s in (first, other, first[:2], [*first, first[0]])}) == 4
