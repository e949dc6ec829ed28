"""Messages from events to a real receiver, over failures, restarts and a kill."""

from __future__ import annotations

import math
import os
import re
import signal
import subprocess
import sys
import time
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import sqlalchemy as sa

from monitor.config.plant import Notify
from monitor.config.schema import Config
from monitor.core.events import Event
from monitor.notify.notifier import Notifier
from monitor.notify.outbox import deliveries_summary
from monitor.notify.pace import Pace
from monitor.outputs.named import NamedSink
from monitor.sources.file_replay import FileReplay
from monitor.store.database import Store
from monitor.store.queries import events
from monitor.store.recorder import Recorder
from monitor.store.tables import deliveries
from monitor.store.writer import StoreWriter
from support.builders import noise, write_sound
from support.listening import alarmed_by_loud_noise, plan, run_to_end, wait_until
from support.logs import logged
from support.webhook import Receiver, hang, status

URL = "sqlite:///store.sqlite"
QUICK = Pace(collect_s=0.05, first_retry_s=0.05)


@pytest.fixture
def receiver() -> Iterator[Receiver]:
    """A receiver of webhooks."""
    with Receiver() as made:
        yield made


def settings(*receivers: Receiver, timeout_s: float = 30.0, digest_from: int = 10_000, **rule: Any) -> Notify:
    """Settings with a channel for each receiver, named channel 0, channel 1 …, and a rule for all of them."""
    channels = [{"name": f"channel {n}", "webhook": one.url, "timeout_s": timeout_s} for n, one in enumerate(receivers)]
    names = [one["name"] for one in channels]
    return Notify.model_validate(
        {"channels": channels, "rules": [{"to": names, **rule}] if names else [], "digest_from": digest_from}
    )


@contextmanager
def running(notify: Notify, *, pace: Pace = QUICK, **options: Any) -> Iterator[tuple[StoreWriter, Notifier]]:
    """A writer and a notifier as a running monitor has them."""
    notifier = Notifier(notify, URL, "hall", pace=pace, **options)
    writer = StoreWriter(URL, "hall")
    writer.on_event, writer.after_commit = notifier.on_event, notifier.wake
    notifier.start()
    try:
        yield writer, notifier
    finally:
        writer.close()
        notifier.close()


def anomaly(stream: str) -> Event:
    """An anomaly that begins now."""
    return Event("anomaly", 0.0, None, time.time(), "a microphone", stream=stream)


def states() -> Counter[str]:
    """How many deliveries are in each state. It only reads: polled, it must not keep others from writing."""
    with Store.open(URL, create=False) as store, store.reading() as connection:
        return Counter(connection.scalars(sa.select(deliveries.c.state)))


def test_an_event_of_a_machine_reaches_a_webhook_while_it_lasts_and_when_it_ends(
    receiver: Receiver, quick_config: Config
) -> None:
    rate = quick_config.features.sample_rate
    sound = noise(40 * rate, seed=5, streams=1)[0] * 1.0
    sound[15 * rate : 25 * rate] *= 4
    write_sound(Path("machine.wav"), sound.astype(np.float32), rate)
    bundle = alarmed_by_loud_noise(quick_config)
    with running(settings(receiver)) as (writer, _):
        recorder = Recorder(writer)
        source = FileReplay([Path("machine.wav")], rate, quick_config.features.channel, speed=math.inf)
        run_to_end(plan(bundle, source, sinks=[NamedSink(recorder, "press 1")]))
        recorder.close()
        wait_until(lambda: receiver.taken, "a message")
    first = receiver.taken[0].content
    assert (first["stream"], first["event"]["kind"]) == ("press 1", "anomaly")
    with Store.open(URL) as store:
        [event] = events(store, kinds=["anomaly"])
    assert first["event"]["id"] == event.id
    assert first["text"].startswith("press 1 on hall ")


def test_a_webhook_that_fails_for_a_while_gets_every_message_once(receiver: Receiver) -> None:
    receiver.answers = [status(500), status(503, Retry_After="0"), status(429), status(500)]
    with running(settings(receiver)) as (writer, notifier):
        for number in range(5):
            writer.event(anomaly(f"press {number}"))
        wait_until(lambda: len(receiver.taken) >= 9, "all messages")
        wait_until(lambda: states() == {"sent": 5}, "the notes that they are sent")
        assert notifier.trouble == ""
    accepted = Counter(one.delivery for one in receiver.taken[4:])
    assert len(accepted) == 5
    assert max(accepted.values()) == 1


