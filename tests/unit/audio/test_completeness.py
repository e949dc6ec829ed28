"""A recording is read to its true end, or refused with how much is missing: a part is never taken for the whole."""

from __future__ import annotations

import struct
from pathlib import Path

import numpy as np
import pytest
import soundfile

from monitor.audio.completeness import check_complete
from monitor.audio.reader import open_recording, read_blocks, recording_header
from monitor.audio.writer import as_int16
from monitor.core.errors import DataError
from support.builders import RATE, noise

SECONDS = 2
SOUND = as_int16(noise(SECONDS * RATE)) / np.float32(32768)  # as 16 bits hold it
# Containers of uncompressed sound, each as soundfile writes it.
CONTAINERS = {
    "a.wav": {},
    "float.wav": {"subtype": "FLOAT"},
    "extensible.wav": {"format": "WAVEX", "subtype": "PCM_24"},
    "big_endian.wav": {"format": "WAV", "endian": "BIG"},
    "rf64.wav": {"format": "RF64"},
    "a.w64": {},
    "a.aiff": {},
    "float.aiff": {"subtype": "FLOAT"},
    "little_endian.aiff": {"endian": "LITTLE"},
    "a.au": {},
    "a.caf": {},
}
COMPRESSED = {
    "a.flac": {},
    "a.ogg": {"subtype": "VORBIS"},
    "opus.ogg": {"subtype": "OPUS"},
    "a.mp3": {},
}


def written(folder: Path, name: str) -> Path:
    path = folder / name
    soundfile.write(path, SOUND, RATE, **(CONTAINERS | COMPRESSED)[name])
    return path


def changed(path: Path, position: int, content: bytes) -> Path:
    """Overwrites some bytes of a file."""
    with path.open("r+b") as file:
        file.seek(position)
        file.write(content)
    return path


def samples_of(path: Path) -> np.ndarray:
    return np.concatenate(list(read_blocks(path, RATE, "mix", block_s=0.3)))


def complaint(path: Path) -> str:
    """Why a recording is refused before any of it is read: one sentence that begins with its path."""
    with pytest.raises(DataError) as caught, open_recording(path):
        pass
    message = str(caught.value)
    assert message.startswith(f"{path}: ")
    assert len(message.splitlines()) == 1
    return message.removeprefix(f"{path}: ")


@pytest.mark.parametrize("name", [*CONTAINERS, *COMPRESSED])
def test_a_complete_recording_is_read_as_it_is(tmp_path: Path, name: str) -> None:
    path = written(tmp_path, name)
    assert check_complete(path) is None
    assert len(samples_of(path)) == len(SOUND)


