"""A worker thread with a bounded queue of jobs: it retries jobs that fail, counts lost ones, and ends in time."""

from __future__ import annotations

import errno
import logging
import math
import threading
import time
from collections import deque
from collections.abc import Callable

from monitor.core.errors import MonitorError
from monitor.core.text import duration_text

FIRST_RETRY_S, LAST_RETRY_S = 0.5, 30.0  # pause before a failed job is tried again; it doubles each time
CLOSE_S = 5.0  # longest time that closing waits for the remaining jobs
IDLE_S = 2.0  # time without a job after which the thread ends: most outputs of a stream have nothing to do for hours

PIPE_ERRORS = {errno.ENXIO: "nobody reads this pipe", errno.EAGAIN: "nobody reads this pipe"}

log = logging.getLogger(__name__)

Job = Callable[[], None]


class BackgroundWorker:
    """Runs jobs in order on a thread of its own, which exists while there are jobs.

    A job that raises an OSError or a MonitorError, because a disk is full or a server is away, is tried again until it
    succeeds; meanwhile further jobs wait in the queue. A job that raises another exception has a fault and is lost.
    Each change is logged at once: that jobs fail, that they succeed again, and how much was lost.

    Args:
        name: name of the output in messages, such as its path.
        size: number of jobs that the queue can hold.
        wait: what `put` does if the queue is full. True: it waits, which is right for a replay. False: the oldest job
            is lost. While jobs fail, it never waits.
        amount: the text for messages of a weight of lost jobs: `3 lines`.
        close_s: the longest time for which closing waits for a job.
    """

    def __init__(
        self, name: str, *, size: int, wait: bool, amount: Callable[[int], str], close_s: float = CLOSE_S
    ) -> None:
        self.lost = 0  # weight of the jobs that are lost
        self.failure = ""  # why jobs fail at present; empty if they do not
        self._name, self._size, self._wait, self._amount, self._close_s = name, size, wait, amount, close_s
        self._jobs: deque[tuple[Job, int]] = deque()
        self._running = 0  # weight of the job that is running or waits for its next attempt
        self._changed = threading.Condition()
        self._closing = False
        self._deadline = math.inf  # on the monotonic clock: when jobs are abandoned
        self._failed_since = 0.0
        self._thread: threading.Thread | None = None

    @property
    def full(self) -> bool:
        """Whether the queue holds no further job."""
        return len(self._jobs) >= self._size

    @property
    def abandoned(self) -> bool:
        """Whether nobody waits for the jobs any more; a job that blocks has to return."""
        return time.monotonic() >= self._deadline

    @property
    def error(self) -> MonitorError | None:
        """What is wrong with the output: it fails at present, or jobs were lost."""
        missing = f"{self._amount(self.lost)} missing" if self.lost else ""
        if self.failure:
            return MonitorError(f"{self._name}: {self.failure}{f' ({missing})' if missing else ''}.")
        return MonitorError(f"{self._name}: {missing}: it failed, or was too slow, for a time.") if missing else None

    def put(self, job: Job, weight: int = 1) -> None:
        """Adds a job; `weight` is what it counts if it is lost."""
        with self._changed:
            while len(self._jobs) >= self._size:
                if self._wait and not self.failure and not self.abandoned:
                    self._changed.wait(0.1)
                else:
                    self._lose(self._jobs.popleft()[1])
            self._jobs.append((job, weight))
            if self._thread is None and not self._closing:
                self._begin()
            else:
                self._changed.notify_all()

    def stop_waiting(self) -> None:
        """From now on each job has `close_s` to be done, then all are abandoned. `put` waits no longer than that."""
        with self._changed:
            self._deadline = min(self._deadline, time.monotonic() + self._close_s)
            self._changed.notify_all()

    def close(self, last: Job | None = None) -> None:
        """Runs the remaining jobs, then `last`, and ends the thread. Jobs that take too long are abandoned."""
        with self._changed:
            if last is not None and not self._closing:
                self._jobs.append((last, 0))
                if self._thread is None:
                    self._begin()
            self._closing = True
            thread = self._thread
        self.stop_waiting()
        if thread is not None:
            while thread.is_alive() and not self.abandoned:
                thread.join(0.1)
            thread.join(0.5)  # a job that notices that it is abandoned
        with self._changed:
            self.lost += self._running + sum(weight for _, weight in self._jobs)
            self._jobs.clear()
            self._running = 0  # closing once more must not count it again
            if thread is not None and thread.is_alive():
                self.failure = self.failure or f"did not finish within {self._close_s:g} s"

    def _begin(self) -> None:
        """Starts the thread; `_changed` is held."""
        self._thread = threading.Thread(target=self._run, name=f"sink {self._name}", daemon=True)
        self._thread.start()

    def _run(self) -> None:
        pause = FIRST_RETRY_S
        while True:
            with self._changed:
                self._changed.wait_for(lambda: self._jobs or self._closing, IDLE_S)
                if not self._jobs:
                    self._thread = None
                    return
                job, self._running = self._jobs.popleft()
                self._changed.notify_all()
            while not self._done(job):
                with self._changed:
                    if self._closing:  # this was the last attempt
                        return
                    self._changed.wait_for(lambda: self._closing, pause)
                pause = min(2 * pause, LAST_RETRY_S)
            pause = FIRST_RETRY_S
            with self._changed:
                self._running = 0
                if self._deadline < math.inf:
                    self._deadline = time.monotonic() + self._close_s

    def _done(self, job: Job) -> bool:
        """Runs a job; returns whether it need not be tried again."""
        try:
            job()
        except (OSError, MonitorError) as error:
            self._failed(reason(error).removeprefix(f"{self._name}: "))
            return False
        except Exception as error:  # noqa: BLE001 - a faulty job must not end the thread
            with self._changed:
                self._lose(self._running)
            log.error("%s: a part could not be written: %s: %s.", self._name, type(error).__name__, error)
            return True
        if self.failure:
            self.failure = ""
            after = duration_text(time.monotonic() - self._failed_since)
            log.warning("%s: works again after %s; %s missing.", self._name, after, self._amount(self.lost))
        return True

    def _failed(self, why: str) -> None:
        if not self.failure:
            self._failed_since = time.monotonic()
        if why != self.failure:
            self.failure = why
            further = "" if self._closing else " It is tried again until it succeeds."
            log.error("%s: %s.%s", self._name, why, further)

    def _lose(self, weight: int) -> None:
        if weight and not self.lost and not self.failure:
            log.error("%s: is written too slowly: what does not fit into memory is lost.", self._name)
        self.lost += weight


def reason(error: OSError | MonitorError) -> str:
    """Why an output failed, in a few words without a full stop."""
    if not isinstance(error, OSError):
        return str(error).removesuffix(".")
    return f"cannot be written: {PIPE_ERRORS.get(error.errno or 0) or error.strerror or error}"
