"""A slow or full disk stops neither the computing nor its own counting."""

from __future__ import annotations

import contextlib
import os
import threading
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from monitor.core import background_worker
from monitor.core.errors import MonitorError
from monitor.outputs.background import BackgroundSink
from monitor.outputs.event_log import EventLog
from monitor.outputs.score_log import ScoreLog
from support.listening import DEADLINE_S, wait_until
from support.outputs import anomaly, score_rows

FULL = Path("/dev/full")
needs_full_disk = pytest.mark.skipif(not FULL.exists(), reason="there is no /dev/full here")
needs_pipe = pytest.mark.skipif(not hasattr(os, "mkfifo"), reason="there are no named pipes here")


def in_time(action: Callable[[], object]) -> None:
    """Does something that a mistake would make last for ever."""
    thread = threading.Thread(target=action, daemon=True)
    thread.start()
    thread.join(DEADLINE_S)
    assert not thread.is_alive(), "it does not end"


@pytest.mark.parametrize("wait", [True, False])
def test_closing_writes_what_is_waiting(tmp_path: Path, wait: bool) -> None:
    log = ScoreLog(tmp_path / "scores.csv", wait=wait)
    for number in range(200):
        log.scores(score_rows(10 * number, 10))
    log.close()
    assert len((tmp_path / "scores.csv").read_text().splitlines()) == 1 + 2000


def test_the_work_is_done_in_order_on_a_thread_of_the_sink() -> None:
    class Numbers(BackgroundSink):
        def __init__(self) -> None:
            self.done: list[tuple[int, str]] = []
            super().__init__("numbers", wait=True, size=4)

        def push(self, number: int) -> None:
            self._put(lambda: self.done.append((number, threading.current_thread().name)))

    sink = Numbers()
    for number in range(100):
        sink.push(number)
    sink.close()
    assert sink.done == [(number, "sink numbers") for number in range(100)]


# When the disk is slow: a pipe that nobody reads yet stands for it


@contextlib.contextmanager
def pipe(path: Path) -> Iterator[int]:
    """A named pipe that can be written to, and is not read."""
    os.mkfifo(path)
    descriptor = os.open(path, os.O_RDONLY | os.O_NONBLOCK)
    os.set_blocking(descriptor, True)
    try:
        yield descriptor
    finally:
        os.close(descriptor)


def drained(descriptor: int, into: list[bytes]) -> threading.Thread:
    """A thread that reads all there is and will be."""

    def read() -> None:
        while block := os.read(descriptor, 65536):
            into.append(block)

    thread = threading.Thread(target=read)
    thread.start()
    return thread


LINES = 20  # of each portion
PORTIONS = 3000  # more than the pipe and the queue hold


@needs_pipe
def test_a_full_queue_drops_the_oldest_and_counts_them(tmp_path: Path) -> None:
    with pipe(tmp_path / "slow") as descriptor:
        log = ScoreLog(tmp_path / "slow", wait=False)
        for number in range(PORTIONS):
            log.scores(score_rows(number * LINES, LINES))
        dropped_before_any_was_read = log.dropped
        content: list[bytes] = []
        thread = drained(descriptor, content)
        log.close()
        thread.join()
    times = [round(float(line.split(b",")[1]) * 100) for line in b"".join(content).splitlines() if b"pump" in line]
    portions = [at // LINES for at in times[::LINES]]
    assert times == [number * LINES + i for number in portions for i in range(LINES)], "whole portions, in order"
    assert dropped_before_any_was_read > LINES * PORTIONS / 2
    assert log.dropped == LINES * (PORTIONS - len(portions))
    assert portions[-100:] == list(range(PORTIONS - 100, PORTIONS)), "the newest are all there"
    assert str(log.error).startswith(f"{tmp_path / 'slow'}: {log.dropped} lines missing")


@needs_pipe
def test_where_the_sink_waits_nothing_is_dropped(tmp_path: Path) -> None:
    with pipe(tmp_path / "slow") as descriptor:
        log = ScoreLog(tmp_path / "slow", wait=True)

        def push() -> None:
            for number in range(PORTIONS):
                log.scores(score_rows(number * LINES, LINES))

        engine = threading.Thread(target=push)
        engine.start()
        assert engine.is_alive(), "it waits: neither pipe nor queue holds so much"
        content: list[bytes] = []
        thread = drained(descriptor, content)
        engine.join()
        log.close()
        thread.join()
    lines = b"".join(content).splitlines()
    assert lines[0] == b"source,time_s,error,score,threshold"
    assert [round(float(line.split(b",")[1]) * 100) for line in lines[1:]] == list(range(PORTIONS * LINES))
    assert log.dropped == 0


# When it cannot be written


@needs_full_disk
@pytest.mark.parametrize("wait", [True, False])
def test_a_full_disk_is_kept_as_an_error_and_raises_nothing(wait: bool) -> None:
    log = ScoreLog(FULL, wait=wait)

    def push() -> None:
        for number in range(2000):
            log.scores(score_rows(number * 100, 100))
        log.close()

    in_time(push)
    assert str(log.error) == f"/dev/full: cannot be written: No space left on device ({200_000} lines missing)."


@needs_full_disk
def test_events_on_a_full_disk_are_kept_as_an_error() -> None:
    log = EventLog(FULL)
    log.event(anomaly())
    log.close()
    assert str(log.error) == "/dev/full: cannot be written: No space left on device (1 line missing)."


def test_a_pipe_that_nobody_reads_holds_up_neither_the_monitoring_nor_its_end(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(background_worker, "CLOSE_S", 0.2)
    os.mkfifo(tmp_path / "nobody")
    log = EventLog(tmp_path / "nobody", wait=True)

    def push() -> None:
        for _ in range(1000):
            log.event(anomaly())
        log.close()

    in_time(push)
    assert "lines missing" in str(log.error)


def test_a_pipe_whose_reader_stalls_ends_with_the_monitoring_even_where_a_replay_waits_for_it(tmp_path: Path) -> None:
    with pipe(tmp_path / "stalled"):
        log = ScoreLog(tmp_path / "stalled", wait=True)
        log._worker._close_s = 0.2
        engine = threading.Thread(target=lambda: [log.scores(score_rows(0, 1000)) for _ in range(1000)], daemon=True)
        engine.start()
        wait_until(lambda: log._worker.full, "a full queue")
        log.stop_waiting()
        in_time(engine.join)
        in_time(log.close)
    assert "lines missing" in str(log.error)


@pytest.mark.parametrize("sink", [ScoreLog, EventLog])
def test_a_file_that_cannot_be_made_is_an_error_before_anything_starts(tmp_path: Path, sink: type) -> None:
    (tmp_path / "file").touch()
    before = set(threading.enumerate())
    for path in (tmp_path, tmp_path / "file" / "x"):
        with pytest.raises(MonitorError, match="cannot be written") as caught:
            sink(path)
        assert "\n" not in str(caught.value)
    assert set(threading.enumerate()) <= before
