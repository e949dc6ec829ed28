"""What a source writes into its ring is what was recorded, sample by sample; what it cannot play it says at once."""

from __future__ import annotations

import math
import threading
import time
from pathlib import Path

import numpy as np
import pytest
import soundfile
import soxr
from builders import noise, pieces, write_sound
from hypothesis import given, settings
from hypothesis import strategies as st

from monitor.audio.reader import Resampler, duration_s, read_blocks, select_channel
from monitor.core.errors import DataError, MonitorError
from monitor.sources.source import Mark, Source, Synthetic, WavReplay
from train.demo.synthetic import Machine, MachineSound

RATE = 16000


def heard(source: Source, *, most: int = 5000) -> tuple[np.ndarray, list[Mark]]:
    """All that a source writes, taken as the engine takes it, and its marks; it has ended by itself."""
    blocks: list[np.ndarray] = []
    marks: list[Mark] = []
    source.start()
    late = time.monotonic() + 60
    while True:
        assert time.monotonic() < late, "it does not end"
        while source.marks:
            marks.append(source.marks.popleft())
        if marks and marks[-1].kind == "end" and source.ring.read == marks[-1].index:
            break
        taken = source.ring.take(most)
        assert taken.lost == 0
        assert taken.samples.dtype == np.float32
        blocks.append(taken.samples[:, 0])
        if not len(taken.samples):
            threading.Event().wait(0.0005)
    source.stop()
    assert source.ring.written == sum(map(len, blocks))
    return np.concatenate([np.empty(0, np.float32), *blocks]), marks


def replay(*paths: Path, **options: object) -> WavReplay:
    return WavReplay(paths, RATE, **{"speed": math.inf, **options})  # type: ignore[arg-type]


# Replays


@pytest.mark.parametrize("subtype", ["FLOAT", "PCM_16", "PCM_24"])
@pytest.mark.parametrize("suffix", ["wav", "flac"])
def test_a_replay_at_full_speed_gives_exactly_the_files_samples(tmp_path: Path, subtype: str, suffix: str) -> None:
    if (suffix, subtype) == ("flac", "FLOAT"):
        subtype = "PCM_16"
    path = write_sound(tmp_path / f"a.{suffix}", noise(50_001), subtype=subtype)
    samples, marks = heard(replay(path))
    assert np.array_equal(samples, soundfile.read(path, dtype="float32")[0])
    assert marks == [Mark(0, "recording", f"a.{suffix}", 50_001 / RATE), Mark(50_001, "end")]


@pytest.mark.parametrize("buffer_s", [0.05, 0.5, 30.0])
def test_nothing_is_dropped_whatever_the_size_of_the_ring(tmp_path: Path, buffer_s: float) -> None:
    path = write_sound(tmp_path / "a.wav", noise(40_000))
    samples, _ = heard(replay(path, buffer_s=buffer_s), most=700)
    assert np.array_equal(samples, noise(40_000))


def test_a_reader_that_stops_reading_stops_the_replay_and_loses_nothing(tmp_path: Path) -> None:
    source = replay(write_sound(tmp_path / "a.wav", noise(40_000)), buffer_s=0.5)
    source.start()
    while source.ring.free >= 2000:
        threading.Event().wait(0.001)
    threading.Event().wait(0.02)
    assert source.ring.written <= source.ring.capacity == 8000
    source.stop()
    assert np.array_equal(source.ring.take(8000).samples[:, 0], noise(40_000)[: source.ring.written])


def test_recordings_begin_anew_one_after_another(tmp_path: Path) -> None:
    lengths = (12_345, 1, 20_000)
    sounds = [noise(n, seed=n) for n in lengths]
    paths = [write_sound(tmp_path / f"{n}.wav", s) for n, s in zip("cab", sounds, strict=True)]
    samples, marks = heard(replay(*paths))
    assert np.array_equal(samples, np.concatenate(sounds))
    assert marks == [
        Mark(0, "recording", "c.wav", 12_345 / RATE),
        Mark(12_345, "recording", "a.wav", 1 / RATE),
        Mark(12_346, "recording", "b.wav", 20_000 / RATE),
        Mark(32_346, "end"),
    ]


def test_without_gaps_recordings_are_one_stream_under_changing_names(tmp_path: Path) -> None:
    sounds = [noise(8000, seed=n) for n in range(3)]
    paths = [write_sound(tmp_path / f"{n}.wav", sound) for n, sound in enumerate(sounds)]
    samples, marks = heard(replay(*paths, gapless=True))
    assert np.array_equal(samples, np.concatenate(sounds))
    assert [(m.index, m.kind, m.name) for m in marks] == [
        (0, "recording", "0.wav"),
        (8000, "name", "1.wav"),
        (16_000, "name", "2.wav"),
        (24_000, "end", ""),
    ]
    assert [m.duration_s for m in marks[:3]] == [1.5] * 3, "of all together"


