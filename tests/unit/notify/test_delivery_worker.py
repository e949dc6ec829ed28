"""A channel that fails: its messages are tried again or given up, none is lost, and none is sent twice."""

from __future__ import annotations

import contextlib
import threading
from collections.abc import Iterator
from itertools import pairwise

import pytest
import sqlalchemy as sa

from monitor.notify.delivery_worker import LAST_RETRY_S
from monitor.notify.message import Message
from monitor.store.database import Store, StoreError
from monitor.store.tables import events
from support.listening import DEADLINE_S, wait_until
from support.logs import logged
from support.outbox import NOON, Outbox, busy


class Killed(BaseException):
    """The program is killed at this moment."""


def attempts(box: Outbox, seconds: float, step_s: float = 1.0) -> list[float]:
    """Seconds after noon at which attempts were made while time passed."""
    times: list[float] = []
    while box.now < NOON + seconds:
        before = len(box.phone.tried)
        box.wait(step_s, step_s)
        times += [box.now - NOON] * (len(box.phone.tried) - before)
    return times


def test_a_message_that_fails_is_tried_again_after_pauses_that_grow_until_it_is_sent_once() -> None:
    box = Outbox()
    box.phone.failures = [busy() for _ in range(4)]
    box.begin()
    times = attempts(box, 200)
    assert [round(later - earlier) for earlier, later in pairwise(times)] == [5, 10, 20, 40]
    assert len(box.phone.sent) == 1
    assert len({one.delivery for one in box.phone.tried}) == 1
    [row] = box.rows()
    assert (row.state, row.attempts, row.why) == ("sent", 5, None)


def test_pauses_do_not_grow_beyond_minutes() -> None:
    box = Outbox()
    box.phone.failure = busy()
    box.begin()
    times = attempts(box, 3600, step_s=20)
    assert max(later - earlier for earlier, later in pairwise(times)) <= LAST_RETRY_S + 40


def test_a_receiver_that_asks_to_wait_is_not_asked_before() -> None:
    box = Outbox()
    box.phone.failures = [busy(wait_s=120)]
    box.begin()
    first, second = attempts(box, 300)
    assert 120 <= second - first <= 125


def test_a_message_is_given_up_after_give_up_h_with_the_last_failure() -> None:
    box = Outbox(give_up_h=1)
    box.phone.failure = busy("the channel is gone")
    box.begin()
    with logged("monitor.notify") as said:
        box.wait(3 * 3600, step_s=30)
    [row] = box.rows()
    assert (row.state, row.why) == ("given up", "the channel is gone")
    assert row.due - NOON <= 3600
    assert said == [
        "notify: phone: messages are not delivered: the channel is gone.",
        "notify: phone: a message is given up: the channel is gone.",
    ]


def test_what_the_receiver_does_not_want_is_given_up_after_few_attempts() -> None:
    box = Outbox()
    box.phone.failure = busy("it answers 404", refused=True)
    box.begin()
    box.wait(3600, step_s=20)
    assert len(box.phone.tried) == 3
    assert box.states() == ["given up"]


def test_after_messages_were_given_up_new_ones_are_sent() -> None:
    box = Outbox()
    box.phone.failures = [busy("it answers 404", refused=True)] * 9
    for number in range(3):
        box.begin(f"press {number}")
    box.wait(200, step_s=5)
    assert box.states() == ["given up"] * 3
    box.begin("press 4")
    box.wait(4)
    assert box.phone.stages == ["began press 4"]


def test_after_waiting_messages_were_deleted_with_their_events_new_ones_are_sent() -> None:
    box = Outbox()
    box.phone.failures = [busy()] * 3
    for number in range(3):
        box.begin(f"press {number}")
    box.wait(4)
    with box.store.begin() as connection:
        connection.execute(events.delete())
    box.begin("press 4")
    box.wait(10)
    assert box.phone.stages == ["began press 4"]


def test_a_clock_that_is_set_back_delays_no_message() -> None:
    box = Outbox({"after_s": 30})
    box.phone.failures = [busy()] * 5
    box.begin("press 1")
    box.wait(60, step_s=5)
    box.begin("press 2")
    box.now -= 3600
    box.wait(100, step_s=2)
    assert sorted(box.phone.stages) == ["began press 1", "began press 2"]


def test_a_thread_whose_channel_is_down_rests() -> None:
    box = Outbox()
    box.phone.failure = busy()
    for number in range(5):
        box.begin(f"press {number}")
        box.wait(4)
    for _ in range(200):
        pause = box.workers["phone"].work()
        assert pause > 0
        box.now += pause


def test_no_end_is_told_of_an_event_whose_beginning_was_given_up() -> None:
    box = Outbox()
    box.phone.failures = [busy(refused=True)] * 3
    event = box.begin()
    box.wait(60, step_s=5)
    box.end(event)
    box.wait(60, step_s=5)
    assert box.phone.sent == []


def test_a_message_that_always_fails_does_not_hold_up_others() -> None:
    box = Outbox()
    box.phone.failures = [busy()]
    box.begin("poison")
    box.wait(4)
    poison = box.phone.tried[0].delivery
    take = box.phone.send
    box.phone.send = lambda one: _refuse(one.delivery == poison) or take(one)  # type: ignore[method-assign]
    box.wait(3600, step_s=60)
    for number in range(3):
        event = box.begin(f"press {number}")
        box.wait(4)
        assert box.phone.stages[-1] == f"began press {number}"
        box.end(event)
        box.wait(4)
        assert box.phone.stages[-1] == f"ended press {number}"


