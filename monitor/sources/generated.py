"""Sources of generated sound: for the demo, for benchmarks, and for sources of your own."""

from __future__ import annotations

import itertools
from collections.abc import Callable, Iterable
from typing import Protocol

import numpy as np

from monitor.audio.sample_arrays import mono_block, require_rate
from monitor.core.errors import DataError
from monitor.core.text import shortened
from monitor.core.types import FloatArray
from monitor.sources.paced import BUFFER_S, PacedSource


class Generator(Protocol):
    """A generator of sound."""

    def read(self, n: int, /) -> FloatArray:
        """Returns the next n samples (n,)."""


class GeneratedSource(PacedSource):
    """Writes the sound of a generator.

    Args:
        generator: generates the samples.
        sample_rate: sample rate of the generator in Hz.
        name: name of the recording.
        length_s: length of the sound in seconds; None: without end.
        speed, buffer_s: as in `monitor.sources.paced.PacedSource`.
    """

    def __init__(
        self,
        generator: Generator,
        sample_rate: int,
        name: str,
        *,
        length_s: float | None,
        speed: float,
        buffer_s: float = BUFFER_S,
    ) -> None:
        super().__init__(name, sample_rate, speed=speed, buffer_s=buffer_s)
        self.generator, self._length_s = generator, length_s

    def run(self) -> None:
        """Writes the sound in blocks, until its length is reached or the source is stopped."""
        self.begin(self.name, self._length_s)
        for count in itertools.repeat(self.block) if self._length_s is None else self._blocks(self._length_s):
            self.write(np.asarray(self.generator.read(count), np.float32))
            if self.stopping.is_set():
                return

    def _blocks(self, length_s: float) -> list[int]:
        whole, rest = divmod(round(length_s * self.sample_rate), self.block)
        return [self.block] * whole + ([rest] if rest else [])


class BlockSource(PacedSource):
    """Writes the blocks of any iterable: the shortest way to a source of your own.

    Args:
        blocks: arrays (n,) or (n, channels) of any length, floats with full scale 1 or integers; channels are averaged.
            Or a function that returns such an iterable: it is called on the source's thread when the source starts.
        sample_rate: sample rate of the blocks in Hz, 1000 to 384000.
        name: name of the recording.
        speed: 1.0 to write the blocks in real time; infinite to write them as fast as the iterable yields them and
            the engine scores them.

    Raises:
        DataError: if the sample rate or the speed is not valid, or `blocks` is neither an iterable nor a function.
    """

    def __init__(
        self,
        blocks: Iterable[FloatArray] | Callable[[], Iterable[FloatArray]],
        sample_rate: int,
        *,
        name: str = "blocks",
        speed: float = float("inf"),
    ) -> None:
        super().__init__(name, require_rate(sample_rate), speed=speed)
        if not callable(blocks) and (not isinstance(blocks, Iterable) or isinstance(blocks, str | bytes)):
            raise DataError(f"blocks must be arrays of samples, one after another, not {shortened(repr(blocks))}.")
        self._blocks = blocks

    def run(self) -> None:
        """Writes all blocks.

        Raises:
            DataError: if a block is no array of samples.
        """
        self.begin(self.name)
        for number, block in enumerate(self._blocks() if callable(self._blocks) else self._blocks):
            try:
                samples = mono_block(block, "mix")
            except DataError as error:
                raise DataError(f"{self.name}, block {number}: {error}") from None
            self.write(samples)
            if self.stopping.is_set():
                return
