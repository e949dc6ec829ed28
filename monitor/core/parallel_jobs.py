"""Runs many independent jobs on the processors of this computer, or on a cluster of Dask or Ray, through joblib."""

from __future__ import annotations

import asyncio
import contextlib
import functools
import logging
import os
import signal
import sys
import threading
import time
from collections.abc import Callable, Generator, Iterable, Iterator, Sequence
from concurrent.futures.process import BrokenProcessPool
from dataclasses import dataclass
from typing import Any, Generic, TypeVar
from urllib.parse import urlsplit

from monitor.core.errors import EXIT_FAILURE, ConfigError, MonitorError
from monitor.core.thread_pool import available_processors

Job = TypeVar("Job")
Result = TypeVar("Result")

CONNECT_S = 10.0  # how long a cluster may take to answer
DIED = "the process that worked on it has been ended, perhaps for lack of memory"


@dataclass(frozen=True, slots=True)
class Outcome(Generic[Job, Result]):
    """What became of a job: its result, or why there is none."""

    job: Job
    result: Result | None
    failure: str = ""  # a sentence, or several lines; "" if there is a result


@dataclass(frozen=True, slots=True)
class Workers:
    """Processes that each do one job at a time.

    Attributes:
        count: number of jobs that are done at the same time.
        threads: number of threads that each may use. In a process of this computer OMP_NUM_THREADS says so, which
            numpy and torch follow; the processes of a cluster have their own settings.
        where: what they are, for messages, such as "2 processes".
        sharers: number of them that share the memory of this computer; 1 on a cluster, where it is not known.
    """

    count: int
    threads: int
    where: str
    sharers: int = 1
    _backend: str = "loky"
    _options: tuple[tuple[str, Any], ...] = ()
    _died: tuple[type[Exception], ...] = (BrokenProcessPool,)  # what is raised if a process has died

    def outcomes(self, function: Callable[[Job], Result], jobs: Iterable[Job]) -> Generator[Outcome[Job, Result]]:
        """Does all jobs; a job that fails, or whose process dies, does not stop the others.

        Args:
            function: is called with each job, in another process unless `count` is 1. It is sent there with every
                job, so it should be small: paths rather than contents.
            jobs: what to do, each small, too.

        Yields:
            the outcome of each job, in the order in which they end. To stop, close the generator.
        """
        call = _Caught(function, os.getpid())
        waiting = list(jobs)
        while waiting:
            ended: set[int] = set()
            with contextlib.suppress(*self._died):
                for number, result, failure in self._run(call, list(enumerate(waiting)), self.count):
                    ended.add(number)
                    yield Outcome(waiting[number], result, failure)
            # If a process has died, loky and Ray end all, and of Dask its jobs are missing. joblib does not say on
            # which job it was: so those that may have been begun are done one by one.
            waiting = [job for number, job in enumerate(waiting) if number not in ended]
            suspects, waiting = waiting[: 2 * self.count], waiting[2 * self.count :]
            for job in suspects:
                yield self._alone(call, job)

    def _alone(self, call: _Caught[Job, Result], job: Job) -> Outcome[Job, Result]:
        """Does one job in a process while no other does any."""
        with contextlib.suppress(*self._died):
            for _, result, failure in self._run(call, [(0, job)], 2):  # with 1, joblib would do it in this process
                return Outcome(job, result, failure)
        return Outcome(job, None, DIED)

    def _run(
        self, call: _Caught[Job, Result], jobs: Sequence[tuple[int, Job]], count: int
    ) -> Iterator[tuple[int, Result | None, str]]:
        from joblib import Parallel, delayed, parallel_config

        options = dict(self._options)
        if self._backend == "loky":
            options["inner_max_num_threads"] = self.threads
        with parallel_config(self._backend, n_jobs=count, **options):
            run = Parallel(return_as="generator_unordered", batch_size=1, max_nbytes=None)
            results = run(delayed(call)(number, job) for number, job in jobs)
            with contextlib.closing(results):
                yield from (result for result in results if result is not None)


@dataclass(frozen=True, slots=True)
class _Caught(Generic[Job, Result]):
    """Calls a function in a worker; an error is returned, because joblib would stop all others at the first one."""

    function: Callable[[Job], Result]
    parent: int  # process id

    def __call__(self, number: int, job: Job) -> tuple[int, Result | None, str]:
        # A worker of Dask, which this process may have started as well, calls this on another thread.
        if os.getppid() == self.parent and threading.current_thread() is threading.main_thread():
            signal.signal(signal.SIGINT, signal.SIG_IGN)  # Ctrl-C reaches all processes; the first one ends all
            _end_with(self.parent)
        try:
            return number, self.function(job), ""
        except MonitorError as error:
            return number, None, str(error)
        except Exception as error:  # noqa: BLE001 - one job must not stop the others
            return number, None, f"unexpected {type(error).__name__}: {error}"


@functools.cache
def _end_with(parent: int) -> None:
    """Ends this process soon after its parent, which may have been killed: nobody would take the results."""

    def watch() -> None:
        while os.getppid() == parent:
            time.sleep(1.0)
        os._exit(EXIT_FAILURE)

    threading.Thread(target=watch, name="parent", daemon=True).start()


