"""The MQTT output: the values and events of all streams to a broker, by a thread of its own."""

from __future__ import annotations

import importlib.util
import logging
import math
import stat
import threading
import time
from collections.abc import Collection

from monitor.config.plant import Mqtt
from monitor.core.background_worker import CLOSE_S, FIRST_RETRY_S, LAST_RETRY_S
from monitor.core.errors import ConfigError, MonitorError
from monitor.core.events import Event
from monitor.core.snapshot import Snapshot
from monitor.core.text import counted, duration_text
from monitor.integrations.mqtt_feed import Feed
from monitor.integrations.mqtt_link import KEEP_ALIVE_S, Link, Message, read_password, tls_context
from monitor.integrations.mqtt_payloads import OFFLINE
from monitor.integrations.mqtt_talk import Talk
from monitor.integrations.mqtt_verdicts import VerdictDesk
from monitor.outputs.sink import Sink

log = logging.getLogger(__name__)


class MqttSink(Sink):
    """Publishes the state and the values of each stream regularly and when its state changes, and each event.

    One sink serves all streams. Without a broker it keeps the newest values and a bounded number of events, and tries
    to connect again and again. Events leave its queue when the broker has acknowledged them (QoS 1).

    Args:
        settings: the settings of MQTT; `broker` must be set.
        host: name of this computer in topics.
        store_url: of the store whose verdicts are published, and into which those that somebody sends are written;
            empty: there is none.
        streams: names of all streams that are configured. What an earlier run has left at the broker of other streams
            of this host is removed. Empty: nothing is removed.
        keep_alive_s: as `monitor.integrations.mqtt_link.KEEP_ALIVE_S`.

    Raises:
        ConfigError: if paho-mqtt is missing, or a file that the settings name cannot be read.
    """

    def __init__(
        self,
        settings: Mqtt,
        host: str,
        streams: Collection[str] = (),
        *,
        store_url: str = "",
        keep_alive_s: int = KEEP_ALIVE_S,
    ) -> None:
        _check(settings)
        self._settings, self._keep_alive_s = settings, keep_alive_s
        self._name = f"MQTT broker {settings.broker}:{settings.port}"
        self._feed = Feed(settings, host, streams)
        if store_url:
            self._feed.desk = VerdictDesk(store_url, host, self._feed.topics)
        self._failure = ""  # why there is no connection at present
        self._failed_since = 0.0
        self._fault: MonitorError | None = None  # of the program's own code
        self._closing = threading.Event()
        self._deadline = math.inf  # on the monotonic clock: when closing gives up
        self._thread = threading.Thread(target=self._run, name=f"sink {self._name}", daemon=True)
        self._thread.start()

    @property
    def error(self) -> MonitorError | None:
        """What is wrong: there is no connection at present, or events were lost."""
        missing = f"{counted(self.dropped, 'event')} missing" if self.dropped else ""
        if self._fault:
            return self._fault
        if self._failure:
            return MonitorError(f"{self._name}: {self._failure}{f' ({missing})' if missing else ''}.")
        return MonitorError(f"{self._name}: {missing}: it was away for too long.") if missing else None

    @error.setter
    def error(self, error: MonitorError | None) -> None:
        self._fault = error

    @property
    def dropped(self) -> int:
        """The number of events that were lost."""
        return self._feed.outbox.lost

    @property
    def trouble(self) -> str:
        """Why there is no connection at present; empty if there is one."""
        return str(self.error) if self._fault or self._failure else ""

    def snapshot(self, snapshot: Snapshot) -> None:
        """Keeps the newest values of a stream."""
        self._feed.update(snapshot)

    def event(self, event: Event) -> None:
        """Queues an event that begins, goes on, or ends."""
        self._feed.outbox.put(event)

    def keep(self, streams: Collection[str]) -> None:
        """Makes the broker and Home Assistant forget all streams but these, which are configured. For any thread."""
        self._feed.keep(streams)

    def close(self) -> None:
        """Sends the remaining events, says that the monitor is offline, and ends the thread, in a limited time."""
        self._deadline = min(self._deadline, time.monotonic() + CLOSE_S)
        self._closing.set()
        self._thread.join(CLOSE_S + 1.0)
        self._feed.outbox.give_up()
        if self._feed.desk is not None:
            self._feed.desk.close()
        if self._thread.is_alive():
            self._failure = self._failure or f"did not finish within {CLOSE_S:g} s"

    def _run(self) -> None:
        """Connects, talks until the connection is lost, and connects again, until the sink is closed."""
        pause, outbox = FIRST_RETRY_S, self._feed.outbox
        while True:
            began = time.monotonic()
            if self._talk():
                return
            if time.monotonic() - began > LAST_RETRY_S:
                pause = FIRST_RETRY_S
            if self._closing.is_set() or (self._closing.wait(pause) and not len(outbox)):
                return
            pause = min(2 * pause, LAST_RETRY_S)

    def _talk(self) -> bool:
        """Runs one connection; returns whether everything was said and the sink is closed."""
        outbox = self._feed.outbox
        will = Message(self._feed.topics.availability, OFFLINE, qos=1)
        link = Link(self._settings, will, keep_alive_s=self._keep_alive_s)
        try:
            link.open()
            self._connected()
            Talk(self._feed, link, lambda: self._deadline).run()
        except (MonitorError, OSError) as error:
            outbox.put_back()
            self._failed(str(error).removesuffix("."))
            return False
        except Exception as error:  # noqa: BLE001 - a fault in the program must not end the thread
            outbox.give_up(only_taken=True)  # one of them may be its cause
            self._fault = MonitorError(f"{self._name}: a fault in the program, {type(error).__name__}: {error}.")
            log.error("%s", self._fault)
            return False
        finally:
            link.close()
        return True

    def _connected(self) -> None:
        if self._failure:
            self._failure = ""
            after, missing = duration_text(time.monotonic() - self._failed_since), counted(self.dropped, "event")
            log.warning("%s: works again after %s; %s missing.", self._name, after, missing)
        else:
            log.info("%s: connected.", self._name)

    def _failed(self, why: str) -> None:
        if not self._failure:
            self._failed_since = time.monotonic()
        if why != self._failure:
            self._failure = why
            further = "" if self._closing.is_set() else " It is tried again until it succeeds."
            log.error("%s: %s.%s", self._name, why, further)


def _check(settings: Mqtt) -> None:
    """Checks before anything runs what would otherwise be tried in vain.

    Raises:
        ConfigError: if paho-mqtt is missing, or a file cannot be read.
    """
    if importlib.util.find_spec("paho") is None:
        raise ConfigError("mqtt.broker needs the library paho-mqtt: pip install 'acoustic-monitor[mqtt]'")
    if settings.tls:
        tls_context(settings.ca_file)
    if settings.user:
        read_password(settings)
    path = settings.password_file
    if path is not None and path.expanduser().stat().st_mode & stat.S_IROTH:
        log.warning("%s: holds a password, and every user can read it: chmod 600 would end that.", path)
