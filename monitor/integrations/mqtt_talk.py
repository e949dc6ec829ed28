"""What is said on one connection to an MQTT broker, from its beginning to its end."""

from __future__ import annotations

import math
import time
from collections.abc import Callable
from functools import partial

from monitor.core.errors import MonitorError
from monitor.core.events import State
from monitor.core.snapshot import Snapshot
from monitor.integrations.live_values import LiveValues
from monitor.integrations.mqtt_feed import Feed
from monitor.integrations.mqtt_link import Link, Message
from monitor.integrations.mqtt_payloads import OFFLINE, ONLINE, event_payload, state_payload
from monitor.integrations.mqtt_verdicts import VerdictDesk

TURN_S = 0.1  # longest time after which a new event or state is noticed
IN_FLIGHT = 20  # messages that are sent and not yet acknowledged, before a further event is sent
CORRECT_S = 2.0  # shortest time between two corrections of what others have said


class Talk:
    """Publishes what is in a feed over an open connection. It has no thread: `run` does all.

    Args:
        feed: what there is to say.
        link: the connection.
        deadline: returns when on the monotonic clock the talk has to end; infinity while the monitor runs.
    """

    def __init__(self, feed: Feed, link: Link, deadline: Callable[[], float]) -> None:
        self._feed, self._link, self._deadline = feed, link, deadline
        self._topics, self._discovery = feed.topics, feed.discovery
        self._models: dict[str, str] = {}  # of the streams that were announced
        self._available: dict[str, str] = {}  # what was published last of the monitor and its streams, by topic
        self._wrong: set[str] = set()  # topics of these at which something else stands now
        self._correct_at = 0.0  # on the monotonic clock
        self._verdict_sent = False  # whether the first verdict of the queue waits for the broker's acknowledgement
        self._said: dict[str, tuple[State, bool]] = {}  # state, and whether the stream had ended, as last published
        self._due: dict[str, float] = {}  # on the monotonic clock: when the values of streams are published again

    def run(self) -> None:
        """Publishes until the monitor closes, then what is left, and that the monitor is offline.

        Raises:
            MonitorError: if the connection is lost, or the time for closing was too short.
        """
        self._greet()
        while True:
            closing = self._deadline() < math.inf
            self._publish_events()
            self._publish_verdicts()
            self._forget_streams()
            self._correct()
            if not self._link.congested:
                self._publish_streams()
            if closing and not len(self._feed.outbox):
                break
            self._turn()
            self._read()
        self._say_goodbye()

    def _greet(self) -> None:
        self._link.subscribe(self._topics.availability)
        self._link.subscribe(self._topics.all_stream_availabilities)
        if self._feed.desk is not None and self._feed.takes_verdicts:
            self._link.subscribe(self._topics.verdict, qos=1)
        if self._discovery is not None:
            self._link.subscribe(self._discovery.birth_topic)
        self._say_available(self._topics.availability, ONLINE)

    def _say_goodbye(self) -> None:
        self._publish_streams(last=True)
        for topic in (*map(self._topics.stream_availability, self._models), self._topics.availability):
            self._say_available(topic, OFFLINE)
        while self._link.unacknowledged or self._link.congested:
            self._turn()
        self._link.end()

    def _say_available(self, topic: str, payload: str) -> None:
        self._available[topic] = payload
        self._link.publish(Message(topic, payload, qos=1))

    def _turn(self) -> None:
        if time.monotonic() > self._deadline():
            raise MonitorError("the broker did not acknowledge everything before the end.")
        self._link.turn(TURN_S)

    def _publish_events(self) -> None:
        outbox = self._feed.outbox
        while self._link.unacknowledged < IN_FLIGHT and (event := outbox.take()) is not None:
            topic, payload = self._topics.event(event.stream), event_payload(event, self._feed.host)
            self._link.publish(Message(topic, payload, qos=1, retain=False), partial(outbox.acknowledge, event))

    def _publish_verdicts(self) -> None:
        """Publishes what somebody said of events, and the answers to it."""
        desk = self._feed.desk
        if desk is not None and desk.ready and not self._verdict_sent:
            self._verdict_sent = True  # one after another; it stays in the queue until the broker has it
            self._link.publish(desk.ready[0], partial(self._verdict_acknowledged, desk))

    def _verdict_acknowledged(self, desk: VerdictDesk) -> None:
        desk.ready.popleft()
        self._verdict_sent = False

    def _take_verdict(self, desk: VerdictDesk, payload: str, *, retained: bool) -> None:
        if retained:
            desk.refuse(payload, "it was sent as a retained message, and would be repeated: send it without retain.")
        else:
            desk.ask(payload)

    def _publish_streams(self, *, last: bool = False) -> None:
        for stream, snapshot in self._feed.latest.items():
            self._publish_stream(stream, snapshot, now=last)

    def _publish_stream(self, stream: str, snapshot: Snapshot, *, now: bool) -> None:
        """Publishes what is new of a stream: its announcement, whether it is heard, and its values."""
        if self._models.get(stream) != snapshot.model:
            self._models[stream] = snapshot.model
            for message in self._discovery.announce(stream, snapshot.model) if self._discovery else ():
                self._link.publish(message)
        topic = self._topics.stream_availability(stream)
        available = ONLINE if LiveValues.of(snapshot).heard else OFFLINE
        if self._available.get(topic) != available:
            self._say_available(topic, available)
        said, clock = (snapshot.state, snapshot.finished), time.monotonic()
        if now or self._said.get(stream) != said or clock >= self._due[stream]:
            self._said[stream], self._due[stream] = said, clock + self._feed.every_s
            self._link.publish(Message(self._topics.state(stream), state_payload(snapshot, time.time())))

    def _read(self) -> None:
        """Reads what was received: Home Assistant has started, or what the broker knows of the monitor and streams."""
        received = self._link.received
        while received:
            topic, payload, retained = received.popleft()
            if topic == self._topics.verdict and self._feed.desk is not None:
                self._take_verdict(self._feed.desk, payload, retained=retained)
            elif self._discovery is not None and topic == self._discovery.birth_topic:
                if payload == ONLINE:
                    self._say_everything_again()
            elif topic in self._available:
                if payload != self._available[topic]:
                    self._wrong.add(topic)
            # A stream that is online belongs to another monitor that runs now.
            elif retained and payload == OFFLINE and (stream := self._topics.stream_of(topic)) is not None:
                self._feed.found(stream)

    def _say_everything_again(self) -> None:
        self._models.clear()
        self._said.clear()
        for topic, payload in list(self._available.items()):
            self._say_available(topic, payload)

    def _correct(self) -> None:
        """Says again what is true, where an earlier run of this monitor was late to say that it is offline.

        It happens when an earlier connection broke off: the broker notices it, and publishes the will, after a minute.
        """
        if self._wrong and (clock := time.monotonic()) >= self._correct_at:
            self._correct_at = clock + CORRECT_S
            for topic in self._wrong:
                self._say_available(topic, self._available[topic])
            self._wrong.clear()

    def _forget_streams(self) -> None:
        """Removes from the broker what it retains of streams that are no longer configured."""
        while self._feed.removed:
            stream = self._feed.removed.popleft()
            topics = self._topics.state(stream), self._topics.stream_availability(stream)
            withdrawal = self._discovery.withdraw(stream) if self._discovery else []
            for message in (*withdrawal, *(Message(topic, "", qos=1) for topic in topics)):
                self._link.publish(message)
            for said in (self._models, self._said, self._due):
                said.pop(stream, None)
            self._available.pop(self._topics.stream_availability(stream), None)
            self._wrong.discard(self._topics.stream_availability(stream))
