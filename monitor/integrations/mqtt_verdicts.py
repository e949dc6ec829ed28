"""Verdicts by MQTT: those that are asked for are written into the store, and new ones of any kind are published."""

from __future__ import annotations

import contextlib
import json
import logging
import queue
import threading
from collections import deque
from dataclasses import dataclass

import sqlalchemy as sa

from monitor.core.errors import MonitorError
from monitor.core.text import counted, printable
from monitor.integrations.mqtt_link import Message
from monitor.integrations.mqtt_payloads import as_json, verdict_payload
from monitor.integrations.mqtt_topics import Topics
from monitor.store import queries, verdicts
from monitor.store.database import Store, StoreError
from monitor.store.lasting_store import LastingStore
from monitor.store.tables import verdicts as verdicts_table

LOOK_S = 2.0  # time between two looks for verdicts that the page or the command line wrote
WAITING = 100  # requests that wait for the store at most
STILL_COMING = 100  # numbers of verdicts: one may become visible after those with so much higher numbers
MOST_READY = 500  # messages that wait for the broker; verdicts beyond that stay in the store until it has them
LONGEST_REQUEST = 10_000  # characters
WORDS = {"event": str, "verdict": str, "by": str, "comment": str, "request": str}  # of a request

log = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class Request:
    """What somebody says an event was."""

    event: str  # the id, or its beginning
    verdict: str
    by: str
    comment: str

    @classmethod
    def read(cls, payload: str) -> Request:
        """Reads a request: {"event": …, "verdict": …, "by": …, "comment": …}; the last two can be left out.

        Raises:
            MonitorError: if it is none.
        """
        try:
            values = json.loads(payload) if len(payload) <= LONGEST_REQUEST else None
        except (ValueError, RecursionError):
            values = None
        if not isinstance(values, dict) or not {"event", "verdict"} <= values.keys():
            raise MonitorError('this is no request: write {"event": "ID", "verdict": "real fault"} as JSON.')
        for name, value in values.items():
            if name not in WORDS:
                raise MonitorError(f"a request has no {printable(name)}: it has {', '.join(WORDS)}.")
            if not isinstance(value, str):
                raise MonitorError(f"{name} has to be text.")
        named = {name: values.get(name, "") for name in ("event", "verdict", "comment")}
        return cls(by=values.get("by", "").strip() or "mqtt", **named)


class VerdictDesk:
    """Writes verdicts that are asked for, and looks for new ones, on a thread of its own.

    Args:
        url: of the store, as `monitor.store.database.Store.open` takes it.
        host: of the streams whose verdicts are published.
        topics: of this monitor.
    """

    def __init__(self, url: str, host: str, topics: Topics) -> None:
        self.ready: deque[Message] = deque()  # what has to be published
        self.lost = 0  # answers for which there was no room: somebody asks faster than the broker takes answers
        self._host, self._topics = host, topics
        self._requests: queue.Queue[str] = queue.Queue(WAITING)
        self._store = LastingStore(lambda: Store.open(url, create=False), moved=lambda _: self._forget_seen())
        self._seen: set[int] | None = None  # numbers of the newest verdicts that were looked at; None: not yet
        self._failed = False
        self._closing = threading.Event()
        self._thread = threading.Thread(target=self._run, name="mqtt verdicts", daemon=True)
        self._thread.start()

    def ask(self, payload: str) -> None:
        """Takes a request. Returns at once; the answer is among what is `ready` later."""
        try:
            self._requests.put_nowait(payload)
        except queue.Full:
            self._answer(payload, {"error": "too many verdicts at once: say it again later."})

    def refuse(self, payload: str, why: str) -> None:
        """Answers a request that is not taken."""
        self._answer(payload, {"error": why})

    def close(self) -> None:
        """Ends the thread."""
        self._closing.set()
        with contextlib.suppress(queue.Full):
            self._requests.put_nowait("")  # wakes the thread
        self._thread.join(5.0)
        if self.lost:
            log.warning("%s to verdicts by MQTT were not sent.", counted(self.lost, "answer"))

    def _run(self) -> None:
        while not self._closing.is_set():
            self._look()
            try:
                payload = self._requests.get(timeout=LOOK_S)
            except queue.Empty:
                payload = None
            if self._closing.is_set():
                break
            if payload is not None:
                self._judge(payload)
        self._store.close()

    def _judge(self, payload: str) -> None:
        try:
            request = Request.read(payload)
            withdrawn = not request.verdict.strip()
            verdict = "" if withdrawn else verdicts.verdict_named(request.verdict)
            store = self._store.opened()
            event = queries.event(store, request.event)
            if event.host != self._host:
                raise StoreError(f"{store.name}: event {event.id} is of another computer, {event.host}.")
            verdicts.record(store, event.id, verdict, by=request.by, comment=request.comment)
        except MonitorError as error:
            self._answer(payload, {"error": str(error)})
        except Exception as error:  # noqa: BLE001 - whatever somebody sends must not end the thread
            log.error("A verdict by MQTT could not be written: %s: %s.", type(error).__name__, error)
            self._answer(payload, {"error": f"a fault in the program, {type(error).__name__}."})
        else:
            log.info("Verdict by MQTT: event %s is %s, by %s.", event.id, verdict or "withdrawn", printable(request.by))
            self._answer(payload, {"error": None, "event": event.id, "verdict": verdict, "by": request.by})

    def _answer(self, payload: str, facts: dict[str, str | None]) -> None:
        if len(self.ready) >= MOST_READY:
            self.lost += 1
            return
        try:
            asked = json.loads(payload) if len(payload) <= LONGEST_REQUEST else None
        except (ValueError, RecursionError):
            asked = None
        said: dict[str, object] = {}
        if isinstance(asked, dict):
            said = {name: asked[name] for name in WORDS if isinstance(asked.get(name), str)}
        said |= {"done": facts["error"] is None, **facts}
        self.ready.append(Message(self._topics.verdict_result, as_json(said), qos=1, retain=False))

    def _look(self) -> None:
        """Publishes the verdicts that were written since it looked last."""
        if len(self.ready) >= MOST_READY:
            return
        try:
            store = self._store.opened()
            table = verdicts_table.c
            if self._seen is None:
                newest = sa.select(table.id).order_by(table.id.desc()).limit(STILL_COMING)
                with store.reading() as connection:
                    self._seen = set(connection.scalars(newest))
                return
            # Of two verdicts at the same time, the one with the higher number may be the first to be there.
            since = max(self._seen, default=0) - STILL_COMING
            unseen = (table.id > since, table.id.not_in(self._seen))
            with store.reading() as connection:
                new = connection.execute(
                    sa.select(verdicts_table).where(*unseen).order_by(table.id).limit(WAITING)
                ).all()
                events = [queries.event_in(connection, one.event_id) for one in new]
            for one, event in zip(new, events, strict=True):
                self._seen.add(one.id)
                if event is not None and event.host == self._host:
                    said = verdicts.StoredVerdict(one.time, one.by, one.verdict, one.comment or "", one.model_id or "")
                    payload = verdict_payload(event, said)
                    self.ready.append(Message(self._topics.event(event.stream), payload, qos=1, retain=False))
            self._seen = set(sorted(self._seen)[-STILL_COMING:])
            self._failed = False
        except MonitorError as error:
            if not self._failed and self._seen is not None:
                log.warning("Verdicts are not published by MQTT at present: %s", error)
                self._failed = True

    def _forget_seen(self) -> None:
        """Forgets the numbers of verdicts, which are others in another store."""
        self._seen = None
