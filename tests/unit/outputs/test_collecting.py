"""What sinks of many streams collect is processed together, in order, and nothing is lost unnoticed."""

from __future__ import annotations

import threading
from collections import deque

import pytest

from monitor.core import background_worker
from monitor.outputs import collecting
from monitor.outputs.collecting import CollectingSink
from support.listening import wait_until


class Numbers(CollectingSink[int]):
    """Keeps numbers, as long as its disk is not full."""

    def __init__(self, *, wait: bool = False) -> None:
        self.done: list[list[int]] = []  # what was processed together
        self.full = False
        self.threads: set[str] = set()
        super().__init__("numbers", wait=wait)

    def push(self, *numbers: int) -> None:
        for number in numbers:
            self._collect(number)

    def hurry(self) -> None:
        self._process_soon()

    def _process(self, items: deque[int]) -> None:
        self.threads.add(threading.current_thread().name)
        self.done.append([])
        while items:
            if self.full:
                raise OSError(28, "No space left on device")
            if items[0] < 0:
                raise ZeroDivisionError("by nobody's fault")
            self.done[-1].append(items.popleft())

    def _last(self) -> None:
        self.done.append([-1])

    @property
    def all_done(self) -> list[int]:
        return [number for part in self.done for number in part]


@pytest.fixture(autouse=True)
def never_by_itself(monkeypatch: pytest.MonkeyPatch) -> None:
    """Nothing is processed before the sink is told to, so that a busy machine decides nothing."""
    monkeypatch.setattr(collecting, "TOGETHER_S", 600.0)
    monkeypatch.setattr(background_worker, "FIRST_RETRY_S", 0.01)


def test_what_was_collected_is_processed_together_in_order_on_the_thread_of_the_sink() -> None:
    sink = Numbers()
    sink.push(*range(100))
    assert sink.done == []
    sink.close()
    assert [part for part in sink.done if part] == [list(range(100)), [-1]]
    assert sink.threads == {"sink numbers"}
    assert sink.error is None


def test_what_people_wait_for_is_processed_at_once() -> None:
    sink = Numbers()
    sink.push(1, 2)
    sink.hurry()
    wait_until(lambda: sink.all_done == [1, 2], "both numbers")
    sink.push(3)
    sink.hurry()
    wait_until(lambda: sink.all_done == [1, 2, 3], "the third number")
    sink.close()


def test_many_items_are_processed_before_the_time_is_over(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(collecting, "MANY", 10)
    sink = Numbers()
    sink.push(*range(11))
    wait_until(lambda: sink.all_done[:10] == list(range(10)), "ten numbers")
    sink.close()


def test_while_the_disk_fails_the_newest_are_kept_and_the_others_counted(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(collecting, "MANY", 5)
    monkeypatch.setattr(collecting, "MOST", 10)
    sink = Numbers()
    sink.full = True
    sink.push(0)
    sink.hurry()
    wait_until(lambda: sink.trouble, "a failure")
    sink.push(*range(1, 31))
    assert sink.dropped == 20
    sink.full = False
    sink.close()
    assert sink.all_done[:-1] == [0, *range(21, 31)]
    assert sink.dropped == 20


def test_where_the_sink_waits_nothing_is_lost(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(collecting, "MANY", 5)
    sink = Numbers(wait=True)
    sink.push(*range(200))
    sink.close()
    assert sink.all_done[:-1] == list(range(200))
    assert sink.dropped == 0


def test_a_fault_loses_only_what_was_processed_with_it_and_is_counted(caplog: pytest.LogCaptureFixture) -> None:
    sink = Numbers()
    sink.push(1, -1, 2)
    sink.hurry()
    wait_until(lambda: sink.dropped == 2, "the loss")
    sink.push(3)
    sink.close()
    assert sink.all_done[:-1] == [1, 3]
    assert "by nobody's fault" in caplog.text


def test_what_could_not_be_processed_at_the_end_is_counted() -> None:
    sink = Numbers()
    sink.full = True
    sink.push(*range(7))
    sink.close()
    assert sink.dropped == 7
    assert "No space left" in str(sink.error)