def test_marks_are_there_before_the_sample_they_speak_of(tmp_path: Path) -> None:
    """Else the engine would take the first samples of a recording for the last of the one before."""
    source = replay(*(write_sound(tmp_path / f"{n}.wav", noise(3000)) for n in range(4)))
    seen: list[tuple[str, int]] = []
    write = source.ring.write

    def observed(block: np.ndarray) -> None:
        newest = source.marks[-1]
        assert newest.index <= source.ring.written
        seen.append((newest.name, source.ring.written // 3000))
        write(block)

    source.ring.write = observed  # type: ignore[method-assign]
    source.start()
    while not source.marks or source.marks[-1].kind != "end":
        threading.Event().wait(0.001)
    source.stop()
    assert source.error is None
    assert {(name, int(name[0])) for name, _ in seen} == set(seen)
    assert len({name for name, _ in seen}) == 4


def test_stopping_ends_the_thread_at_once_and_so_does_stopping_before_the_start(tmp_path: Path) -> None:
    path = write_sound(tmp_path / "a.wav", noise(50_000))
    real_time = replay(path, speed=1.0)
    real_time.stop()
    real_time = replay(path, speed=1.0)
    real_time.start()
    real_time.stop()
    assert real_time.marks[-1].kind == "end"
    assert real_time.ring.written < 50_000


# What cannot be played


def wrong_files(folder: Path) -> dict[str, Path]:
    contents = {
        "text.wav": b"this is no sound",
        "empty.wav": b"",
        "header.wav": b"RIFF\x24\0\0\0WAVE",
        "zeros.flac": bytes(1000),
    }
    for name, content in contents.items():
        (folder / name).write_bytes(content)
    write_sound(folder / "nothing.wav", noise(0))
    (folder / "folder.wav").mkdir()
    np.save(folder / "mel.npy", np.ones((30, 64), np.float32))
    return {name: folder / name for name in (*contents, "nothing.wav", "folder.wav", "mel.npy", "missing.wav")}


@pytest.mark.parametrize(
    "name",
    ["text.wav", "empty.wav", "header.wav", "zeros.flac", "nothing.wav", "folder.wav", "mel.npy", "missing.wav"],
)
def test_what_cannot_be_played_is_told_in_a_sentence_before_anything_starts(tmp_path: Path, name: str) -> None:
    bad = wrong_files(tmp_path)[name]
    good = write_sound(tmp_path / "good.wav", noise(100))
    before = threading.active_count()
    for paths in ([bad], [good, bad]):
        with pytest.raises(DataError) as caught:
            replay(*paths)
        assert str(caught.value).startswith(f"{bad}: ")
        assert str(caught.value).endswith(".")
        assert "\n" not in str(caught.value)
        assert "PosixPath" not in str(caught.value)
    assert threading.active_count() == before


def damaged(folder: Path, what: str) -> tuple[Path, str]:
    """A file whose damage shows only in the midst of it, and a word of what is said."""
    if what == "vanished":
        path = write_sound(folder / "vanished.wav", noise(100))
        return path, "no such file"
    if what == "flac cut off":
        path = write_sound(folder / "cut.flac", noise(80_000), subtype="PCM_16")
        content = path.read_bytes()
        path.write_bytes(content[: len(content) // 2] + bytes(2000))
        return path, "cut.flac"
    samples = noise(40_000)
    samples[30_000] = np.nan if what == "NaN" else np.inf
    return write_sound(folder / "nan.wav", samples), "not numbers"


@pytest.mark.parametrize("what", ["NaN", "infinity", "vanished", "flac cut off"])
def test_what_turns_out_bad_in_the_midst_is_kept_as_the_sources_error(tmp_path: Path, what: str) -> None:
    path, word = damaged(tmp_path, what)
    source = replay(path)
    if what == "vanished":
        path.unlink()
    _, marks = heard(source)
    assert isinstance(source.error, DataError)
    assert word in str(source.error)
    assert "\n" not in str(source.error)
    assert marks[-1].kind == "end"


# Channels and rates


@pytest.mark.parametrize(("channel", "expected"), [(0, 0), (1, 1), (2, 2), ("mix", None)])
def test_a_channel_is_that_channel_and_the_mix_is_the_mean_of_all(tmp_path: Path, channel, expected) -> None:
    sound = noise(30_000, streams=3).T.copy()
    samples, _ = heard(replay(write_sound(tmp_path / "a.wav", sound), channel=channel))
    if expected is None:
        np.testing.assert_allclose(samples, sound.astype(np.float64).mean(axis=1), atol=1e-7)
    else:
        assert np.array_equal(samples, sound[:, expected])


def test_a_channel_that_is_not_there_is_told_with_how_many_there_are(tmp_path: Path) -> None:
    path = write_sound(tmp_path / "stereo.wav", noise(5000, streams=2).T)
    source = replay(path, channel=2)
    heard(source)
    assert isinstance(source.error, DataError)
    assert str(path) in str(source.error)
    assert "channel 2" in str(source.error)
    assert "only 2" in str(source.error)
    with pytest.raises(DataError, match="only 1"):
        select_channel(np.zeros((5, 1), np.float32), 1)


@pytest.mark.parametrize("rate", [48_000, 44_100, 8000])
def test_another_rate_is_resampled_as_in_one_piece(tmp_path: Path, rate: int) -> None:
    sound = noise(3 * rate + 17)
    path = write_sound(tmp_path / "a.wav", sound, rate)
    samples, marks = heard(replay(path))
    expected = soxr.resample(sound, rate, RATE)
    assert len(samples) == len(expected)
    np.testing.assert_allclose(samples, expected, atol=1e-6)
    assert marks[0].duration_s == len(sound) / rate
    assert marks[-1].index == len(samples)


@settings(max_examples=20, deadline=None)
@given(
    length=st.integers(0, 20_000),
    cuts=st.lists(st.integers(1, 5000), min_size=1, max_size=4),
    rates=st.sampled_from([(48_000, 16_000), (44_100, 16_000), (16_000, 16_000), (8000, 16_000)]),
)
def test_resampling_does_not_depend_on_how_the_sound_is_cut(length: int, cuts: list[int], rates) -> None:
    sound = noise(length, seed=length)
    resampler = Resampler(*rates)
    parts = [resampler.push(sound[part]) for part in pieces(length, cuts)]
    found = np.concatenate((*parts, resampler.push(sound[:0], last=True)))
    whole = Resampler(*rates)
    expected = np.concatenate((whole.push(sound), whole.push(sound[:0], last=True)))
    np.testing.assert_allclose(found, expected, atol=1e-7)
    assert len(found) == round(length * rates[1] / rates[0]) or abs(len(found) - length * rates[1] / rates[0]) <= 1


def test_what_is_observed_is_what_was_recorded_before_mixing_and_resampling(tmp_path: Path) -> None:
    sound = noise(48_000, streams=2).T.copy()
    path = write_sound(tmp_path / "a.wav", sound, 48_000)
    for channel, expected in (("mix", sound), (1, sound[:, 1:])):
        seen: list[np.ndarray] = []
        for _ in read_blocks(
            path, RATE, channel, block_s=0.3, observe=lambda block, seen=seen: seen.append(block.copy())
        ):
            pass
        assert np.array_equal(np.concatenate(seen), expected)


def test_the_length_is_told_from_the_header(tmp_path: Path) -> None:
    assert duration_s(write_sound(tmp_path / "a.wav", noise(22_050), 44_100)) == 0.5


# Sound that is made


class Counter:
    """Samples that say their own number."""

    def __init__(self) -> None:
        self.at = 0

    def read(self, n: int, /) -> np.ndarray:
        self.at += n
        return np.arange(self.at - n, self.at, dtype=np.float32)


@pytest.mark.parametrize("length_s", [0.0, 1 / RATE, 0.5, 1.23457])
def test_made_sound_ends_at_its_length_to_the_sample(length_s: float) -> None:
    samples, marks = heard(Synthetic(Counter(), RATE, "counter", length_s=length_s, speed=math.inf, buffer_s=1.0))
    assert np.array_equal(samples, np.arange(round(length_s * RATE)))
    assert marks == [Mark(0, "recording", "counter", length_s), Mark(len(samples), "end")]


def test_made_sound_without_a_length_goes_on_until_it_is_stopped() -> None:
    source = Synthetic(Counter(), RATE, "counter", length_s=None, speed=math.inf, buffer_s=0.5)
    source.start()
    at = 0
    while at < 100_000:
        taken = source.ring.take(5000)
        assert np.array_equal(taken.samples[:, 0], np.arange(at, at + len(taken.samples)))
        at += len(taken.samples)
    source.stop()
    assert [mark.kind for mark in source.marks] == ["recording", "end"]
    assert source.marks[0].duration_s is None


def test_the_machine_is_heard_as_it_is_made() -> None:
    source = Synthetic(MachineSound(Machine(sample_rate=RATE, seed=4)), RATE, "machine", length_s=1.0, speed=math.inf)
    samples, _ = heard(source)
    assert np.array_equal(samples, np.asarray(MachineSound(Machine(sample_rate=RATE, seed=4)).read(RATE), np.float32))


def test_a_sound_that_fails_is_kept_as_the_sources_error() -> None:
    class Failing:
        def read(self, _: int, /) -> np.ndarray:
            raise MonitorError("no more")

    source = Synthetic(Failing(), RATE, "failing", length_s=1.0, speed=math.inf)
    samples, marks = heard(source)
    assert str(source.error) == "no more"
    assert (len(samples), marks[-1]) == (0, Mark(0, "end"))


def test_a_wav_that_was_cut_off_is_told_and_one_whose_length_was_never_known_is_played(tmp_path: Path) -> None:
    whole = tmp_path / "whole.wav"
    soundfile.write(whole, 0.1 * np.sin(np.arange(16000)), 16000, subtype="PCM_16")
    content = whole.read_bytes()
    (tmp_path / "cut.wav").write_bytes(content[:20_000])
    with pytest.raises(DataError, match=r"cut\.wav: is cut off: its header promises \d+ bytes more"):
        WavReplay([tmp_path / "cut.wav"], 16000)
    (tmp_path / "stream.wav").write_bytes(content[:4] + b"\xff" * 4 + content[8:])
    WavReplay([tmp_path / "stream.wav"], 16000)
