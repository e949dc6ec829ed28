"""Files of power mel frames: decibels as 16-bit integers, read on demand.

The range of float16 (up to 65504) is too small for powers, and decibels in float16 have steps of 0.06 dB at -100 dB.
16-bit integers with steps of 0.005 dB have the same small error everywhere, 0.0025 dB or 0.06 %, and need half the
space of float32.

A file is open only while it is read: memory maps of a hundred thousand recordings would exceed the system's limit.
"""

from __future__ import annotations

import functools
import os
import struct
import zlib
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from io import FileIO
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from monitor.audio.sound_facts import SoundFacts, SoundSurvey
from monitor.core.errors import DataError
from monitor.core.types import FloatArray
from train.data.frames_in_file import FramesInFile

STEP_DB, LOWEST_DB = 0.005, -150.0  # code 0 is a power of 0, code 1 is LOWEST_DB, code 65535 is 177.67 dB
HIGHEST = 65535  # the highest code
MAGIC = b"melcode2"
# magic, identity, frames, bands, facts of the samples (a bit for each dead channel), CRC-32 of all before
FOOTER = struct.Struct("<8s32sQI Idd?16s I")
CRC_BLOCK = 1 << 20  # bytes that are read at once to check a file


def encoded(power: FloatArray) -> NDArray[np.uint16]:
    """Encodes powers of any shape. Powers below -150 dB become 0, powers above 177.67 dB become 177.67 dB."""
    with np.errstate(divide="ignore"):
        steps = np.log10(power)
    steps *= 10 / STEP_DB
    steps += 1 - LOWEST_DB / STEP_DB
    np.rint(steps, out=steps)
    return np.clip(steps, 0, HIGHEST, out=steps).astype(np.uint16)


def decoded(codes: NDArray[np.uint16]) -> FloatArray:
    """The powers of codes of any shape."""
    return np.take(_powers(), codes)


@functools.cache
def _powers() -> FloatArray:
    powers = 10 ** ((LOWEST_DB + STEP_DB * (np.arange(HIGHEST + 1) - 1)) / 10)
    powers[0] = 0.0
    return powers.astype(np.float32)


@dataclass(frozen=True, slots=True)
class StoredFrames(FramesInFile):
    """Frames in a file of 16-bit decibels."""

    def __array__(self, dtype: Any = None, copy: bool | None = None) -> FloatArray:
        codes = np.empty(self.shape, np.uint16)
        try:
            with self.path.open("rb", buffering=0) as file:
                file.seek(self.start * self.shape[1] * 2)
                read = file.readinto(codes.data) if codes.size else 0
        except OSError as error:
            raise DataError(f"{self.path}: kept frames cannot be read: {error.strerror}.") from None
        if read != codes.nbytes:
            raise DataError(f"{self.path}: kept frames have been cut off; begin again, and they are made anew.")
        power = decoded(codes)
        return power if dtype is None else power.astype(dtype, copy=False)


@dataclass(frozen=True, slots=True)
class Stored:
    """The content of a file: the frames of a recording, and the facts of its samples."""

    power: StoredFrames
    sound: SoundFacts


def file_content(identity: bytes, n_mels: int, frames: Iterable[FloatArray], survey: SoundSurvey) -> Iterator[bytes]:
    """The content of a file of frames, in blocks, so that memory does not grow with the recording.

    Args:
        identity: (32 bytes) of the recording's content and the settings that the frames were computed with.
        n_mels: number of bands.
        frames: power mel frames (t, n_mels) one after another.
        survey: of the recording; its facts are taken after all frames.
    """
    count = crc = 0
    for power in frames:
        codes = encoded(power).tobytes()
        count, crc = count + len(power), zlib.crc32(codes, crc)
        yield codes
    sound = survey.facts()
    dead = sum(1 << channel for channel in sound.dead_channels).to_bytes(16, "little")
    facts = (sound.sample_rate, sound.peak, sound.clipped_share, sound.cancelled, dead)
    end = FOOTER.pack(MAGIC, identity, count, n_mels, *facts, 0)[:-4]
    yield end + struct.pack("<I", zlib.crc32(end, crc))


def open_stored(path: Path, n_mels: int, identity: bytes) -> Stored | None:
    """Opens a file of frames, and reads it once to check it.

    Returns:
        None if the file is missing, damaged, or of another recording or other settings.
    """
    try:
        with path.open("rb", buffering=0) as file:
            size = file.seek(0, os.SEEK_END)
            file.seek(max(0, size - FOOTER.size))
            end = file.read(FOOTER.size)
            magic, stored_identity, frames, bands, rate, peak, clipped, cancelled, dead, crc = FOOTER.unpack(end)
            if (magic, stored_identity, bands) != (MAGIC, identity, n_mels) or size != 2 * frames * bands + len(end):
                return None
            if zlib.crc32(end[:-4], _crc_of(file, size - len(end))) != crc:
                return None
    except (OSError, struct.error):
        return None
    bits = int.from_bytes(dead, "little")
    dead_channels = tuple(channel for channel in range(bits.bit_length()) if bits >> channel & 1)
    sound = SoundFacts(rate, peak, clipped, cancelled, dead_channels)
    return Stored(StoredFrames(path, 0, (frames, n_mels)), sound)


def _crc_of(file: FileIO, size: int) -> int:
    """The CRC-32 of the first `size` bytes of a file."""
    crc, left, block = 0, size, memoryview(bytearray(min(CRC_BLOCK, size)))
    file.seek(0)
    while left and (read := file.readinto(block[:left])):
        crc, left = zlib.crc32(block[:read], crc), left - read
    return crc
