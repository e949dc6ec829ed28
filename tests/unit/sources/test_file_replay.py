"""A replay writes the exact samples of its files, and reports a file that cannot be played before it starts."""

from __future__ import annotations

import math
import threading
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import soxr

from monitor.core.errors import DataError
from monitor.sources.file_replay import FileReplay
from monitor.sources.source import Mark
from support.builders import RATE, noise, write_sound
from support.sources import all_of


def replay(*paths: Path, **options: Any) -> FileReplay:
    """Returns a replay at infinite speed."""
    return FileReplay(paths, RATE, **{"speed": math.inf, **options})


def recorded(folder: Path, sounds: Sequence[np.ndarray], names: str = "abc") -> list[Path]:
    return [write_sound(folder / f"{name}.wav", sound) for name, sound in zip(names, sounds, strict=True)]


def undated(marks: Sequence[Mark]) -> list[Mark]:
    """The marks without the times at which the recordings were made."""
    return [replace(mark, began=None) for mark in marks]


def test_a_replay_gives_exactly_the_files_samples_between_two_marks(tmp_path: Path) -> None:
    samples, marks = all_of(replay(write_sound(tmp_path / "a.wav", noise(50_001))))
    assert np.array_equal(samples, noise(50_001))
    assert undated(marks) == [Mark(0, "recording", "a.wav", 50_001 / RATE), Mark(50_001, "end")]


@pytest.mark.parametrize("buffer_s", [0.05, 0.5, 30.0])
def test_nothing_is_dropped_whatever_the_size_of_the_ring(tmp_path: Path, buffer_s: float) -> None:
    path = write_sound(tmp_path / "a.wav", noise(40_000))
    samples, _ = all_of(replay(path, buffer_s=buffer_s), max_count=700)
    assert np.array_equal(samples, noise(40_000))


def test_recordings_begin_anew_one_after_another(tmp_path: Path) -> None:
    sounds = [noise(n, seed=n) for n in (12_345, 1, 20_000)]
    samples, marks = all_of(replay(*recorded(tmp_path, sounds, "cab")))
    assert np.array_equal(samples, np.concatenate(sounds))
    assert undated(marks) == [
        Mark(0, "recording", "c.wav", 12_345 / RATE),
        Mark(12_345, "recording", "a.wav", 1 / RATE),
        Mark(12_346, "recording", "b.wav", 20_000 / RATE),
        Mark(32_346, "end"),
    ]


def test_without_gaps_recordings_are_one_stream_under_changing_names(tmp_path: Path) -> None:
    sounds = [noise(8000, seed=n) for n in range(3)]
    samples, marks = all_of(replay(*recorded(tmp_path, sounds), gapless=True))
    assert np.array_equal(samples, np.concatenate(sounds))
    assert [(m.index, m.kind, m.name) for m in marks] == [
        (0, "recording", "a.wav"),
        (8000, "name", "b.wav"),
        (16_000, "name", "c.wav"),
        (24_000, "end", ""),
    ]
    assert [m.duration_s for m in marks[:3]] == [1.5] * 3, "the length of all together"


@pytest.mark.parametrize(("channel", "expected"), [(1, 1), ("mix", None)])
def test_the_models_channel_is_read(tmp_path: Path, channel: Any, expected: int | None) -> None:
    sound = noise(30_000, streams=3).T.copy()
    samples, _ = all_of(replay(write_sound(tmp_path / "a.wav", sound), channel=channel))
    expected_sound = sound.mean(axis=1) if expected is None else sound[:, expected]
    np.testing.assert_allclose(samples, expected_sound, atol=1e-7)


@pytest.mark.parametrize("rate", [48_000, 44_100, 8000])
def test_another_rate_is_resampled_as_in_one_piece(tmp_path: Path, rate: int) -> None:
    sound = noise(3 * rate + 17)
    samples, marks = all_of(replay(write_sound(tmp_path / "a.wav", sound, rate)))
    expected = soxr.resample(sound, rate, RATE)
    assert len(samples) == len(expected)
    np.testing.assert_allclose(samples, expected, atol=1e-6)
    assert marks[0].duration_s == len(sound) / rate
    assert marks[-1].index == len(samples)


