"""A source that plays recordings one after another, as if they were live."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from monitor.audio.reader import duration_s, read_blocks
from monitor.config.schema import Channel
from monitor.sources.paced import BUFFER_S, PacedSource


class FileReplay(PacedSource):
    """Plays recordings one after another, resampled to the model's sample rate.

    Args:
        paths: the files.
        sample_rate: sample rate of the model in Hz.
        channel: channel of the files that the model processes, or "mix" for the mean of all.
        speed, buffer_s: as in `monitor.sources.paced.PacedSource`.
        gapless: the files are parts of one continuous recording; otherwise each file is a recording of its own.

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
        buffer_s: float = BUFFER_S,
    ) -> None:
        super().__init__(paths[0].name, sample_rate, speed=speed, buffer_s=buffer_s)
        self._files = [(path, duration_s(path)) for path in paths]
        self._channel, self._gapless = channel, gapless

    def run(self) -> None:
        """Writes the samples of all files."""
        total = sum(length for _, length in self._files)
        for number, (path, length) in enumerate(self._files):
            gapless = self._gapless and number > 0
            self.begin(path.name, total if self._gapless else length, gapless=gapless)
            for samples in read_blocks(path, self.sample_rate, self._channel, block_s=1.0):
                self.write(samples)
                if self.stopping.is_set():
                    return
