"""Many jobs in several processes: each is done once, and none that fails stops the others."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

from monitor.core.errors import ConfigError
from monitor.core.parallel_jobs import DIED, open_workers
from support import jobs
from support.listening import wait_until

pytestmark = pytest.mark.long


def test_a_job_that_fails_or_kills_its_process_does_not_stop_the_others() -> None:
    with open_workers(2, jobs=12) as workers:
        outcomes = {one.job: one for one in workers.outcomes(jobs.square, range(12))}
    assert sorted(outcomes) == list(range(12))
    assert {n: one.result for n, one in outcomes.items() if not one.failure} == {
        n: n * n for n in range(12) if n not in (3, 5, 7)
    }
    assert outcomes[3].failure == "3: cannot be squared."
    assert outcomes[5].failure == "unexpected ZeroDivisionError: five"
    assert outcomes[7].failure == DIED


def test_jobs_are_done_at_the_same_time_with_a_share_of_the_threads(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delenv("OMP_NUM_THREADS")
    with open_workers(2) as workers:
        results = [one.result for one in workers.outcomes(jobs.slow, [str(tmp_path / name) for name in "ab"])]
    assert results == [str(workers.threads)] * 2


def test_workers_end_with_a_program_that_is_killed(tmp_path: Path) -> None:
    tests = Path(jobs.__file__).parents[1]
    program = subprocess.Popen(
        [sys.executable, "-c", f"from support import jobs; jobs.killed_main({str(tmp_path)!r})"],
        env=os.environ | {"PYTHONPATH": f"{tests}{os.pathsep}{tests.parent}"},
    )
    files = [tmp_path / name for name in "ab"]
    wait_until(lambda: all(file.is_file() and file.read_text() for file in files) or program.poll() is not None)
    program.kill()
    program.wait()
    wait_until(lambda: not any(Path("/proc", file.read_text()).exists() for file in files), "the end of the workers")


def test_processes_do_not_outlive_their_jobs() -> None:
    """With their memory, and the environment variables of the time when they were started."""
    with open_workers(2) as workers:
        processes = {one.result for one in workers.outcomes(jobs.process_id, range(8))}
    assert os.getpid() not in processes
    assert not any(Path("/proc", str(one)).exists() for one in processes)


def test_one_worker_needs_no_other_process() -> None:
    with open_workers(4, jobs=1) as workers:
        assert workers.count == 1
        assert [one.result for one in workers.outcomes(lambda number: number + 1, [1])] == [2]


@pytest.mark.parametrize(
    ("address", "said"),
    [
        ("dask:", "write dask://HOST:PORT or ray://HOST:PORT"),
        ("http://scheduler:8786", "write dask://HOST:PORT or ray://HOST:PORT"),
        ("dask://127.0.0.1:1", "does not answer"),
    ],
)
def test_a_cluster_that_cannot_be_used_is_refused_in_a_sentence(
    address: str, said: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    pytest.importorskip("distributed")
    monkeypatch.setattr("monitor.core.parallel_jobs.CONNECT_S", 0.3)
    with pytest.raises(ConfigError, match=said) as refused, open_workers(cluster=address):
        pass
    assert address in str(refused.value)


def test_workers_and_a_cluster_are_not_given_both() -> None:
    with pytest.raises(ConfigError, match="give one of both"), open_workers(2, "dask://scheduler:8786"):
        pass
