"""The computer's processors, to compute several parts of one thing at the same time."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from concurrent.futures import ThreadPoolExecutor
from typing import TypeVar

import torch

_Part = TypeVar("_Part")
_Result = TypeVar("_Result")


class Processors:
    """`count` threads, each of which computes by itself.

    torch's own threads share every single product, and meet after each: on any thread but the main one, and with
    products as small as ours, they wait for each other more than they gain.
    """

    def __init__(self, count: int) -> None:
        self.count = count
        self._pool = ThreadPoolExecutor(count, "processor", lambda: torch.set_num_threads(1))

    def begin(self, function: Callable[[_Part], _Result], part: _Part) -> Callable[[], _Result]:
        """Begins to compute the function of one part; what is returned waits for the result, or raises its error."""
        return self._pool.submit(function, part).result

    def each(self, function: Callable[[_Part], object], parts: Iterable[_Part]) -> None:
        """Computes the function of all parts."""
        for _ in self._pool.map(function, parts):
            pass

    def close(self) -> None:
        """Ends the threads."""
        self._pool.shutdown()
