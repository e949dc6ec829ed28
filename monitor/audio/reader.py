"""Sound as it comes in: the channel taken, the rate made the model's, recordings read in blocks.

Microphones, replays and training all pass here, so that the same sound gives the same samples everywhere.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path

import numpy as np
import soundfile
import soxr

from monitor.config.schema import Channel
from monitor.core.errors import DataError
from monitor.core.snapshot import FloatArray

LOUDEST = 1e6  # times full scale: what follows squares and sums it in float32
SUFFIXES = (".wav", ".flac", ".ogg")


def select_channel(block: FloatArray, channel: Channel) -> FloatArray:
    """One channel of (n, channels) samples, or the mean of all for "mix": (n,).

    Raises:
        DataError: if there is no such channel.
    """
    if channel == "mix":
        return block[:, 0] if block.shape[1] == 1 else block.mean(axis=1, dtype=np.float32)
    if channel >= block.shape[1]:
        raise DataError(
            f"channel {channel} was asked for, but there are only {block.shape[1]} (counted from 0): "
            "choose another with features.channel, or `mix`"
        )
    return block[:, channel]


class Resampler:
    """Changes the rate of a stream; the output is the same however the input is cut into blocks."""

    def __init__(self, source_rate: int, target_rate: int) -> None:
        same = source_rate == target_rate
        self._stream = None if same else soxr.ResampleStream(source_rate, target_rate, 1, dtype="float32")

    def push(self, samples: FloatArray, *, last: bool = False) -> FloatArray:
        """Samples (n,) in, the resampled ones that are ready out: (m,). `last` gives all that is left."""
        if self._stream is None:
            return samples
        resampled: FloatArray = self._stream.resample_chunk(np.ascontiguousarray(samples, np.float32), last=last)
        return resampled


def read_blocks(
    path: Path,
    sample_rate: int,
    channel: Channel,
    *,
    block_s: float = 10.0,
    observe: Callable[[FloatArray], None] = lambda _: None,
) -> Iterator[FloatArray]:
    """A recording as blocks of mono float32 samples (n,) at `sample_rate`, full scale 1.

    `observe` is shown what was recorded, before mixing and resampling: (n, channels used).

    Raises:
        DataError: if the file cannot be read, has no such channel, or holds numbers that are not finite.
    """
    with open_recording(path) as file:
        resampler = Resampler(file.samplerate, sample_rate)
        frames = max(1, int(block_s * file.samplerate))
        try:
            while len(block := file.read(frames, dtype="float32", always_2d=True)):
                try:
                    samples = select_channel(block, channel)
                except DataError as error:
                    raise DataError(f"{path}: {error}.") from None
                if not (np.abs(samples) < LOUDEST).all():
                    raise DataError(
                        f"{path}: holds samples that are not numbers, or a million times full scale: record it anew."
                    )
                observe(block if channel == "mix" else samples[:, None])
                yield resampler.push(samples)
        except soundfile.SoundFileError as error:
            raise DataError(f"{path}: cannot be read to its end: {_reason(error)}.") from None
        yield resampler.push(np.zeros(0, np.float32), last=True)


def duration_s(path: Path) -> float:
    """The length of a recording in seconds, from its header.

    Raises:
        DataError: if the file cannot be read.
    """
    with open_recording(path) as file:
        return float(file.frames / file.samplerate)


def open_recording(path: Path) -> soundfile.SoundFile:
    """The recording, opened.

    Raises:
        DataError: if it is missing, empty, or no sound file.
    """
    if path.is_dir():
        raise DataError(f"{path}: is a folder, not a recording.")
    if not path.exists():
        raise DataError(f"{path}: there is no such file.")
    if path.suffix == ".npy":
        raise DataError(f"{path}: holds mel frames, not sound: it can be trained on and evaluated, but not played.")
    try:
        file = soundfile.SoundFile(path)
    except (soundfile.SoundFileError, OSError, UnicodeError) as error:
        raise DataError(f"{path}: is not a recording that can be read: {_reason(error)}.") from None
    if not file.frames:
        file.close()
        raise DataError(f"{path}: is a recording without any sound in it.")
    if (missing := _missing_bytes(path)) > 0:
        file.close()
        raise DataError(f"{path}: is cut off: its header promises {missing} bytes more than there are; copy it again.")
    return file


def _missing_bytes(path: Path) -> int:
    """How many bytes a wav file lacks of what its header promises, which libsndfile passes over in silence."""
    with path.open("rb") as file:
        head = file.read(12)
    promised = int.from_bytes(head[4:8], "little")
    # Who writes a stream does not know its length: 0, or as much as can be said.
    if head[:4] != b"RIFF" or head[8:] != b"WAVE" or promised == 0 or promised >= 0x7FFF0000:
        return 0
    return promised + 8 - path.stat().st_size - 1  # a last odd byte may go without its padding


def _reason(error: Exception) -> str:
    if isinstance(error, UnicodeError):
        return "its name cannot be written as text; rename it"
    # With the path, which has been said, libsndfile's own sentence comes last.
    return str(getattr(error, "error_string", error)).strip().rstrip(" .") or type(error).__name__
