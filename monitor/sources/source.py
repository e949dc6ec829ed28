"""Where sound comes from. A Source only writes samples into a ring, and marks where recordings begin and end."""

from __future__ import annotations

import itertools
import threading
import time
from abc import ABC, abstractmethod
from collections import deque
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Protocol

import numpy as np

from monitor.audio.reader import duration_s, read_blocks
from monitor.config.schema import Channel
from monitor.core.errors import MonitorError
from monitor.audio.ring_buffer import Readable, SampleRing
from monitor.core.snapshot import FloatArray


@dataclass(frozen=True, slots=True)
class Mark:
    """From the absolute sample `index` on, something is different.

    `recording`: another recording begins, with no past. `name`: the sound goes on under another name.
    `end`: there is no more sound.
    """

    index: int
    kind: str
    name: str = ""
    duration_s: float | None = None


class Source(Protocol):
    """What the engine needs of a source of sound."""

    speed: float  # stream seconds per second; infinite for as fast as it is taken
    live: bool  # paced by hardware: nothing waits for us, and what does not come in time is lost
    channel: Channel  # of the ring's, which one is listened to

    @property
    def name(self) -> str:
        """For the eye, before the first mark."""

    @property
    def ring(self) -> Readable:
        """Where its samples are taken from: another one where it has been opened anew."""

    @property
    def marks(self) -> deque[Mark]:
        """In order of index; put there before the sample they speak of."""

    @property
    def sample_rate(self) -> int:
        """Samples a second in the ring."""

    @property
    def error(self) -> MonitorError | None:
        """What ended it early."""

    @property
    def lost_since(self) -> float | None:
        """Since when there is no sound, on the monotonic clock; only where it is live."""

    @property
    def overflows(self) -> int:
        """How often the device said that it lost samples; only where it is live."""

    def start(self) -> None:
        """Begins to write into the ring, on a thread of its own."""

    def stop(self) -> None:
        """Ends; returns when nothing more is written."""


class _Paced(ABC):
    """A thread that writes blocks into a ring at `speed` times real time, and waits where the ring is full."""

    live = False
    channel: Channel = "mix"  # of one
    lost_since: float | None = None
    overflows = 0

    def __init__(self, name: str, sample_rate: int, speed: float, buffer_s: float) -> None:
        self.name, self.sample_rate, self.speed = name, sample_rate, speed
        self.ring = SampleRing(int(buffer_s * sample_rate))
        self.marks: deque[Mark] = deque()
        self.error: MonitorError | None = None
        self._stopping = threading.Event()
        self._thread = threading.Thread(target=self._run, name="source", daemon=True)
        block = sample_rate // 100 * (1 if speed <= 1 else min(speed, 50.0))
        self._block = max(1, min(int(block), self.ring.capacity // 4))

    def start(self) -> None:
        """Begins to write into the ring."""
        self._thread.start()

    def stop(self) -> None:
        """Ends; returns when nothing more is written."""
        self._stopping.set()
        if self._thread.ident is not None:
            self._thread.join()

    @abstractmethod
    def _write(self) -> None:
        """Marks and passes all the sound there is."""

    def _run(self) -> None:
        try:
            self._write()
        except MonitorError as error:
            self.error = error
        except Exception as error:  # noqa: BLE001 - on this thread nobody else would be told
            self.error = MonitorError(f"{self.name}: an unforeseen error, {type(error).__name__}: {error}.")
        finally:
            self.marks.append(Mark(self.ring.written, "end"))

    def _pass(self, samples: FloatArray, clock: _Clock) -> None:
        for start in range(0, len(samples), self._block):
            block = samples[start : start + self._block, None]
            clock.wait_for(len(block), self._stopping)
            while self.ring.free < len(block) and not self._stopping.is_set():
                time.sleep(0.001)
            if self._stopping.is_set():
                return
            self.ring.write(block)


class _Clock:
    """Lets samples pass at a rate; time that the reader made us wait is not made up for in a burst."""

    def __init__(self, samples_per_s: float) -> None:
        self._rate = samples_per_s
        self._due = time.monotonic()

    def wait_for(self, samples: int, stopping: threading.Event) -> None:
        """Returns when so many samples more may pass, or when stopping."""
        self._due = max(self._due + samples / self._rate, time.monotonic() - 0.5)
        if (wait := self._due - time.monotonic()) > 0:
            stopping.wait(wait)


class WavReplay(_Paced):
    """Recordings as if they were heard live, one after another.

    Args:
        speed: 1.0 is real time; infinite is as fast as the reader takes the samples, and nothing is dropped.
        gapless: the recordings are one stream, instead of each beginning anew.

    Raises:
        DataError: if one of the files cannot be opened.
    """

    def __init__(
        self,
        paths: Sequence[Path],
        sample_rate: int,
        channel: Channel = "mix",
        *,
        speed: float = 1.0,
        gapless: bool = False,
        buffer_s: float = 30.0,
    ) -> None:
        super().__init__(paths[0].name, sample_rate, speed, buffer_s)
        self._files = [(path, duration_s(path)) for path in paths]
        self._channel, self._gapless = channel, gapless

    def _write(self) -> None:
        clock = _Clock(self.sample_rate * self.speed)
        total = sum(length for _, length in self._files)
        for number, (path, length) in enumerate(self._files):
            kind = "name" if self._gapless and number else "recording"
            self.marks.append(Mark(self.ring.written, kind, path.name, total if self._gapless else length))
            for samples in read_blocks(path, self.sample_rate, self._channel, block_s=1.0):
                self._pass(samples, clock)
                if self._stopping.is_set():
                    return


class Sound(Protocol):
    """A sound that is made as it is needed."""

    def read(self, n: int, /) -> FloatArray:
        """The next n samples: (n,)."""


class Synthetic(_Paced):
    """Sound that is made as it is needed, of a given length (None: without end)."""

    def __init__(
        self, sound: Sound, sample_rate: int, name: str, *, length_s: float | None, speed: float, buffer_s: float = 30.0
    ) -> None:
        super().__init__(name, sample_rate, speed, buffer_s)
        self._sound, self._length_s = sound, length_s

    def _write(self) -> None:
        clock = _Clock(self.sample_rate * self.speed)
        self.marks.append(Mark(self.ring.written, "recording", self.name, self._length_s))
        left = itertools.repeat(self._block) if self._length_s is None else self._portions(self._length_s)
        for count in left:
            self._pass(np.asarray(self._sound.read(count), np.float32), clock)
            if self._stopping.is_set():
                return

    def _portions(self, length_s: float) -> list[int]:
        total = round(length_s * self.sample_rate)
        whole, rest = divmod(total, self._block)
        return [self._block] * whole + ([rest] if rest else [])
