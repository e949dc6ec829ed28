"""Reads recordings in blocks: one channel or the mean of all, at the sample rate of the model."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path

import numpy as np
import soundfile

from monitor.audio.resampling import Resampler, require_channel, select_channel
from monitor.config.schema import Channel
from monitor.core.errors import DataError
from monitor.core.types import FloatArray

MAX_AMPLITUDE = 1e6  # times full scale; larger samples could overflow float32 where they are squared and summed
SUFFIXES = (".wav", ".flac", ".ogg")


def read_blocks(
    path: Path,
    sample_rate: int,
    channel: Channel,
    *,
    block_s: float = 10.0,
    observe: Callable[[FloatArray], None] = lambda _: None,
) -> Iterator[FloatArray]:
    """Reads a recording as blocks of mono samples.

    Args:
        path: the recording.
        sample_rate: sample rate of the blocks in Hz; the recording is resampled.
        channel: number of a channel, or "mix" for the mean of all.
        block_s: seconds that are read at a time.
        observe: is called with each block as recorded, before mixing and resampling: (n, channels used).

    Yields:
        samples (n,) float32, full scale 1.

    Raises:
        DataError: if the file cannot be read, does not have the channel, or has samples that are not finite.
    """
    with open_recording(path) as file:
        try:
            require_channel(channel, file.channels)
        except DataError as error:
            raise DataError(f"{path}: {error}.") from None
        resampler = Resampler(file.samplerate, sample_rate)
        frames = max(1, int(block_s * file.samplerate))
        try:
            while len(block := file.read(frames, dtype="float32", always_2d=True)):
                samples = select_channel(block, channel)
                if not (np.abs(samples) < MAX_AMPLITUDE).all():
                    raise DataError(
                        f"{path}: has samples that are not numbers, or far beyond full scale (a million times): "
                        "record it again."
                    )
                observe(block if channel == "mix" else samples[:, None])
                yield resampler.push(samples)
        except soundfile.SoundFileError as error:
            raise DataError(f"{path}: cannot be read to its end: {sound_file_reason(error)}.") from None
        yield resampler.push(np.zeros(0, np.float32), last=True)


def duration_s(path: Path) -> float:
    """The length of a recording in seconds, from its header.

    Raises:
        DataError: if the file cannot be read.
    """
    with open_recording(path) as file:
        return float(file.frames / file.samplerate)


def open_recording(path: Path) -> soundfile.SoundFile:
    """Opens a recording.

    Raises:
        DataError: if the file is missing, is empty, is not a sound file, or is cut off.
    """
    if path.is_dir():
        raise DataError(f"{path}: is a folder, not a recording.")
    if not path.exists():
        raise DataError(f"{path}: there is no such file.")
    if path.suffix == ".npy":
        raise DataError(f"{path}: has mel frames, not sound: use it for training or evaluation; it cannot be played.")
    try:
        file = soundfile.SoundFile(path)
    except (soundfile.SoundFileError, OSError, UnicodeError) as error:
        raise DataError(f"{path}: is not a recording that can be read: {sound_file_reason(error)}.") from None
    if not file.frames:
        file.close()
        raise DataError(f"{path}: is empty: it has no samples.")
    if missing := _missing_bytes(path):
        file.close()
        raise DataError(f"{path}: is cut off: {missing} bytes are missing according to its header; copy it again.")
    return file


def _missing_bytes(path: Path) -> int:
    """The number of bytes that a wav file is shorter than its header says. libsndfile ignores this."""
    with path.open("rb") as file:
        head = file.read(12)
    stated = int.from_bytes(head[4:8], "little")
    # Programs that write a stream of unknown length state 0, or the largest possible number.
    if head[:4] != b"RIFF" or head[8:] != b"WAVE" or stated == 0 or stated >= 0x7FFF0000:
        return 0
    missing = stated + 8 - path.stat().st_size
    return missing if missing > 1 else 0  # the padding byte at the end of an odd length may be missing


def sound_file_reason(error: Exception) -> str:
    """Why a sound file could not be read or written: a few words for a message, without a full stop."""
    if isinstance(error, UnicodeError):
        return "its name has invalid characters; rename it"
    if isinstance(error, OSError) and error.strerror:
        return error.strerror
    # str() of a libsndfile error begins with the path, which the message names already; `error_string` does not.
    return str(getattr(error, "error_string", error)).strip().rstrip(" .") or type(error).__name__
