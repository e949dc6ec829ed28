"""The thread pool, and the number of threads of torch and BLAS."""

from __future__ import annotations

import os
import threading

import numpy as np
import pytest
import torch
from threadpoolctl import threadpool_info

from monitor.core.thread_pool import ThreadPool, available_processors, offline_pool, single_threaded_blas


@pytest.fixture
def pool():
    pool = ThreadPool(2)
    yield pool
    pool.close()


def test_an_error_on_a_thread_is_raised_where_the_result_is_requested(pool: ThreadPool) -> None:
    results = [pool.submit(lambda part: 1 / part, part) for part in (4, 0)]
    assert results[0]() == 0.25
    with pytest.raises(ZeroDivisionError):
        results[1]()
    with pytest.raises(ZeroDivisionError):
        pool.map(lambda part: 1 / part, (1, 0))


def test_all_parts_are_computed_by_several_threads_at_once(pool: ThreadPool) -> None:
    barrier, computed = threading.Barrier(2), []

    def compute(part: int) -> None:
        barrier.wait(60)  # fails if one thread has to compute both parts
        computed.append(part)

    pool.map(compute, (0, 1))
    assert sorted(computed) == [0, 1]


def test_parts_that_have_parts_are_computed_however_few_threads_are_free(pool: ThreadPool) -> None:
    computed: list[tuple[int, int]] = []

    def compute(part: int) -> None:
        pool.map(lambda of_part: computed.append((part, of_part)), range(3))

    pool.map(compute, range(5))
    assert sorted(computed) == [(part, of_part) for part in range(5) for of_part in range(3)]


def test_when_an_error_is_raised_nothing_is_computed_any_more(pool: ThreadPool) -> None:
    running, raised = threading.Event(), threading.Event()
    ended: list[int] = []

    def compute(part: int) -> None:
        if part:
            running.wait(60)
            raise ZeroDivisionError
        running.set()
        raised.wait(0.01)
        ended.append(part)

    with pytest.raises(ZeroDivisionError):
        pool.map(compute, (0, 1))
    assert ended == [0]


def test_torch_uses_one_thread_on_each_thread_of_the_pool(pool: ThreadPool) -> None:
    before = torch.get_num_threads()
    assert pool.submit(lambda _: torch.get_num_threads(), None)() == 1
    assert torch.get_num_threads() == before, "unchanged on other threads"


def test_torch_uses_one_thread_for_what_the_calling_thread_computes_and_as_many_as_before_afterwards(
    pool: ThreadPool,
) -> None:
    before, found = torch.get_num_threads(), []
    torch.set_num_threads(2)
    try:
        pool.map(lambda _: found.append(torch.get_num_threads()), range(8))
        assert found == [1] * 8
        assert torch.get_num_threads() == 2
    finally:
        torch.set_num_threads(before)


def test_blas_is_single_threaded_within_the_block() -> None:
    np.ones((2, 2)) @ np.ones((2, 2))
    threads = _blas_threads()
    with single_threaded_blas():
        assert _blas_threads() == [1] * len(threads)
    assert _blas_threads() == threads


def _blas_threads() -> list[int]:
    return [library["num_threads"] for library in threadpool_info() if library["user_api"] == "blas"]


def test_an_offline_pool_is_none_for_one_processor_and_is_closed_at_the_end() -> None:
    with offline_pool(1) as none:
        assert none is None
        assert set(_blas_threads()) <= {1}
    with offline_pool(3) as pool:
        assert pool is not None
        assert pool.count == 3
        assert pool.submit(len, (1, 2))() == 2
    with pytest.raises(RuntimeError, match="shutdown"):
        pool.submit(len, ())


def test_the_available_processors_are_limited_by_affinity_and_omp_num_threads(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(os, "sched_getaffinity", lambda _: {0, 3, 4, 7}, raising=False)
    for requested, count in (("", 4), ("2", 2), ("99", 4), ("0", 4), ("many", 4), ("-1", 4)):
        monkeypatch.setenv("OMP_NUM_THREADS", requested)
        assert available_processors() == count
    monkeypatch.delenv("OMP_NUM_THREADS")
    assert available_processors() == 4
