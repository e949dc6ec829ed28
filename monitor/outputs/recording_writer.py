"""Writes the samples that are scored to a sound file."""

from __future__ import annotations

import contextlib
import logging
from pathlib import Path

import soundfile

from monitor.audio.reader import sound_file_reason
from monitor.audio.writer import FORMATS, as_int16
from monitor.core.appended_file import new_file
from monitor.core.errors import ConfigError, MonitorError
from monitor.core.types import FloatArray
from monitor.outputs.background import BackgroundSink

MAX_BYTES = 4_000_000_000  # limit of the wav format
QUEUE_SIZE = 4096  # arrays of samples that may wait for a slow disk: most of a minute, or more

log = logging.getLogger(__name__)


class RecordingWriter(BackgroundSink):
    """Records what a stream hears, 16-bit mono, while the monitor runs.

    An existing file is kept: the recording is written under a name with a number. It continues in a further file if a
    disk was full for a time, or if a file has reached the limit of the wav format.

    Args:
        path: the file, .wav or .flac; its folder must exist.
        sample_rate: sample rate in Hz.

    Raises:
        ConfigError: if the suffix of the file is neither .wav nor .flac.
        MonitorError: if the file cannot be written.
    """

    def __init__(self, path: Path, sample_rate: int) -> None:
        if path.suffix.lower() not in FORMATS:
            raise ConfigError(f"{path}: recordings are written as .wav or .flac: choose a name that ends so.")
        self.paths: list[Path] = []  # the files so far
        self._path, self._rate = path, sample_rate
        self._seconds_written = 0.0
        self._file: soundfile.SoundFile | None = None
        self._open()
        if self.paths[0] != path:
            log.warning("%s: exists and is kept; the recording is written to %s.", path, self.paths[0])
        super().__init__(
            str(path), wait=False, size=QUEUE_SIZE, amount=lambda samples: f"{samples / sample_rate:.1f} s"
        )

    def samples(self, samples: FloatArray) -> None:
        """Adds the next samples (n,)."""
        self._put(lambda: self._write(samples), len(samples))

    def close(self) -> None:
        """Writes the remaining samples, and closes the file. Samples that take too long are abandoned."""
        self._worker.close(last=self._close)

    def summary(self) -> str:
        """One line for the user: how much was recorded, how much is missing, and the error if there was one."""
        text = f"{', '.join(map(str, self.paths))}: {self._seconds_written:.1f} s recorded."
        return f"{text} {self.error}" if self.error else text

    def _open(self) -> None:
        path = new_file(self._path)
        try:
            self._file = soundfile.SoundFile(path, "w", self._rate, 1, "PCM_16", format=FORMATS[path.suffix.lower()])
        except (OSError, soundfile.SoundFileError) as error:
            with contextlib.suppress(OSError):
                if path.is_file() and not path.stat().st_size:
                    path.unlink()
            raise MonitorError(f"{path}: cannot be written: {sound_file_reason(error)}.") from None
        self.paths.append(path)

    def _write(self, samples: FloatArray) -> None:
        if self._file is not None and 2 * (self._file.frames + len(samples)) > MAX_BYTES:
            self._close()
        if self._file is None:
            self._open()
        assert self._file is not None
        try:
            self._file.write(as_int16(samples))
        except (OSError, soundfile.SoundFileError) as error:
            self._abandon_file()
            raise MonitorError(f"cannot be written: {sound_file_reason(error)}") from None
        self._seconds_written += len(samples) / self._rate

    def _close(self) -> None:
        file, self._file = self._file, None
        if file is not None:
            try:
                file.close()
            except (OSError, soundfile.SoundFileError) as error:
                raise MonitorError(f"cannot be written: {sound_file_reason(error)}") from None

    def _abandon_file(self) -> None:
        """Closes a file that cannot be written any more; the recording continues in another one."""
        with contextlib.suppress(MonitorError):
            self._close()
        if len(self.paths) > 1 and not _frames(self.paths[-1]):
            with contextlib.suppress(OSError):
                self.paths.pop().unlink()


def _frames(path: Path) -> int:
    """The number of frames in a sound file; 0 if it cannot be read."""
    try:
        return int(soundfile.info(path).frames)
    except (OSError, soundfile.SoundFileError):
        return 0
