"""A thread pool for numerical work, and control of the threads that numerical libraries start themselves."""

from __future__ import annotations

import os
import sys
from collections import deque
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import ThreadPoolExecutor, wait
from contextlib import contextmanager
from typing import TypeVar

from threadpoolctl import threadpool_limits

_Part = TypeVar("_Part")
_Result = TypeVar("_Result")


class ThreadPool:
    """A pool of `count` threads, each of which computes on one processor core.

    BLAS and torch share each single matrix product between threads, which have to synchronize after each. Our matrix
    products are so small that this costs more than it gains. Therefore each thread of this pool computes a whole part
    of the work.
    """

    def __init__(self, count: int) -> None:
        self.count = count
        self._pool = ThreadPoolExecutor(count, "compute", limit_torch_to_one_thread)

    def submit(self, function: Callable[[_Part], _Result], part: _Part) -> Callable[[], _Result]:
        """Starts `function(part)` on a thread; returns a function that waits for the result, or raises its error."""
        return self._pool.submit(function, part).result

    def map(self, function: Callable[[_Part], object], parts: Iterable[_Part]) -> None:
        """Calls `function` with each part, and returns when all are done, or raises the error of a failed one.

        The calling thread works on the parts as well, and each thread takes the next one when it has finished one. So
        it may be called on a thread of the pool: if the others are busy, the calling thread does all parts.
        """
        left = deque(parts)

        def work() -> None:
            while True:
                try:
                    part = left.popleft()
                except IndexError:
                    return
                function(part)

        helpers = [self._pool.submit(work) for _ in range(min(self.count, len(left)) - 1)]
        try:
            with single_threaded_torch():
                work()
        finally:
            left.clear()  # after an error, nothing more is begun
            begun = [helper for helper in helpers if not helper.cancel()]
            wait(begun)
        for helper in begun:
            helper.result()

    def close(self) -> None:
        """Waits for running work and ends the threads."""
        self._pool.shutdown()


def limit_torch_to_one_thread() -> None:
    """Makes torch, if it is loaded, compute on the calling thread only. torch keeps this setting for each thread."""
    if (torch := sys.modules.get("torch")) is not None:
        torch.set_num_threads(1)


@contextmanager
def single_threaded_torch() -> Iterator[None]:
    """Within the block, torch, if it is loaded, computes on the calling thread only."""
    if (torch := sys.modules.get("torch")) is None:
        yield
        return
    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    try:
        yield
    finally:
        torch.set_num_threads(threads)


@contextmanager
def single_threaded_blas() -> Iterator[None]:
    """Within the block, numpy computes each matrix product on the thread that calls it."""
    with threadpool_limits(limits=1, user_api="blas"):
        yield


@contextmanager
def offline_pool(processors: int) -> Iterator[ThreadPool | None]:
    """A thread pool for offline computation, with single-threaded BLAS, that is closed at the end of the block.

    Args:
        processors: number of threads.

    Yields:
        the pool; None for one processor, which needs no pool.
    """
    pool = ThreadPool(processors) if processors > 1 else None
    try:
        with single_threaded_blas():
            yield pool
    finally:
        if pool is not None:
            pool.close()


def available_processors() -> int:
    """The number of processor cores that this process may use, or OMP_NUM_THREADS if that is smaller."""
    allowed = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
    requested = os.environ.get("OMP_NUM_THREADS", "")
    return max(1, min(allowed, int(requested))) if requested.isdecimal() and int(requested) else allowed
