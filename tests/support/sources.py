"""Reads all samples and marks of a source; and a generator of known samples."""

from __future__ import annotations

import time

import numpy as np

from monitor.sources.source import Mark, Source
from support.listening import DEADLINE_S


class Counter:
    """Generates samples whose value is their index."""

    def __init__(self) -> None:
        self.at = 0

    def read(self, n: int, /) -> np.ndarray:
        self.at += n
        return np.arange(self.at - n, self.at, dtype=np.float32)


def all_of(source: Source, *, max_count: int = 5000) -> tuple[np.ndarray, list[Mark]]:
    """Runs a source until it ends by itself, reading as the engine does; returns its samples and its marks.

    Args:
        max_count: number of samples to read at once.
    """
    blocks: list[np.ndarray] = []
    marks: list[Mark] = []
    source.start()
    deadline = time.monotonic() + DEADLINE_S
    while True:
        assert time.monotonic() < deadline, "the source does not end"
        while source.marks:
            marks.append(source.marks.popleft())
        if marks and marks[-1].kind == "end" and source.reader.read == marks[-1].index:
            break
        taken = source.reader.take(max_count)
        assert taken.lost == 0
        assert taken.samples.dtype == np.float32
        blocks.append(taken.samples)
        if not len(taken.samples):
            time.sleep(0.0005)
    source.stop()
    assert source.reader.written == sum(map(len, blocks))
    return np.concatenate([np.empty(0, np.float32), *blocks]), marks
