"""What there is to say by MQTT: written by the threads that monitor, read by the one that talks to the broker."""

from __future__ import annotations

from collections import deque
from collections.abc import Collection

from monitor.config.plant import Mqtt
from monitor.core.snapshot import Snapshot
from monitor.integrations.home_assistant import Discovery
from monitor.integrations.mqtt_outbox import Outbox
from monitor.integrations.mqtt_topics import Topics
from monitor.integrations.mqtt_verdicts import VerdictDesk


class Feed:
    """The newest values of all streams, their events, and the topics that they have.

    Args:
        settings: the settings of MQTT.
        host: name of this computer in topics.
        streams: names of all streams that are configured; empty: they are not known.
    """

    def __init__(self, settings: Mqtt, host: str, streams: Collection[str]) -> None:
        self.every_s, self.host = settings.every_s, host
        self.topics = Topics(settings.prefix, host)
        self.desk: VerdictDesk | None = None  # None: there is no store
        self.takes_verdicts = settings.commands
        self.discovery = Discovery(settings, self.topics, host) if settings.discovery else None
        self.outbox = Outbox()
        self.removed: deque[str] = deque()  # streams that the broker has to forget
        self._configured = frozenset(streams)
        self._latest: dict[str, Snapshot] = {}  # each access is one operation, so no lock is needed

    @property
    def latest(self) -> dict[str, Snapshot]:
        """The newest snapshot of each stream, by its name."""
        return dict(self._latest)

    def update(self, snapshot: Snapshot) -> None:
        """Keeps the newest snapshot of a stream."""
        self._latest[snapshot.stream] = snapshot

    def keep(self, streams: Collection[str]) -> None:
        """Makes the broker forget all streams but these, which are configured; the others have no more snapshots."""
        self._configured = frozenset(streams)
        for stream in self.latest.keys() - self._configured:
            self._latest.pop(stream, None)
            self.removed.append(stream)

    def found(self, stream: str) -> None:
        """Notes that the broker knows a stream; if it is not configured, an earlier run left it, and it is removed."""
        if self._configured and stream not in self._configured and stream not in self._latest:
            self.removed.append(stream)
