"""What people and other programs are told: messages, MQTT, metrics, status, and systemd."""

from __future__ import annotations

import logging
from collections.abc import Callable, Collection, Iterable, Mapping, Sequence
from typing import TYPE_CHECKING, Any

from monitor.cli.kept_outputs import KeptOutputs
from monitor.config.schema import Config
from monitor.core.snapshot import Snapshot
from monitor.outputs.named import named
from monitor.outputs.sink import Sink
from monitor.runtime.output_set import Output, SharedOutput
from monitor.store.location import clips_folder, state_folder

if TYPE_CHECKING:
    from monitor.integrations.metrics_collector import Deliveries
    from monitor.integrations.metrics_sink import MetricsSink
    from monitor.integrations.mqtt_sink import MqttSink
    from monitor.notify.notifier import Notifier
    from monitor.service.status_server import StatusServer
    from monitor.store.database import Store

log = logging.getLogger(__name__)


class ReportedOutputs:
    """Makes the outputs that tell people and other programs what is going on.

    Args:
        config: the settings at the start, of which the group `state` stays in force.
        kept: what this run keeps: messages follow from its store.
        in_use: returns the sinks that streams share, by their outputs.
        unnamed: name for the stream that has none.
    """

    def __init__(
        self, config: Config, kept: KeptOutputs, in_use: Callable[[], Mapping[str, Sink]], *, unnamed: str
    ) -> None:
        self.status: StatusServer | None = None
        self._config, self._kept, self._in_use, self._unnamed = config, kept, in_use, unnamed
        self._notifier: Notifier | None = None
        self._next_notifier: Notifier | None = None  # until it is certain that it will be used
        self._deliveries_store: Store | None = None

    def outputs(self, config: Config, streams: Sequence[str]) -> list[Output]:
        """The outputs that settings ask for.

        Args:
            config: the settings.
            streams: names of all streams.
        """
        found: list[Output] = []
        if self._kept.writer is not None:
            messages = (config.notify, config.clips.folder, config.clips.url)
            found.append(SharedOutput("notify", messages, lambda: self._make_notifier(config), self._use_notifier))
        if config.mqtt.broker:
            found.append(SharedOutput("mqtt", config.mqtt, lambda: [self._named(self._mqtt(config, streams))]))
        if config.metrics.port is not None:
            found.append(SharedOutput("metrics", config.metrics, lambda: [self._named(self._metrics(config))]))
        if self._kept.has_state:
            found.append(SharedOutput("status", (), lambda: [self._named(self._status())]))
        found.append(SharedOutput("systemd", (), self._systemd))
        return found

    def show(self, snapshots: Iterable[Snapshot]) -> None:
        """Tells other programs of streams that could not be started, which have no sinks."""
        for snapshot in snapshots:
            for sink in self._live_views():
                sink.snapshot(snapshot)

    def keep(self, streams: Collection[str]) -> None:
        """Makes other programs forget all streams but these, which are in the settings."""
        if not self._unnamed:  # the only stream of a model stays
            for sink in self._live_views():
                sink.keep(streams)

    def close(self) -> None:
        """Ends messages, after the store was told the last events."""
        for part in (self._notifier, self._deliveries_store):
            if part is not None:
                part.close()

    def _live_views(self) -> list[MqttSink | MetricsSink | StatusServer]:
        """The sinks that show the present state of all streams."""
        shared = self._in_use()
        return [shared[name] for name in ("mqtt", "metrics", "status") if name in shared]  # type: ignore[misc]

    def _look_up_deliveries(self) -> Mapping[str, Any]:
        """How the delivery of messages goes; empty if there are none. Called by one thread, which may have to wait."""
        from monitor.notify.outbox import deliveries_summary
        from monitor.store.database import Store

        if self._notifier is None or self._kept.writer is None:
            return {}
        if self._deliveries_store is None:
            self._deliveries_store = Store.open(self._kept.writer.messages_url, create=False)
        return deliveries_summary(self._deliveries_store, self._kept.host).as_mapping()

    def _deliveries(self) -> Deliveries | None:
        """What was looked up last, for the metrics; None if there are no messages, or it is not known."""
        from monitor.integrations.metrics_collector import Deliveries

        found = self.status.deliveries if self.status is not None else None
        if not found or "failure" in found:
            return None
        return Deliveries(found["waiting"], found["given_up"], found["oldest_waiting_s"] or 0.0)

    def _named(self, sink: Sink) -> Sink:
        return named(sink, self._unnamed)

    def _make_notifier(self, config: Config) -> list[Sink]:
        """Prepares messages. They follow from what is in the store; their sink only says what is wrong."""
        self._next_notifier = None
        if config.notify.channels:
            from monitor.clips.access import ClipAccess
            from monitor.notify.notifier import MessagesSink, Notifier

            assert self._kept.writer is not None
            url = self._kept.writer.messages_url
            self._next_notifier = Notifier(config.notify, url, self._kept.host, clips=ClipAccess(config))
            return [self._named(MessagesSink(self._next_notifier))]
        return []

    def _use_notifier(self) -> None:
        writer = self._kept.writer
        assert writer is not None
        before, self._notifier = self._notifier, self._next_notifier
        if self._notifier is None:
            writer.on_event = writer.after_commit = None
        else:
            writer.on_event, writer.after_commit = self._notifier.on_event, self._notifier.wake
        if before is not None:
            before.close()
        if self._notifier is not None:
            self._notifier.start(before)

    def _mqtt(self, config: Config, streams: Sequence[str]) -> Sink:
        from monitor.integrations.mqtt_sink import MqttSink

        names = [name or self._unnamed for name in streams]
        if config.mqtt.commands and self._kept.writer is None:
            log.warning("mqtt.commands: verdicts are not taken by MQTT, because there is no store to keep them.")
        return MqttSink(config.mqtt, self._kept.host, names, store_url=self._kept.store_url or "")

    def _metrics(self, config: Config) -> Sink:
        from monitor.integrations.metrics_sink import MetricsSink

        folders = {"state": state_folder(config), "clips": clips_folder(config)}
        return MetricsSink(config.metrics, outputs=self._in_use, deliveries=self._deliveries, folders=folders)

    def _status(self) -> Sink:
        from monitor.core.object_address import ObjectAddress
        from monitor.service.disk_space import WatchedFolder
        from monitor.service.status_server import StatusServer

        folder = state_folder(self._config)
        free = int(self._config.clips.min_free_gb * 1e9)
        watched = [WatchedFolder("state", folder), WatchedFolder("clips", clips_folder(self._config), free)]
        if self._config.clips.url and (moved := ObjectAddress.parse(self._config.clips.url).folder) is not None:
            watched.append(WatchedFolder("clips.url", moved, free))
        self.status = StatusServer(folder, folders=watched, deliveries=self._look_up_deliveries)
        return self.status

    def _systemd(self) -> list[Sink]:
        from monitor.service.systemd_sink import systemd_sink

        sink = systemd_sink()
        return [] if sink is None else [self._named(sink)]
