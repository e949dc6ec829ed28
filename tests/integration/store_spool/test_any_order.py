"""Outages and restarts in any order leave the same rows in a store as without them."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import sqlalchemy as sa
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from monitor.core.events import Event
from monitor.store import event_lock
from monitor.store.database import Store
from monitor.store.entries import Acknowledgement
from monitor.store.spooled_writer import SpooledWriter
from monitor.store.tables import audit, events, minutes, streams
from monitor.store.writer import StoreWriter
from support.cut_link import CutLink
from support.listening import wait_until
from support.postgres import PostgresServer
from support.spools import HOST, START, caught_up, minute, stored

pytestmark = pytest.mark.long

# What may happen to a monitor, in any order.
STEPS = st.lists(
    st.one_of(
        st.tuples(st.sampled_from(["begin", "change", "end", "files", "acknowledge"]), st.integers(0, 2)),
        st.tuples(st.just("minute"), st.integers(0, 3)),
        st.tuples(st.sampled_from(["cut", "mend", "restart", "wait", "judge"]), st.just(0)),
    ),
    max_size=25,
)


class Both:
    """A writer that may lose its server, and one that writes the same into a file."""

    def __init__(self, url: str, expected: str, folder: Path) -> None:
        self.url, self.expected, self.folder = url, expected, folder
        self.events: dict[int, Event] = {}
        self.open()

    def open(self) -> None:
        self.writers: list[StoreWriter] = [
            SpooledWriter(self.url, HOST, self.folder / "spool.sqlite"),
            StoreWriter(self.expected, HOST),
        ]

    def close(self) -> None:
        for writer in self.writers:
            writer.close()
            writer.finish()

    def restart(self) -> None:
        self.close()
        self.open()
        self.events = {}

    def wait(self, until: Any) -> None:
        until(self.writers[0])
        wait_until(lambda: not self.writers[1]._waiting and not self.writers[1]._writing, "the file")

    def judge(self, direct: str) -> None:
        """A person judges what is in the store now, in both of them."""
        ids = {one.id for one in stored(direct)}
        self.wait(lambda writer: None)
        for one in sorted(ids):
            for address in (direct, self.expected):
                with Store.open(address) as store:
                    event_lock.set_locked(store, one, True, by="ann")

    def write(self, step: str, which: int, number: int) -> None:
        at = START + 60 * number
        if step == "minute":
            self._each("minute", minute(which))
        elif step == "begin":
            self.events[which] = Event("anomaly", at, None, at, "mic", stream=f"press {which}")
            self._each("event", self.events[which])
        elif which in self.events:
            one = self.events[which]
            if step == "files":
                self._each("files", one.id, clip=f"{number}.flac", clip_start=at)
            elif step == "acknowledge":
                for writer in self.writers:  # at the same time, which `acknowledge` takes from the clock
                    writer.write(Acknowledgement(one.id, "screen", at))
            else:
                changes = {"end_s": at + 1} if step == "end" else {"reminders": number}
                self.events[which] = replace(one, **changes)  # type: ignore[arg-type]
                self._each("event", self.events[which], peak_share=1.0 + number / 7)

    def _each(self, what: str, *arguments: Any, **options: Any) -> None:
        for writer in self.writers:
            getattr(writer, what)(*arguments, **options)


def rows_of(address: str) -> dict[str, list[tuple[Any, ...]]]:
    """What is in a store, without what differs in any two of them: numbers of rows, and times of changes by people."""
    of_events = [one for one in events.c if one.name != "stream_id"]
    of_minutes = [one for one in minutes.c if one.name != "stream_id"]
    wanted = {
        "streams": sa.select(*(one for one in streams.c if one.name != "id")).order_by(streams.c.name),
        "events": sa.select(streams.c.name, *of_events).join(streams).order_by(events.c.id),
        "minutes": sa.select(streams.c.name, *of_minutes).join(streams).order_by(streams.c.name, minutes.c.minute),
        "audit": sa.select(audit.c.by, audit.c.what, audit.c.subject).order_by(audit.c.subject, audit.c.what),
    }
    with Store.open(address) as store, store.reading() as connection:
        return {name: [tuple(row) for row in connection.execute(chosen)] for name, chosen in wanted.items()}


@given(steps=STEPS)
@settings(max_examples=15, deadline=None, suppress_health_check=list(HealthCheck))
def test_any_outages_and_restarts_leave_the_same_rows_as_without_them(
    steps: list[tuple[str, int]], postgres: PostgresServer, tmp_path_factory: pytest.TempPathFactory
) -> None:
    folder = tmp_path_factory.mktemp("spool")
    direct, expected = postgres.new_database(), f"sqlite:///{folder / 'expected.sqlite'}"
    link = CutLink(postgres.port)
    url = direct.replace(f":{postgres.port}/", f":{link.port}/")
    made = Both(url, expected, folder)
    try:
        for number, (step, which) in enumerate(steps):
            if step == "cut":
                link.cut()
            elif step == "mend":
                link.mend()
            elif step == "restart":
                made.restart()
            elif step == "wait":
                made.wait(caught_up if link._listener is not None else lambda writer: None)
            elif step == "judge":
                made.judge(direct)
            else:
                made.write(step, which, number)
        link.mend()
        made.wait(caught_up)
    finally:
        made.close()
        link.cut()
    assert rows_of(direct) == rows_of(expected)
