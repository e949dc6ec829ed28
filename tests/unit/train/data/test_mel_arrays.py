"""Recordings that are arrays of power mel frames (.npy): they are validated, and pickled objects are not loaded."""

from __future__ import annotations

import pickle
import tracemalloc
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest

from monitor.core.errors import DataError
from support.feature_caches import usable
from train.data.feature_cache import FeatureCache


def array_file(folder: Path, array: np.ndarray, **options: bool) -> Path:
    np.save(folder / "mel.npy", array, **options)  # type: ignore[arg-type]
    return folder / "mel.npy"


@pytest.mark.parametrize("dtype", [np.float32, np.float64, np.float16, np.uint8, np.int64])
@pytest.mark.parametrize("order", ["C", "F"])
def test_an_array_of_power_mel_frames_is_used_as_it_is(cache: FeatureCache, tmp_path: Path, dtype, order: str) -> None:
    array = np.asarray(100 * np.random.default_rng(0).random((30, 64)), dtype=dtype, order=order)
    frames = cache.frames(array_file(tmp_path, array))
    assert np.array(frames.power).dtype == np.float32
    assert np.array_equal(frames.power, array.astype(np.float32))
    assert cache.computed == 0


def test_an_array_is_read_in_portions_and_never_whole(cache: FeatureCache, tmp_path: Path) -> None:
    """All of it as float32 would be 51 MB."""
    path = tmp_path / "long.NPY"
    written = np.lib.format.open_memmap(tmp_path / "long.npy", mode="w+", dtype=np.float16, shape=(200_000, 64))
    written[100_000:100_003] = np.arange(1, 4)[:, None]
    written.flush()
    del written
    (tmp_path / "long.npy").rename(path)
    tracemalloc.start()
    try:
        power = cache.frames(path).power
        middle = np.array(power[50_000:][50_000:50_004])
        assert tracemalloc.get_traced_memory()[1] < 16e6
    finally:
        tracemalloc.stop()
    assert power.shape == (200_000, 64)
    assert middle.dtype == np.float32
    assert middle[:, 5].tolist() == [1, 2, 3, 0]


def test_an_array_that_is_replaced_by_a_shorter_one_while_it_is_used_is_an_error(cache, tmp_path: Path) -> None:
    frames = cache.frames(array_file(tmp_path, np.ones((30, 64))))
    array_file(tmp_path, np.ones((20, 64)))
    with pytest.raises(DataError, match="changed while it was in use"):
        np.array(frames.power)


def arrays() -> dict[str, tuple[Callable[[Path], Path], str]]:
    def written(content: bytes) -> Callable[[Path], Path]:
        def write(folder: Path) -> Path:
            (folder / "mel.npy").write_bytes(content)
            return folder / "mel.npy"

        return write

    def saved(array: np.ndarray, **options: bool) -> Callable[[Path], Path]:
        return lambda folder: array_file(folder, array, **options)

    good = np.ones((30, 64))
    negative, missing = -60 * good, good.copy()
    missing[3, 3] = np.nan
    return {
        "transposed": (saved(good.T), "(frames, 64)"),
        "other bands": (saved(np.ones((30, 128))), "(frames, 64)"),
        "one dimension": (saved(np.ones(64)), "(frames, 64)"),
        "three dimensions": (saved(np.ones((1, 30, 64))), "(frames, 64)"),
        "a number": (saved(np.array(1.0)), "(frames, 64)"),
        "decibels": (saved(negative), "dB"),
        "NaN": (saved(missing), "finite"),
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
def test_an_array_of_anything_else_is_refused_with_a_reason(cache, tmp_path: Path, name: str) -> None:
    make, word = arrays()[name]
    kept, [reason] = usable(cache, make(tmp_path))
    assert kept == []
    assert word in reason
    assert "mel.npy" in reason
    assert "\n" not in reason


class Payload:
    """An object that creates the file `trace` when it is unpickled."""

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
    assert len(usable(cache, path)[1]) == 1
    assert not trace.exists()


@pytest.mark.filterwarnings("ignore::UserWarning")
@pytest.mark.parametrize("damage", ["an npz", (8, 64), (21, 16), (26, 66), (64, 13)])
def test_a_damaged_array_is_refused_with_a_reason(cache: FeatureCache, tmp_path: Path, damage) -> None:
    """The damage is an npz file with another name, or a changed byte of the header (position, flip), for which numpy
    raises other exceptions."""
    path = array_file(tmp_path, np.ones((30, 64)))
    if damage == "an npz":
        np.savez(tmp_path / "frames.npz", np.ones((30, 64)))
        (tmp_path / "frames.npz").rename(path)
    else:
        content = bytearray(path.read_bytes())
        content[damage[0]] ^= damage[1]
        path.write_bytes(content)
    kept, reasons = usable(cache, path)
    assert (kept, len(reasons)) == ([], 1)
