"""Recordings are read as they were recorded, and one that cannot be used is reported in a sentence with its path."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import soundfile

from monitor.audio.reader import RecordingHeader, read_blocks, recording_header
from monitor.audio.writer import as_int16
from monitor.config.setting_types import Channel
from monitor.core.errors import DataError
from support.builders import RATE, noise, write_sound


def read(path: Path, channel: Channel = "mix", *, rate: int = RATE, block_s: float = 0.3) -> np.ndarray:
    """All samples of a recording."""
    return np.concatenate(list(read_blocks(path, rate, channel, block_s=block_s)))


def complaint(path: Path, channel: Channel = "mix") -> str:
    """Why a recording cannot be read: one sentence that begins with its path."""
    with pytest.raises(DataError) as caught:
        read(path, channel)
    message = str(caught.value)
    assert message.startswith(f"{path}: ")
    assert message.endswith(".")
    assert "\n" not in message
    return message.removeprefix(f"{path}: ")


@pytest.mark.parametrize("block_s", [1e-9, 0.1, 10.0])
@pytest.mark.parametrize(
    ("suffix", "subtype"),
    [("wav", "FLOAT"), ("wav", "PCM_16"), ("wav", "PCM_24"), ("wav", "PCM_U8"), ("flac", "PCM_16"), ("aiff", "PCM_16")],
)
def test_a_recording_is_read_sample_by_sample_whatever_the_size_of_the_blocks(
    tmp_path: Path, suffix: str, subtype: str, block_s: float
) -> None:
    path = write_sound(tmp_path / f"a.{suffix}", noise(2_001), subtype=subtype)
    assert np.array_equal(read(path, block_s=block_s), soundfile.read(path, dtype="float32")[0])


@pytest.mark.parametrize("channel", [0, 1, 2, "mix"])
def test_a_channel_is_that_channel_and_the_mix_is_the_mean_of_all(tmp_path: Path, channel: Channel) -> None:
    sound = noise(5_000, streams=3).T.copy()
    samples = read(write_sound(tmp_path / "a.wav", sound), channel)
    if channel == "mix":
        np.testing.assert_allclose(samples, sound.astype(np.float64).mean(axis=1), atol=1e-7)
    else:
        assert np.array_equal(samples, sound[:, channel])


def test_a_channel_that_is_not_there_is_reported_with_how_many_there_are(tmp_path: Path) -> None:
    reason = complaint(write_sound(tmp_path / "stereo.wav", noise(500, streams=2).T), 2)
    assert "channel 2" in reason
    assert "only 2" in reason


def test_what_is_observed_is_what_was_recorded_and_what_is_heard_of_it_before_resampling(tmp_path: Path) -> None:
    sound = noise(48_000, streams=2).T.copy()
    path = write_sound(tmp_path / "a.wav", sound, 48_000)
    channels: list[tuple[Channel, np.ndarray]] = [("mix", sound.mean(axis=1)), (1, sound[:, 1])]
    for channel, expected in channels:
        recorded: list[np.ndarray] = []
        selected: list[np.ndarray] = []

        def observe(block: np.ndarray, heard: np.ndarray, rate: int, recorded=recorded, selected=selected) -> None:
            assert rate == 48_000
            recorded.append(block.copy())
            selected.append(heard.copy())

        for _ in read_blocks(path, RATE, channel, block_s=0.3, observe=observe):
            pass
        assert np.array_equal(np.concatenate(recorded), sound if channel == "mix" else sound[:, [channel]])
        assert np.array_equal(np.concatenate(selected), expected)


def test_length_and_sample_rate_are_read_from_the_header(tmp_path: Path) -> None:
    path = write_sound(tmp_path / "a.wav", noise(22_050), 44_100)
    assert recording_header(path) == RecordingHeader(0.5, 44_100)


@pytest.mark.parametrize("what", [np.nan, np.inf, -1e7])
def test_samples_that_no_microphone_gives_are_refused(tmp_path: Path, what: float) -> None:
    samples = noise(4_000)
    samples[3_000] = what
    assert "not numbers, or far beyond full scale" in complaint(write_sound(tmp_path / "a.wav", samples))


def test_a_recording_that_breaks_off_in_its_midst_is_reported_after_what_came_before(tmp_path: Path) -> None:
    path = write_sound(tmp_path / "damaged.flac", noise(80_000), subtype="PCM_16")
    content = path.read_bytes()
    middle = len(content) // 2
    path.write_bytes(content[:middle] + bytes(2000) + content[middle + 2000 :])
    blocks: list[np.ndarray] = []
    with pytest.raises(DataError, match=r"damaged\.flac: cannot be read to its end"):
        blocks.extend(read_blocks(path, RATE, "mix", block_s=0.1))
    assert np.array_equal(np.concatenate(blocks)[:16_000], as_int16(noise(80_000))[:16_000] / np.float32(32768))


BROKEN = {
    "text.wav": (b"this is no sound", "is not a recording"),
    "empty.wav": (b"", "is empty"),
    "header.wav": (b"RIFF\x24\0\0\0WAVE", "is not a recording"),
    "zeros.flac": (bytes(1000), "is not a recording"),
}


@pytest.mark.parametrize("name", BROKEN)
def test_what_is_no_sound_is_reported(tmp_path: Path, name: str) -> None:
    content, reason = BROKEN[name]
    (tmp_path / name).write_bytes(content)
    assert complaint(tmp_path / name).startswith(reason)


def test_what_is_no_file_of_sound_is_reported_for_what_it_is(tmp_path: Path) -> None:
    (tmp_path / "folder.wav").mkdir()
    np.save(tmp_path / "mel.npy", np.ones((30, 64), np.float32))
    write_sound(tmp_path / "nothing.wav", noise(0))
    assert "is a folder" in complaint(tmp_path / "folder.wav")
    assert "has mel frames" in complaint(tmp_path / "mel.npy")
    assert "is empty" in complaint(tmp_path / "nothing.wav")
    assert "no such file" in complaint(tmp_path / "missing.wav")
