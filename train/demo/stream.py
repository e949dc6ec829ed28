"""What the sounds of all simulated machines have in common: reading them piece by piece, and a fault that grows."""

from __future__ import annotations

import math
from abc import ABC, abstractmethod
from collections.abc import Iterator
from typing import ClassVar

import numpy as np
from numpy.typing import NDArray

from monitor.core.errors import ConfigError
from monitor.core.types import DoubleArray
from train.demo.days import Day
from train.demo.filters import BLOCK_S
from train.demo.modes import Change

LOWEST_RATE, HIGHEST_RATE = 8000, 48000  # Hz


class SoundStream(ABC):
    """A sound as a stream, with constant memory. The samples do not depend on the sizes of the reads.

    Before the onset, the samples are exactly those of the healthy machine with the same seed.

    Args:
        sample_rate: in Hz.
        day: what is different on this day; None: nothing.
        fault: one of FAULTS; None: a healthy machine.
        onset_s: when the fault begins, in seconds.
        ramp_s: duration over which the fault grows linearly to `severity`; 0: it begins with this severity.
        severity: 0 to 1.

    Raises:
        ConfigError: if the fault is unknown, or onset, ramp or severity is out of range.
    """

    FAULTS: ClassVar[tuple[str, ...]]

    def __init__(
        self, sample_rate: int, day: Day | None, *, fault: str | None, onset_s: float, ramp_s: float, severity: float
    ) -> None:
        if fault is not None and fault not in self.FAULTS:
            raise ConfigError(f"This machine has no fault {fault!r}; its faults are {', '.join(self.FAULTS)}.")
        demand("fault's severity", 0, severity, 1)
        demand("fault's onset in seconds", 0, onset_s, math.inf)
        demand("fault's ramp in seconds", 0, ramp_s, math.inf)
        self._fault, self._onset_s, self._ramp_s, self._severity = fault, onset_s, ramp_s, severity
        self._rate, self._n, self._blocks = sample_rate, round(BLOCK_S * sample_rate), 0
        self._microphone = day.microphone(sample_rate) if day else None
        self._rest = np.zeros(0, np.float32)

    def read(self, n: int) -> NDArray[np.float32]:
        """The next samples (n,) float32, within [-1, 1].

        Raises:
            ValueError: if n is negative.
        """
        sound, done = np.empty(n, np.float32), 0
        while done < n:
            if not len(self._rest):
                self._rest = self._heard(self._block())
                self._blocks += 1
            taken, self._rest = self._rest[: n - done], self._rest[n - done :]
            sound[done : done + len(taken)] = taken
            done += len(taken)
        return sound

    def changes(self) -> Iterator[Change]:
        """Yields the changes from one operating mode to another, from the start on; none if there is only one mode."""
        return iter(())

    @abstractmethod
    def _block(self) -> DoubleArray:
        """The samples (n,) of the next block. At severity 0 a fault changes nothing, not even by rounding."""

    def _heard(self, sound: DoubleArray) -> NDArray[np.float32]:
        """The sound as the microphone hears it, which saturates softly, so that the samples never clip."""
        return np.tanh(self._microphone(sound) if self._microphone else sound).astype(np.float32)

    def _block_wear(self) -> DoubleArray:
        """The severity of the fault at each sample of this block (n,), 0 to 1."""
        return self._wear((self._blocks * self._n + np.arange(self._n)) / self._rate)

    def _wear(self, seconds: DoubleArray) -> DoubleArray:
        """The severity of the fault at these times, 0 to 1, of the same shape."""
        since = seconds - self._onset_s
        grown = np.clip(since / self._ramp_s, 0, 1) if self._ramp_s else (since >= 0).astype(np.float64)
        return np.asarray(self._severity * grown)


def demand(what: str, low: float, value: float, high: float) -> None:
    """Checks that a setting of a simulated machine is within its range.

    Raises:
        ConfigError: if it is not.
    """
    if not (low <= value <= high and math.isfinite(value)):
        bounds = f"{low} to {high}" if math.isfinite(high) else f"{low} or more"
        raise ConfigError(f"The {what} of a synthetic machine is {bounds}, not {value}.")