def test_a_channel_that_hangs_is_said_and_does_not_delay_another(receiver: Receiver) -> None:
    with Receiver() as hanging:
        hanging.answer = hang
        with running(settings(receiver, hanging, timeout_s=0.2)) as (writer, notifier):
            for number in range(3):
                writer.event(anomaly(f"press {number}"))
                wait_until(lambda wanted=number: len(receiver.taken) > wanted, "the message")  # type: ignore[misc]
            stuck = re.compile(r"Messages to channel 1 have been stuck since .* has not answered within 0\.2 s\.")
            wait_until(lambda: stuck.fullmatch(notifier.trouble), "the trouble")
            wait_until(lambda: states()["sent"] == 3, "the notes of the other channel")  # which may be slow, too
        with Store.open(URL) as store:
            assert deliveries_summary(store, "hall").waiting == 3


def test_nothing_is_lost_or_doubled_by_restarts(receiver: Receiver) -> None:
    receiver.answers = [status(500)] * 6
    for number in range(4):
        with running(settings(receiver)) as (writer, _):
            for one in range(3):
                writer.event(anomaly(f"press {number} {one}"))
    with running(settings(receiver)):
        wait_until(lambda: not states()["waiting"], "all messages")
    assert set(states()) == {"sent"}
    accepted = [one.content for one in receiver.taken[6:]]
    assert len({one["delivery"] for one in accepted}) == len(accepted)
    assert len({one["event"]["id"] for one in accepted if one["stage"] == "began"}) == 12


def test_what_happened_last_is_told_before_the_program_ends(receiver: Receiver) -> None:
    """Without waiting for others, as it would otherwise."""
    with running(settings(receiver), pace=Pace(collect_s=60)) as (writer, _):
        writer.event(anomaly("press 1"))
    assert len(receiver.taken) == 1


CHILD = """
import sys, time
from monitor.config.plant import Notify
from monitor.core.events import Event
from monitor.notify.pace import Pace
from monitor.notify.notifier import Notifier
from monitor.store.writer import StoreWriter

settings = Notify.model_validate({"channels": [{"name": "a", "webhook": sys.argv[1]}], "rules": [{"to": "a"}],
                                  "digest_from": 10_000})
notifier = Notifier(settings, "sqlite:///store.sqlite", "hall", pace=Pace(collect_s=0.01))
writer = StoreWriter("sqlite:///store.sqlite", "hall")
writer.on_event, writer.after_commit = notifier.on_event, notifier.wake
notifier.start()
number = 0
while True:
    writer.event(Event("anomaly", 0.0, None, time.time(), "x", stream=f"press {number}"))
    number += 1
    time.sleep(0.005)
"""


@pytest.mark.long
def test_a_monitor_that_is_killed_loses_no_message_and_repeats_at_most_one_with_its_id(receiver: Receiver) -> None:
    child = subprocess.Popen([sys.executable, "-c", CHILD, receiver.url])
    try:
        wait_until(lambda: len(receiver.taken) >= 10, "some messages")
    finally:
        os.kill(child.pid, signal.SIGKILL)
        child.wait()
    notify = Notify.model_validate(
        {"channels": [{"name": "a", "webhook": receiver.url}], "rules": [{"to": "a"}], "digest_from": 10_000}
    )
    with running(notify):
        wait_until(lambda: not states()["waiting"], "the rest")
    with Store.open(URL) as store:
        stored = {one.id for one in events(store)}
    told = Counter(one.delivery for one in receiver.taken)
    about = {one.content["event"]["id"] for one in receiver.taken if one.content["stage"] == "began"}
    assert about == stored
    assert sum(told.values()) - len(told) <= 1
    assert len({one.content["event"]["id"] for one in receiver.taken}) == len(stored)


def test_a_store_that_is_moved_away_while_the_monitor_runs_is_begun_anew(receiver: Receiver) -> None:
    with running(settings(receiver)) as (writer, _):
        writer.event(anomaly("press 1"))
        wait_until(lambda: len(receiver.taken) == 1, "the first message")
        for file in Path().glob("store.sqlite*"):
            file.rename(f"old {file.name}")
        writer.event(anomaly("press 2"))
        wait_until(lambda: len(receiver.taken) == 2, "the second message")


def test_a_channel_that_no_rule_names_is_said_at_the_start() -> None:
    notify = Notify.model_validate({"channels": [{"name": "beacon", "command": "true"}]})
    with logged("monitor.notify") as said, running(notify):
        pass
    assert said == ["notify: no rule sends anything to the channel beacon (notify.rules)."]


def test_messages_of_a_channel_that_is_removed_are_given_up(receiver: Receiver) -> None:
    receiver.answer = status(500)
    with running(settings(receiver)) as (writer, _):
        writer.event(anomaly("press 1"))
        wait_until(lambda: receiver.taken, "an attempt")
    with running(Notify.model_validate({"channels": [{"name": "other", "command": "true"}]})):
        wait_until(lambda: states() == {"given up": 1}, "giving up")