# Files that cannot be played


@pytest.mark.parametrize("broken", ["text.wav", "missing.wav", "folder.wav", "mel.npy", "cut.flac"])
def test_if_nothing_can_be_played_a_sentence_says_so_before_anything_starts(tmp_path: Path, broken: str) -> None:
    (tmp_path / "text.wav").write_bytes(b"this is no sound")
    (tmp_path / "folder.wav").mkdir()
    np.save(tmp_path / "mel.npy", np.ones((30, 64), np.float32))
    good, bad = write_sound(tmp_path / "good.wav", noise(100)), tmp_path / broken
    cut = write_sound(tmp_path / "cut.flac", noise(80_000), subtype="PCM_16")
    cut.write_bytes(cut.read_bytes()[:60_000])
    before = set(threading.enumerate())
    for paths, options in (([bad], {}), ([good, bad], {"gapless": True})):
        with pytest.raises(DataError) as caught:
            replay(*paths, **options)
        assert str(caught.value).startswith(f"{bad}: ")
        assert len(str(caught.value).splitlines()) == 1
    assert set(threading.enumerate()) <= before


@pytest.mark.parametrize("place", ["first", "middle", "last"])
def test_recordings_beside_one_that_cannot_be_read_are_played_and_that_one_is_named_at_the_end(
    tmp_path: Path, place: str
) -> None:
    (tmp_path / "empty.wav").touch()
    broken = noise(RATE, seed=3)
    broken[RATE // 2] = np.nan
    a, c = recorded(tmp_path, [noise(8000, seed=n) for n in range(2)], "ac")
    bad = [tmp_path / "empty.wav", write_sound(tmp_path / "nan.wav", broken)]
    source = replay(*{"first": [*bad, a, c], "middle": [a, *bad, c], "last": [a, c, *bad]}[place])
    samples, marks = all_of(source)
    at = {mark.name: mark.index for mark in marks}
    for name, seed in (("a.wav", 0), ("c.wav", 1)):
        assert np.array_equal(samples[at[name] :][:8000], noise(8000, seed=seed))
    assert isinstance(source.error, DataError)
    assert [line.split(": ")[0] for line in str(source.error).splitlines()] == list(map(str, bad))
    assert marks[-1].kind == "end"


def test_a_part_of_a_continuous_recording_that_breaks_off_ends_the_replay(tmp_path: Path) -> None:
    """What follows would not be where it belongs."""
    broken = noise(RATE)
    broken[RATE // 2] = np.nan
    paths = [write_sound(tmp_path / "a.wav", broken), write_sound(tmp_path / "b.wav", noise(RATE))]
    source = replay(*paths, gapless=True)
    _, marks = all_of(source)
    assert [mark.kind for mark in marks] == ["recording", "end"]
    assert str(source.error).startswith(f"{paths[0]}: ")


@pytest.mark.parametrize("what", ["NaN", "vanished", "damaged", "no such channel"])
def test_an_error_in_the_middle_of_a_file_is_kept_as_the_sources_error(tmp_path: Path, what: str) -> None:
    """The samples before the error are still written."""
    good, bad = write_sound(tmp_path / "good.wav", noise(1000)), tmp_path / "bad.flac"
    sound = noise(80_000)
    write_sound(bad, sound, subtype="PCM_16")
    if what == "NaN":
        bad = tmp_path / "bad.wav"
        sound[30_000] = np.nan
        write_sound(bad, sound)
    elif what == "damaged":
        content = bad.read_bytes()
        bad.write_bytes(content[:60_000] + bytes(2000) + content[62_000:])
    elif what == "no such channel":
        write_sound(good, noise(1000, streams=2).T)
    source = replay(good, bad, channel=1 if what == "no such channel" else "mix")
    if what == "vanished":
        bad.unlink()
    samples, marks = all_of(source)
    assert len(samples) >= 1000
    assert isinstance(source.error, DataError)
    assert str(source.error).startswith(f"{bad}: ")
    assert "\n" not in str(source.error)
    assert [mark.kind for mark in marks] == ["recording", "recording", "end"]