@contextlib.contextmanager
def open_workers(
    workers: int | None = None, cluster: str | None = None, *, jobs: int | None = None
) -> Iterator[Workers]:
    """Processes for jobs, on this computer or on a cluster.

    Args:
        workers: number of jobs at the same time, as `--workers` says; None: as many as there are processors.
        cluster: address of a cluster, as `--cluster` says: dask://HOST:PORT (a scheduler), ray://HOST:PORT (a Ray
            client server); None: this computer.
        jobs: number of jobs, if it is known: there are not more workers.

    Raises:
        ConfigError: if the address is not one, the library is missing, or the cluster does not answer.
    """
    if cluster is None:
        processors = available_processors()
        count = workers or processors
        count = count if jobs is None else max(1, min(count, jobs))
        where = "1 process" if count == 1 else f"{count} processes"
        try:
            yield Workers(count, max(1, processors // count), where, sharers=count)
        finally:
            _end_processes()
        return
    if workers is not None:
        raise ConfigError("--workers is for this computer, a cluster has its own number of workers: give one of both.")
    kind = urlsplit(cluster).scheme
    if kind not in ("dask", "ray") or not urlsplit(cluster).netloc:
        raise ConfigError(f"--cluster {cluster}: write dask://HOST:PORT or ray://HOST:PORT.")
    with (_dask if kind == "dask" else _ray)(cluster) as opened:
        yield opened


def _end_processes() -> None:
    """Ends the processes of this computer; joblib would keep them for the next jobs, with the environment of now."""
    if "joblib" in sys.modules:
        from joblib.externals.loky import get_reusable_executor

        get_reusable_executor().shutdown(wait=True, kill_workers=True)


@contextlib.contextmanager
def _dask(cluster: str) -> Iterator[Workers]:
    """The workers of a Dask cluster; one for each of their threads."""
    try:
        from distributed import Client
    except ImportError:
        raise _missing("Dask", "dask") from None
    from joblib import register_parallel_backend
    from joblib._dask import DaskDistributedBackend

    class Backend(DaskDistributedBackend):  # type: ignore[misc]
        """joblib's, which would wait forever for a job whose worker has died, and not use a cluster of one worker."""

        def effective_n_jobs(self, n_jobs: int) -> int:
            return max(2, int(super().effective_n_jobs(n_jobs)))  # with 1, joblib would do all jobs in this process

        async def _collect(self) -> None:
            while self._continue:
                async for future, result in self.waiting_futures:
                    given = [None] if future.status == "error" else result  # a result for each job of a batch
                    self._results.pop(future).set_result(given)
                    self._callbacks.pop(future)(given)
                await asyncio.sleep(0.01)

    try:
        client = Client(f"tcp://{urlsplit(cluster).netloc}", timeout=CONNECT_S, set_as_default=False)
    except (OSError, ValueError) as error:
        raise _silent(cluster, error) from None
    with client:
        count = sum(client.ncores().values())
        if not count:
            raise ConfigError(f"--cluster {cluster}: no worker has joined this cluster yet: start workers, then this.")
        register_parallel_backend("dask", Backend)
        yield Workers(count, 1, f"{count} workers of {cluster}", _backend="dask", _options=(("client", client),))


@contextlib.contextmanager
def _ray(cluster: str) -> Iterator[Workers]:
    """The workers of a Ray cluster; one for each of its processors."""
    try:
        import ray
        from ray.exceptions import RayActorError
        from ray.util.joblib.ray_backend import RayBackend
    except ImportError:
        raise _missing("Ray", "ray") from None
    from joblib import register_parallel_backend

    class Backend(RayBackend):  # type: ignore[misc]
        supports_return_generator = True  # Ray's pool does, only the class that it derives from does not

    try:
        ray.init(cluster, log_to_driver=False, logging_level=logging.ERROR)
    except (ConnectionError, RuntimeError, ValueError, ImportError) as error:
        raise _silent(cluster, error, " If it asks for a token, set RAY_AUTH_MODE=token and RAY_AUTH_TOKEN.") from None
    try:
        register_parallel_backend("ray", Backend)
        count = max(1, int(ray.cluster_resources().get("CPU", 1)))
        yield Workers(count, 1, f"{count} workers of {cluster}", _backend="ray", _died=(RayActorError,))
    except Exception as error:
        if ray.is_initialized() or isinstance(error, MonitorError):
            raise
        raise MonitorError(
            f"--cluster {cluster}: has ended the connection: is it running, and is this program installed in the same "
            "version on all of its computers?"
        ) from error
    finally:
        ray.shutdown()


def _missing(name: str, extra: str) -> ConfigError:
    return ConfigError(f"{name} is not installed: run pip install 'acoustic-monitor[{extra}]'.")


def _silent(cluster: str, error: Exception, hint: str = "") -> ConfigError:
    reason = (str(error).splitlines() or [type(error).__name__])[0].rstrip(".:")
    return ConfigError(f"--cluster {cluster}: does not answer ({reason}): is it running?{hint}")
