"""Writes what is heard to sound files, on a thread of its own."""

from __future__ import annotations

import queue
import threading
from pathlib import Path

import numpy as np
import soundfile
from numpy.typing import NDArray

from monitor.core.errors import ConfigError, MonitorError
from monitor.core.snapshot import FloatArray

MOST_BYTES = 4_000_000_000  # a wav cannot be longer
WAITING = 4096  # portions that may wait for a slow disk: most of a minute, or more
FORMATS = {".wav": "WAV", ".flac": "FLAC"}


def as_int16(samples: FloatArray) -> NDArray[np.int16]:
    """Samples of full scale 1 as 16-bit ones: exactly those they came from, where they were of 16 bit before."""
    scaled: NDArray[np.int16] = np.clip(np.rint(samples * 32768.0), -32768, 32767).astype(np.int16)
    return scaled


class Recorder:
    """One recording, 16-bit mono, as long as the monitor listens.

    `take` never waits: what a disk that is too slow leaves no room for is left out and counted.

    Raises:
        ConfigError: if it is no format that can be written.
        MonitorError: if the file cannot be written.
    """

    def __init__(self, path: Path, sample_rate: int) -> None:
        self.error: MonitorError | None = None
        self.dropped = 0  # samples
        self._path, self._rate, self._written = path, sample_rate, 0
        if path.suffix.lower() not in FORMATS:
            raise ConfigError(f"{path}: recordings are written as .wav or .flac: choose such a name.")
        try:
            path.parent.mkdir(parents=True, exist_ok=True)
            self._file = soundfile.SoundFile(path, "w", sample_rate, 1, "PCM_16", format=FORMATS[path.suffix.lower()])
        except (OSError, soundfile.SoundFileError) as error:
            raise MonitorError(f"{path}: cannot be written: {error}.") from None
        self._queue: queue.Queue[FloatArray | None] = queue.Queue(WAITING)
        self._thread = threading.Thread(target=self._run, name=f"recording {path.name}", daemon=True)
        self._thread.start()

    def take(self, samples: FloatArray) -> None:
        """The next samples (n,)."""
        try:
            self._queue.put_nowait(samples)
        except queue.Full:
            self.dropped += len(samples)

    def close(self) -> None:
        """Writes what is waiting, and ends."""
        self._queue.put(None)
        self._thread.join()

    def summary(self) -> str:
        """What came of it."""
        text = f"{self._path}: {self._written / self._rate:.1f} s recorded."
        if self.dropped:
            text += f" {self.dropped} samples are missing, because the disk was too slow."
        return f"{text} {self.error}" if self.error else text

    def _run(self) -> None:
        while (samples := self._queue.get()) is not None:
            if self.error is None:
                self._write(samples)
        try:
            self._file.close()
        except (OSError, soundfile.SoundFileError) as error:
            self.error = MonitorError(f"{self._path}: cannot be written any more: {error}.")

    def _write(self, samples: FloatArray) -> None:
        if 2 * (self._written + len(samples)) > MOST_BYTES:
            self.error = MonitorError(f"{self._path}: is full: a recording ends at four gigabytes.")
            return
        try:
            self._file.write(as_int16(samples))
            self._written += len(samples)
        except (OSError, soundfile.SoundFileError) as error:
            self.error = MonitorError(f"{self._path}: cannot be written any more: {error}.")
