"""Jobs that fail are tried again, in order; what is lost is counted and logged at once; ending takes a limited time."""

from __future__ import annotations

import threading

import pytest

from monitor.core import background_worker
from monitor.core.background_worker import BackgroundWorker
from monitor.core.errors import MonitorError
from support.listening import wait_until


@pytest.fixture(autouse=True)
def quick(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(background_worker, "FIRST_RETRY_S", 0.01)


def a_worker(**options: object) -> BackgroundWorker:
    given = {"size": 4, "wait": False, "amount": lambda count: f"{count} jobs", **options}
    return BackgroundWorker("disk", **given)  # type: ignore[arg-type]


class Disk:
    """Jobs that fail while it is full."""

    def __init__(self) -> None:
        self.full = False
        self.attempts = 0
        self.content: list[int] = []

    def write(self, number: int) -> None:
        self.attempts += 1
        if self.full:
            raise OSError(28, "No space left on device")
        self.content.append(number)


def test_a_failed_job_is_tried_again_until_it_succeeds_and_those_behind_it_wait(
    caplog: pytest.LogCaptureFixture,
) -> None:
    worker, disk = a_worker(), Disk()
    disk.full = True
    for number in range(3):
        worker.put(lambda number=number: disk.write(number))
    wait_until(lambda: disk.attempts >= 3, "three attempts")
    assert str(worker.error) == "disk: cannot be written: No space left on device."
    disk.full = False
    wait_until(lambda: disk.content == [0, 1, 2], "all jobs")
    wait_until(lambda: worker.error is None, "no error")
    worker.close()
    messages = [record.message for record in caplog.records]
    assert messages[0] == "disk: cannot be written: No space left on device. It is tried again until it succeeds."
    assert messages[1].startswith("disk: works again after")
    assert len(messages) == 2, "each change is logged once"


def test_while_jobs_fail_the_queue_keeps_the_newest_and_the_weight_of_the_lost_is_counted() -> None:
    for wait in (True, False):
        worker, disk = a_worker(wait=wait), Disk()
        disk.full = True
        worker.put(lambda disk=disk: disk.write(0))
        wait_until(lambda worker=worker: worker.failure, "a failure")
        for number in range(1, 10):
            worker.put(lambda disk=disk, number=number: disk.write(number), weight=10)
        assert worker.lost == 50
        disk.full = False
        worker.close()
        assert disk.content == [0, 6, 7, 8, 9]
        assert str(worker.error) == "disk: 50 jobs missing: it failed, or was too slow, for a time."


def test_a_faulty_job_is_lost_and_the_others_are_done(caplog: pytest.LogCaptureFixture) -> None:
    worker, disk = a_worker(), Disk()

    def faulty() -> None:
        raise ZeroDivisionError("by nobody's fault")

    worker.put(faulty)
    worker.put(lambda: disk.write(1))
    worker.close()
    assert disk.content == [1]
    assert worker.lost == 1
    assert "by nobody's fault" in caplog.text


def test_at_the_end_a_failing_job_is_tried_once_more_and_then_counted_with_all_behind_it() -> None:
    worker, disk = a_worker(), Disk()
    disk.full = True
    for number in range(3):
        worker.put(lambda number=number: disk.write(number))
    wait_until(lambda: worker.failure, "a failure")
    worker.close()
    assert worker.lost == 3
    assert str(worker.error) == "disk: cannot be written: No space left on device (3 jobs missing)."


def test_a_job_that_never_returns_is_left_behind() -> None:
    worker, never = a_worker(close_s=0.1), threading.Event()
    worker.put(never.wait)
    worker.put(lambda: None)
    worker.close()
    assert worker.lost == 2
    assert "did not finish" in str(worker.error)
    never.set()


def test_jobs_that_take_long_together_are_all_done_at_the_end() -> None:
    worker, done = a_worker(size=40, close_s=0.5), []
    for number in range(20):
        worker.put(lambda number=number: (threading.Event().wait(0.05), done.append(number)))
    worker.close()
    assert done == list(range(20))
    assert worker.error is None


def test_an_error_of_ours_is_shown_as_it_is() -> None:
    worker = a_worker()

    def refused() -> None:
        raise MonitorError("the server refused the password.")

    worker.put(refused)
    wait_until(lambda: worker.failure, "a failure")
    assert str(worker.error) == "disk: the server refused the password."
    worker.close()


def test_closing_once_more_counts_nothing_twice() -> None:
    worker, disk = a_worker(), Disk()
    disk.full = True
    worker.put(lambda: disk.write(0), weight=10)
    wait_until(lambda: worker.failure, "a failure")
    worker.close()
    worker.close()
    assert worker.lost == 10


def test_a_worker_has_a_thread_only_while_there_are_jobs(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(background_worker, "IDLE_S", 0.01)
    before, worker, disk = set(threading.enumerate()), a_worker(), Disk()
    assert set(threading.enumerate()) <= before
    for number in range(3):
        worker.put(lambda number=number: disk.write(number))
        wait_until(lambda: set(threading.enumerate()) <= before, "the thread's end")
        assert disk.content == list(range(number + 1))
    worker.close(last=lambda: disk.write(3))
    assert disk.content == [0, 1, 2, 3]
    assert set(threading.enumerate()) <= before