@pytest.mark.parametrize("name", [*CONTAINERS, *COMPRESSED])
def test_a_recording_that_was_cut_off_is_refused_and_never_taken_for_the_whole(tmp_path: Path, name: str) -> None:
    path = written(tmp_path, name)
    content = path.read_bytes()
    path.write_bytes(content[: len(content) * 6 // 10])
    reason = complaint(path)
    assert reason.startswith("is cut off")
    if name in CONTAINERS:
        assert "of 2.0 s are there" in reason


# Where each container states the length of its samples: positions in the file, and the content there when the recorder
# was stopped before it knew the length.
STOPPED = {
    "a.wav": [(4, struct.pack("<I", 36)), (40, bytes(4))],
    "a.wav of a pipe": [(4, b"\xff" * 4), (40, b"\xff" * 4)],
    "a.wav of two gigabytes": [(4, struct.pack("<I", 0x7FFF_FFFF)), (40, struct.pack("<I", 0x7FFF_FFDB))],
    "rf64.wav": [(20, bytes(24))],
    "a.w64": [(16, bytes(8)), (96, struct.pack("<Q", 24))],
    "a.aiff": [(4, bytes(4)), (22, bytes(4)), (42, bytes(4))],
    "a.au": [(8, b"\xff" * 4)],
    "little_endian.aiff": [],
    "a.caf": [],
}


@pytest.mark.parametrize("case", [name for name, changes in STOPPED.items() if changes])
def test_a_recording_whose_recorder_was_stopped_before_it_wrote_the_length_is_read_to_its_end(
    tmp_path: Path, case: str
) -> None:
    path = written(tmp_path, case.split()[0])
    for position, content in STOPPED[case]:
        changed(path, position, content)
    assert recording_header(path).duration_s == SECONDS
    assert np.array_equal(samples_of(path), SOUND)


def test_the_same_is_found_where_other_chunks_stand_before_the_samples(tmp_path: Path) -> None:
    path = written(tmp_path, "a.caf")
    at = path.read_bytes().index(b"data") + 4
    assert np.array_equal(samples_of(changed(path, at, b"\xff" * 8)), SOUND)
    path = written(tmp_path, "little_endian.aiff")
    at = path.read_bytes().index(b"SSND") + 4
    assert np.array_equal(samples_of(changed(path, at, bytes(4))), SOUND)


@pytest.mark.parametrize("name", ["a.wav", "a.aiff", "a.au"])
@pytest.mark.parametrize("ending", [b"", b"LIST\4\0\0\0INFO"])
def test_a_recording_of_more_than_four_gigabytes_is_read_to_its_end(tmp_path: Path, name: str, ending: bytes) -> None:
    """Its size does not fit the header's 32 bits: what is left there is the size of a short recording."""
    path = written(tmp_path, name)
    head = path.stat().st_size - 2 * len(SOUND)
    little = name == "a.wav"
    ending = ending if little else b""
    with path.open("r+b") as file:
        file.seek(head + 2**32)  # a sparse file: zeros, and then the same sound
        file.write(as_int16(SOUND).astype("<i2" if little else ">i2").tobytes() + ending)
    with open_recording(path) as file:
        assert file.frames == 2**31 + len(SOUND)
        file.seek(2**31)
        assert np.array_equal(file.read(dtype="float32"), SOUND)


@pytest.mark.parametrize("ending", [b"LIST\4\0\0\0INFO", b"TAG" + bytes(125), bytes(3000), b"\r\n"])
@pytest.mark.parametrize("odd", [False, True])
def test_what_follows_the_samples_is_not_sound(tmp_path: Path, ending: bytes, odd: bool) -> None:
    path = tmp_path / "a.wav"
    soundfile.write(path, SOUND[:15_999], RATE, subtype="PCM_U8")
    content = path.read_bytes()[: 44 + 15_999]
    path.write_bytes(content + (b"" if odd else b"\0") + ending)  # some programs forget the byte that aligns a chunk
    assert check_complete(path) is None
    assert len(samples_of(path)) == 15_999


@pytest.mark.parametrize("name", ["a.wav", "a.aiff", "a.au"])
def test_sound_that_the_header_does_not_account_for_is_reported_and_not_passed_over(tmp_path: Path, name: str) -> None:
    """As of a recorder that was stopped after it had written the length once, or of two files appended."""
    path = written(tmp_path, name)
    whole = path.read_bytes()
    path.write_bytes(whole + whole[-2 * RATE :])
    assert "does not account for the last 32000 bytes (about 1.0 s after 2.0 s)" in complaint(path)
    path.write_bytes(whole + whole)
    assert "does not account for" in complaint(path)


def test_one_byte_too_few_is_not_worth_a_refusal(tmp_path: Path) -> None:
    path = written(tmp_path, "a.wav")
    path.write_bytes(path.read_bytes()[:-1])
    assert len(samples_of(path)) == len(SOUND) - 1


def test_compressed_sound_without_a_length_is_refused_with_what_to_do(tmp_path: Path) -> None:
    path = tmp_path / "a.wav"
    soundfile.write(path, SOUND, RATE, subtype="IMA_ADPCM")
    at = path.read_bytes().index(b"data") + 4
    assert "was never completed" in complaint(changed(path, at, bytes(4)))
    path = written(tmp_path, "a.flac")
    length = path.read_bytes()[21]
    assert "does not state its length" in complaint(changed(path, 21, bytes([length & 0xF0, 0, 0, 0, 0])))


def test_ogg_files_one_after_another_are_not_taken_for_the_first(tmp_path: Path) -> None:
    path = written(tmp_path, "a.ogg")
    content = path.read_bytes()
    path.write_bytes(content + content)
    assert "several recordings one after another" in complaint(path)
    last = content.rindex(b"OggS")
    path.write_bytes(content[:last])  # a recorder that was stopped: its pages are whole, but none is the last
    assert "the rest is missing" in complaint(path)


# Headers that no recording has


@pytest.mark.parametrize("rate", [1, 999, 400_000, 2**31 - 1])
def test_a_sample_rate_that_no_recorder_has_is_refused(tmp_path: Path, rate: int) -> None:
    path = changed(written(tmp_path, "a.wav"), 24, struct.pack("<I", rate))
    assert f"states {rate} samples a second" in complaint(path)


def test_more_channels_than_any_recorder_has_are_refused(tmp_path: Path) -> None:
    path = tmp_path / "a.wav"
    soundfile.write(path, np.zeros((10, 200), np.float32), RATE)
    assert "has 200 channels" in complaint(path)


def test_no_header_makes_the_reader_ask_for_much_memory(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = tmp_path / "a.wav"
    soundfile.write(path, np.zeros((RATE, 100), np.int16), 384_000)
    asked: list[int] = []
    read = soundfile.SoundFile.read

    def watched(file: soundfile.SoundFile, frames: int, **options: object) -> np.ndarray:
        asked.append(frames * file.channels)
        return read(file, frames, **options)

    monkeypatch.setattr(soundfile.SoundFile, "read", watched)
    assert sum(map(len, read_blocks(path, 384_000, "mix", block_s=1000.0))) == RATE
    assert max(asked) <= 4_000_000


def mp3_without_index(path: Path, *, mode: str) -> Path:
    """An mp3 of ten loud and ten quiet seconds, whose first frame (the index) is left out."""
    sound = noise(20 * RATE)
    sound[10 * RATE :] *= 1e-3
    with soundfile.SoundFile(path, "w", RATE, 1, format="MP3", bitrate_mode=mode, compression_level=0.5) as file:
        file.write(sound)
    content = path.read_bytes()
    second = content.index(content[:2], 4)
    path.write_bytes(content[second:])
    return path


def test_an_mp3_of_variable_bit_rate_without_an_index_is_refused_and_one_of_constant_bit_rate_is_read(
    tmp_path: Path,
) -> None:
    with pytest.raises(DataError, match=r"of 20\.\d s can be read.*convert it"):
        recording_header(mp3_without_index(tmp_path / "variable.mp3", mode="VARIABLE"))
    constant = mp3_without_index(tmp_path / "constant.mp3", mode="CONSTANT")
    seconds = sum(len(block) for block in read_blocks(constant, RATE, "mix")) / RATE
    assert seconds == pytest.approx(20, abs=0.2)
