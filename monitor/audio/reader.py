"""Reads recordings in blocks: one channel or the mean of all, at the sample rate of the model."""

from __future__ import annotations

import contextlib
import io
import os
from collections.abc import Callable, Generator, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any, BinaryIO

import numpy as np
import soundfile

from monitor.audio.completeness import RawSamples, check_complete
from monitor.audio.opening import binary_file, sound_file
from monitor.audio.remote_recording import RemoteRecording
from monitor.audio.resampling import Resampler, require_channel, select_channel
from monitor.config.setting_types import MAX_CHANNELS, SAMPLE_RATES, Channel
from monitor.core.errors import DataError
from monitor.core.types import FloatArray

MAX_AMPLITUDE = 1e6  # times full scale; larger samples could overflow float32 where they are squared and summed
MAX_VALUES = 4_000_000  # samples of all channels that are read at once, whatever a header says: 16 MB
_SCALE_16 = np.float32(2.0**-15)  # of a sample of 16 bits
UNKNOWN_FRAMES = 2**62  # libsndfile reports more than this if the header does not state the length

Observe = Callable[[FloatArray, FloatArray, int], None]


def read_blocks(
    path: Path | RemoteRecording,
    sample_rate: int,
    channel: Channel,
    *,
    block_s: float = 10.0,
    observe: Observe | None = None,
) -> Iterator[FloatArray]:
    """Reads a recording as blocks of mono samples.

    Args:
        path: the recording, a file or an object in a store.
        sample_rate: sample rate of the blocks in Hz; the recording is resampled.
        channel: number of a channel, or "mix" for the mean of all.
        block_s: seconds that are read at a time.
        observe: is called with each block before it is resampled: the channels used (n, channels), the selected
            channel or the mean of all (n,), and their sample rate; as `monitor.audio.sound_facts.SoundSurvey.add`.

    Yields:
        samples (n,) float32, full scale 1.

    Raises:
        DataError: if the file cannot be read, does not have the channel, ends too early, or has samples that are not
            finite.
        ObjectStoreError: if it is in a store that cannot be read.
    """
    with open_recording(path) as file:
        try:
            require_channel(channel, file.channels)
        except DataError as error:
            raise DataError(f"{path}: {error}.") from None
        resampler = Resampler(file.samplerate, sample_rate)
        frames = max(1, min(int(block_s * file.samplerate), MAX_VALUES // file.channels))
        done = 0
        try:
            while len(block := _read_frames(file, frames)):
                samples = select_channel(block, channel)
                if not -MAX_AMPLITUDE < samples.min() <= samples.max() < MAX_AMPLITUDE:  # false if a number is NaN
                    raise DataError(
                        f"{path}: has samples that are not numbers, or far beyond full scale (a million times): "
                        "record it again."
                    )
                if observe is not None:
                    observe(block if channel == "mix" else samples[:, None], samples, file.samplerate)
                done += len(block)
                yield resampler.push(samples)
        except soundfile.SoundFileError as error:
            raise DataError(f"{path}: cannot be read to its end: {sound_file_reason(error)}.") from None
        if done < file.frames:
            raise _cut_off(path, done, file)
        yield resampler.push(np.zeros(0, np.float32), last=True)


def _read_frames(file: soundfile.SoundFile, count: int) -> FloatArray:
    """Reads the next `count` frames, or what is left: (n, channels), full scale 1.

    Samples of 16 bits are read as they are, and scaled by numpy: to the same values as by libsndfile, but much faster.
    """
    block: FloatArray
    if file.subtype == "PCM_16":
        block = np.multiply(file.read(count, dtype="int16", always_2d=True), _SCALE_16)
    else:
        block = file.read(count, dtype="float32", always_2d=True)
    return block


@dataclass(frozen=True, slots=True)
class RecordingHeader:
    """What the header of a recording states."""

    duration_s: float
    sample_rate: int  # in Hz


def recording_header(path: Path | RemoteRecording) -> RecordingHeader:
    """Reads the header of a recording.

    Raises:
        DataError: as `open_recording`.
    """
    with open_recording(path) as file:
        return RecordingHeader(float(file.frames / file.samplerate), int(file.samplerate))


def duration_s(path: Path) -> float:
    """The length of a recording in seconds, from its header; errors as `open_recording`."""
    return recording_header(path).duration_s


@contextlib.contextmanager
def open_recording(path: Path | RemoteRecording) -> Generator[soundfile.SoundFile]:
    """Opens a recording, and closes it at the end of the `with` statement.

    If its header states a wrong size, but all of its samples are there, the file is read without the header.

    Raises:
        DataError: if the file is missing, is empty, is not a sound file, is cut off, or has a sample rate or a number
            of channels that no recording has.
        ObjectStoreError: if it is in a store that cannot be read.
    """
    if isinstance(path, Path):
        _require_file(path)
    if path.suffix.lower() == ".npy":
        raise DataError(f"{path}: has mel frames, not sound: use it for training or evaluation; it cannot be played.")
    with contextlib.ExitStack() as stack:
        try:
            raw = check_complete(path)
            if raw is None:
                file = stack.enter_context(sound_file(path))
            else:
                file = stack.enter_context(_open_raw(stack.enter_context(binary_file(path)), raw))
        except (soundfile.SoundFileError, OSError) as error:
            raise DataError(f"{path}: is not a recording that can be read: {sound_file_reason(error)}.") from None
        _check_header(path, file)
        yield file


def _require_file(path: Path) -> None:
    if path.is_dir():
        raise DataError(f"{path}: is a folder, not a recording.")
    if not path.exists():
        raise DataError(f"{path}: there is no such file.")
    if not path.is_file():
        raise DataError(f"{path}: is a device or a pipe, not a recording.")
    if not path.stat().st_size:
        raise DataError(f"{path}: is empty: it has not one byte.")


def _open_raw(file: BinaryIO, samples: RawSamples) -> soundfile.SoundFile:
    encoding = samples.encoding
    return soundfile.SoundFile(
        _Part(file, samples.start, samples.size), samplerate=encoding.sample_rate, channels=encoding.channels,
        subtype=encoding.subtype, endian=encoding.endian, format="RAW",
    )  # fmt: skip


class _Part(io.RawIOBase):
    """A part of a file, which soundfile reads as a whole file."""

    def __init__(self, file: BinaryIO, start: int, size: int) -> None:
        self._file, self._start, self._size = file, start, size
        self._position = 0

    def seek(self, offset: int, whence: int = os.SEEK_SET) -> int:
        """Moves to a position in the part, and returns it."""
        base = {os.SEEK_SET: 0, os.SEEK_CUR: self._position, os.SEEK_END: self._size}[whence]
        self._position = base + offset
        return self._position

    def tell(self) -> int:
        """The position in the part."""
        return self._position

    def readinto(self, buffer: Any) -> int:
        """Reads into a buffer; returns the number of bytes read."""
        view = memoryview(buffer)
        self._file.seek(self._start + self._position)
        count = self._file.readinto(view[: max(0, self._size - self._position)])  # type: ignore[attr-defined]
        self._position += count
        return int(count)


def _check_header(path: Path | RemoteRecording, file: soundfile.SoundFile) -> None:
    """Checks that what the header states is possible, and that the last sample of a compressed file is there."""
    low, high = SAMPLE_RATES
    if not low <= file.samplerate <= high:
        raise DataError(
            f"{path}: its header states {file.samplerate} samples a second, but recordings have {low} to {high}: "
            "the file is damaged, or is not sound."
        )
    if file.channels > MAX_CHANNELS:
        raise DataError(f"{path}: has {file.channels} channels, but at most {MAX_CHANNELS} can be read.")
    if not file.frames:
        raise DataError(f"{path}: is empty: it has no samples.")
    if file.frames > UNKNOWN_FRAMES:
        raise DataError(
            f"{path}: its header does not state its length, because its recorder was stopped or could not go back: "
            "decode it, and encode it again."
        )
    if file.format in ("FLAC", "MP3") and not _has_last_frame(file):
        with sound_file(path) as again:
            raise _cut_off(path, _readable_frames(again), file)


def _has_last_frame(file: soundfile.SoundFile) -> bool:
    try:
        file.seek(file.frames - 1)
        found = len(file.read(1)) == 1
        file.seek(0)
    except soundfile.SoundFileError:
        return False
    return found


def _readable_frames(file: soundfile.SoundFile) -> int:
    """The number of frames before the first one that cannot be read."""
    done, block = 0, max(1, file.samplerate // 10)
    with contextlib.suppress(soundfile.SoundFileError):
        while count := len(file.read(block)):
            done += count
    return done


def _cut_off(path: Path | RemoteRecording, done: int, file: soundfile.SoundFile) -> DataError:
    rate = file.samplerate
    return DataError(
        f"{path}: is cut off: {done / rate:.1f} of {file.frames / rate:.1f} s are there; copy it again, or record it "
        "again."
    )


def sound_file_reason(error: Exception) -> str:
    """Why a sound file could not be read or written: a few words for a message, without a full stop."""
    if isinstance(error, UnicodeError):
        return "its name has invalid characters; rename it"
    if isinstance(error, OSError) and error.strerror:
        return error.strerror
    # str() of a libsndfile error begins with the path, which the message names already; `error_string` does not.
    reason = str(getattr(error, "error_string", error)).strip().removeprefix("Error : ")
    return reason.rstrip(" .") or type(error).__name__
