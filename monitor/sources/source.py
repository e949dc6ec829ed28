"""The interface of a source of sound.

A source writes samples into a ring, on its own thread, and marks where recordings begin and end.
"""

from __future__ import annotations

from collections import deque
from dataclasses import dataclass
from typing import Protocol

from monitor.audio.ring_buffer import RingReader
from monitor.core.errors import MonitorError
from monitor.sources.gap_detector import Gaps


@dataclass(frozen=True, slots=True)
class Mark:
    """A change at the absolute sample `index`.

    Kinds: "recording": a new recording begins; "name": the recording continues under another name; "end": the source
    has ended.
    """

    index: int
    kind: str
    name: str = ""
    duration_s: float | None = None
    began: float | None = None  # Unix time at which the recording was made; None if unknown


class Source(Protocol):
    """A source of samples, as the engine uses it. To write one, derive from `monitor.sources.paced.PacedSource`."""

    speed: float  # stream seconds per second; infinite: as fast as the samples are read
    live: bool  # whether a device sets the pace: samples not read in time are lost

    @property
    def name(self) -> str:
        """Name for display, until the first mark gives another."""

    @property
    def reader(self) -> RingReader:
        """The reader of its samples; a new one after the source has been reopened."""

    @property
    def marks(self) -> deque[Mark]:
        """Marks in order of index; each is appended before the sample at its index is written."""

    @property
    def sample_rate(self) -> int:
        """Sample rate of the ring in Hz."""

    @property
    def error(self) -> MonitorError | None:
        """The error that ended the source early."""

    @property
    def lost_since(self) -> float | None:
        """Time on the monotonic clock since which a live source has been lost; None if it is not lost."""

    @property
    def overflows(self) -> int:
        """How often the device of a live source has reported lost samples."""

    @property
    def clock_ppm(self) -> float:
        """By how much the clock of a sender is fast, in parts per million; NaN if that is not measured, or not yet."""

    def gap_detector(self, reader: RingReader, sample_rate: int) -> Gaps:
        """A detector of gaps in a ring of this source, whose sample rate in Hz is given; used if the source is live."""

    def start(self) -> None:
        """Starts the thread that writes into the ring."""

    def stop(self) -> None:
        """Stops the source, and returns when it writes no more."""