def _refuse(whether: bool) -> None:
    if whether:
        raise busy()


def test_what_happens_while_a_channel_is_down_is_one_message_when_it_works_again() -> None:
    box = Outbox()
    box.phone.failure = busy()
    for number in range(30):
        box.begin(f"press {number}")
        box.wait(20, step_s=2)
    box.phone.failure = None
    box.wait(LAST_RETRY_S + 10, step_s=5)
    contents = box.phone.contents
    assert len(contents) <= 5
    assert max(one.get("count", 1) for one in contents) >= 20
    assert sum(one.get("count", 1) for one in contents) == 30
    assert set(box.states()) == {"sent"}


def test_a_channel_that_is_down_is_not_tried_for_each_message() -> None:
    box = Outbox()
    box.phone.failure = busy()
    for number in range(40):
        box.begin(f"press {number}")
        box.wait(20, step_s=4)
    assert len(box.phone.tried) < 30


def test_messages_that_wait_are_sent_in_the_order_in_which_they_were_made() -> None:
    box = Outbox()
    box.phone.failure = busy()
    event = box.begin()
    box.wait(10)
    box.end(event)
    box.wait(300, step_s=10)
    box.phone.failure = None
    box.wait(LAST_RETRY_S + 10, step_s=10)
    assert box.phone.stages == ["began press 1", "ended press 1"]


def test_a_message_of_a_monitor_that_is_killed_after_sending_is_repeated_with_the_same_id() -> None:
    """It cannot be known whether the channel took it; the receiver can tell the repetition by the id."""
    box = Outbox()
    for number in range(10):
        box.begin(f"press {number}")
    box.phone.failures = [Killed()]
    with pytest.raises(Killed):
        box.wait(4)
    box.restart()
    box.begin("another")
    box.wait(20)
    first, second = box.phone.tried[:2]
    assert (first.delivery, first.body) == (second.delivery, second.body)
    assert [one.get("count", 1) for one in box.phone.contents] == [10, 1]
    assert set(box.states()) == {"sent"}


def test_a_message_of_a_monitor_that_is_killed_before_sending_is_sent_once() -> None:
    box = Outbox()
    box.begin()
    box.now += 3
    with box.store.begin() as connection:
        box.workers["phone"]._planner.claim(connection, box.now)
    box.restart()
    box.wait(10)
    assert len(box.phone.tried) == 1


def test_a_message_that_was_sent_while_the_store_failed_is_not_sent_again(monkeypatch: pytest.MonkeyPatch) -> None:
    box = Outbox()
    box.begin()
    real, failing = Store.begin, False

    @contextlib.contextmanager
    def begin(store: Store) -> Iterator[sa.Connection]:
        if failing:
            raise StoreError("store.sqlite: another program has locked it.")
        with real(store) as connection:
            yield connection

    def take(_: object) -> None:
        nonlocal failing
        failing = True

    monkeypatch.setattr(Store, "begin", begin)
    box.phone.send = take  # type: ignore[method-assign]
    with pytest.raises(StoreError):
        box.wait(4)
    with pytest.raises(StoreError):
        box.wait(4)
    failing = False
    box.phone.send = box.phone.tried.append  # type: ignore[method-assign]
    box.wait(20)
    assert box.phone.tried == []
    assert box.states() == ["sent"]


def test_an_unforeseen_error_of_the_system_is_a_failure_that_is_tried_again() -> None:
    box = Outbox()
    box.phone.failures = [OSError(11, "Resource temporarily unavailable")]
    box.begin()
    with logged("monitor.notify") as said:
        box.wait(20)
    assert box.states() == ["sent"]
    assert said[0] == "notify: phone: messages are not delivered: Resource temporarily unavailable."
    assert said[1].startswith("notify: phone: works again after ")


def test_an_error_of_a_channel_itself_holds_up_no_other_message() -> None:
    box = Outbox()
    box.phone.failures = [ZeroDivisionError("division by zero")]
    box.begin("press 1")
    box.wait(3)
    box.begin("press 2")
    box.wait(3)
    assert box.phone.stages == ["began press 2"]
    assert box.rows()[0].why == "ZeroDivisionError: division by zero"


def test_a_message_that_is_being_sent_when_the_settings_change_is_not_sent_twice() -> None:
    box = Outbox()
    box.begin()
    box.now += 3
    sending, answered = threading.Event(), threading.Event()
    take = box.phone.send

    def hang(message: Message) -> None:
        sending.set()
        answered.wait(DEADLINE_S)
        take(message)

    box.phone.send = hang  # type: ignore[method-assign]
    before = box.workers["phone"]
    before.start()
    assert sending.wait(DEADLINE_S)
    before.stop()
    box.restart()
    after = box.workers["phone"]
    sending.clear()
    after.start(before)
    assert not sending.wait(0.1)
    answered.set()
    wait_until(lambda: box.states() == ["sent"], "the message")
    after.stop()
    after.join()
    assert len(box.phone.sent) == 1
