"""The base class of sources that write at a given speed: replays, generated sound, and sources of your own."""

from __future__ import annotations

import math
import threading
import time
from abc import ABC, abstractmethod
from collections import deque

from monitor.audio.ring_buffer import RingReader, SampleRing
from monitor.core.arguments import is_number, is_whole_number
from monitor.core.errors import DataError, MonitorError
from monitor.core.types import FloatArray
from monitor.sources.gap_detector import GapDetector, Gaps
from monitor.sources.source import Mark

BUFFER_S = 30.0
EMPTIED_AT_MOST = 5000  # times real time: no ring is read faster than that
LONGEST_WAIT_S = 0.005  # between two looks at a full ring


class PacedSource(ABC):
    """Writes samples into a ring, on its own thread, at `speed` times real time.

    It waits while the ring is full, so no samples are lost.

    Derived classes implement `run`, which calls `begin` for each recording and `write` for its samples.

    Args:
        name: name of the source, for display.
        sample_rate: sample rate of the samples written, in Hz.
        speed: 1.0 is real time; infinite is as fast as the samples are read.
        buffer_s: length of the ring in seconds of sound.

    Raises:
        DataError: if the sample rate is not a positive whole number, or the speed not a positive one.
    """

    live = False
    lost_since: float | None = None
    overflows = 0
    clock_ppm = math.nan

    def __init__(self, name: str, sample_rate: int, *, speed: float = 1.0, buffer_s: float = BUFFER_S) -> None:
        if not is_whole_number(sample_rate) or sample_rate < 1:
            raise DataError(f"sample_rate must be a positive whole number, in Hz, not {sample_rate!r}.")
        if not is_number(speed) or not speed > 0:
            raise DataError(f"speed must be a positive number (1: real time; inf: as fast as possible), not {speed!r}.")
        self.name, self.sample_rate, self.speed = name, sample_rate, speed
        self.ring = SampleRing(int(buffer_s * sample_rate))
        self.reader = RingReader(self.ring)
        self.marks: deque[Mark] = deque()
        self.error: MonitorError | None = None
        self.stopping = threading.Event()
        self._thread = threading.Thread(target=self._run, name="source", daemon=True)
        block = sample_rate // 100 * (1 if speed <= 1 else min(speed, 50.0))
        self.block = max(1, min(int(block), self.ring.capacity // 4))  # number of samples written at once
        self._pace = _Pace(sample_rate * speed)
        # More often would take time from the engine, which has most to do while the ring is full.
        self._wait_s = min(LONGEST_WAIT_S, buffer_s / EMPTIED_AT_MOST)

    def start(self) -> None:
        """Starts the thread that writes into the ring.

        Raises:
            DataError: if it was started before: a source can be heard only once.
        """
        if self._thread.ident is not None:
            raise DataError(f"{self.name}: a source can be heard only once, by one stream: make another source.")
        self._pace.restart()
        self._thread.start()

    def stop(self) -> None:
        """Stops the thread, and returns when it has ended."""
        self.stopping.set()
        if self._thread.ident is not None:
            self._thread.join()

    def gap_detector(self, reader: RingReader, sample_rate: int) -> Gaps:
        """A detector of gaps as that of a sound card."""
        return GapDetector(reader, sample_rate)

    @abstractmethod
    def run(self) -> None:
        """Writes all samples; returns at their end, or when `stopping` is set."""

    def begin(
        self, name: str, duration_s: float | None = None, *, gapless: bool = False, began: float | None = None
    ) -> None:
        """Starts a recording: the next sample written is its first one.

        Args:
            name: name of the recording.
            duration_s: its length in seconds; None if unknown.
            gapless: the current recording continues, only under another name.
            began: Unix time at which it was recorded; None: it is heard now.
        """
        self.marks.append(Mark(self.ring.written, "name" if gapless else "recording", name, duration_s, began))

    def write(self, samples: FloatArray) -> None:
        """Writes samples (n,), full scale 1, at the source's speed; returns early if the source is stopped."""
        for start in range(0, len(samples), self.block):
            block = samples[start : start + self.block, None]
            self._pace.wait_for(len(block), self.stopping)
            while self.reader.free < len(block) and not self.stopping.is_set():
                time.sleep(self._wait_s)
            if self.stopping.is_set():
                return
            self.ring.write(block)

    def _run(self) -> None:
        try:
            self.run()
        except MonitorError as error:
            self.error = error
        except Exception as error:  # noqa: BLE001 - an error would end this thread without a message
            self.error = MonitorError(f"{self.name}: an unforeseen error, {type(error).__name__}: {error}.")
        finally:
            self.marks.append(Mark(self.ring.written, "end"))


class _Pace:
    """Limits the rate of writing. Time lost while the ring was full is not made up for in a burst, but for 0.5 s."""

    def __init__(self, samples_per_s: float) -> None:
        self._rate = samples_per_s
        self._due = 0.0

    def restart(self) -> None:
        """Counts time from now on."""
        self._due = time.monotonic()

    def wait_for(self, samples: int, stopping: threading.Event) -> None:
        """Waits until so many more samples may be written, or until `stopping` is set."""
        self._due = max(self._due + samples / self._rate, time.monotonic() - 0.5)
        if (wait := self._due - time.monotonic()) > 0:
            stopping.wait(wait)
