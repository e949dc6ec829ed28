"""The outputs of `monitor live` beyond its terminal: store, clips, messages, MQTT, metrics, status and systemd."""

from __future__ import annotations

import logging
from collections.abc import Callable, Collection, Iterable, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from monitor.config.schema import Config
from monitor.core.errors import ConfigError, MonitorError
from monitor.core.text import counted, printable
from monitor.outputs.named import NamedSink
from monitor.outputs.sink import Sink
from monitor.runtime.output_set import Output, SharedOutput, StreamOutput
from monitor.store.location import (
    clips_folder,
    host_name,
    is_chosen,
    normal_folder,
    scores_folder,
    spool_file,
    state_folder,
    store_files,
    store_url,
)

if TYPE_CHECKING:
    from monitor.clips.folder import ClipFolder
    from monitor.clips.mover import ClipMover
    from monitor.config.plant import Clips
    from monitor.core.snapshot import Snapshot
    from monitor.dashboard.history import BackgroundHistory
    from monitor.integrations.metrics_collector import Deliveries
    from monitor.integrations.metrics_sink import MetricsSink
    from monitor.integrations.mqtt_sink import MqttSink
    from monitor.normal_sound.normal_sink import NormalSound
    from monitor.notify.notifier import Notifier
    from monitor.runtime.builder import LoadedRequest
    from monitor.service.status_server import StatusServer
    from monitor.store.database import Store
    from monitor.store.lock import StateLock
    from monitor.store.writer import StoreWriter

MOVING = "moving clips"  # the output that moves clips to `clips.url`

log = logging.getLogger(__name__)


class PlantOutputs:
    """Makes the outputs that the settings ask for, at the start and each time that the settings are read again.

    The groups `state` and `store` stay as they were at the start.

    Args:
        config: the settings.
        unnamed: name for the stream that has none, because it is the only one.
        serving: whether other programs are told: messages, MQTT, metrics, status and systemd; otherwise the store and
            the clips are all there is, as for a replay.

    Raises:
        ConfigError: if the state folder is in use.
        AddressError: if the store has no usable address.
    """

    def __init__(self, config: Config, *, unnamed: str = "", serving: bool = True) -> None:
        self.status: StatusServer | None = None
        self.in_use: Callable[[], Mapping[str, Sink]] = dict  # returns the sinks that streams share, by their outputs
        self._unnamed = printable(unnamed)[:60]  # as long as names of streams may be: it may be that of a file
        self._config, self._serving = config, serving
        self._host, self._url = host_name(config), store_url(config)
        self._clip_folder: ClipFolder | None = None
        self._mover: ClipMover | None = None  # the one that was made last
        self._normal: NormalSound | None = None
        self._writer: StoreWriter | None = None
        self._notifier: Notifier | None = None
        self._next_notifier: Notifier | None = None  # until it is certain that it will be used
        self._deliveries_store: Store | None = None
        _require_store_for_messages(config)
        self._lock = _locked(config)
        try:
            if self._lock is not None:
                self._open_store()
        except BaseException:
            self.close()
            raise

    @property
    def error(self) -> MonitorError | None:
        """What is wrong with the store; the sinks say their errors themselves."""
        return None if self._writer is None else self._writer.error

    def outputs(self, config: Config, streams: Sequence[str]) -> list[Output]:
        """The outputs that settings ask for.

        Args:
            config: the settings.
            streams: names of all streams.

        Raises:
            ConfigError: if the settings contradict each other.
        """
        _require_store_for_messages(config)
        found: list[Output] = []
        if self._writer is not None:
            found += [
                SharedOutput("store", (), lambda: self._named(self._recorder())),
                StreamOutput("names in the store", (), self._register, of_model=True),
            ]
            if self._lock is not None and self._config.store.keep_scores_days:
                found.append(SharedOutput("scores", (), lambda: self._named(self._score_history())))
        if self._lock is not None and config.clips.enabled:
            cut = _without_url(config.clips)  # where clips are moved to does not matter while they are recorded
            found.append(StreamOutput("clips", cut, lambda one: self._named(self._clip_sink(config, one))))
            if config.clips.url:
                found.append(SharedOutput(MOVING, config.clips, lambda: [self._clip_mover(config)]))
        if self._lock is not None and config.normal.enabled:
            depends = (config.normal, config.clips.min_free_gb)
            found.append(StreamOutput("normal sound", depends, lambda one: self._named(self._normal_sink(config, one))))
        if not self._serving:
            return found
        if self._writer is not None:
            messages = (config.notify, config.clips.folder, config.clips.url)
            found.append(SharedOutput("notify", messages, lambda: self._make_notifier(config), self._use_notifier))
        if config.mqtt.broker:
            found.append(SharedOutput("mqtt", config.mqtt, lambda: self._named(self._mqtt(config, streams))))
        if config.metrics.port is not None:
            found.append(SharedOutput("metrics", config.metrics, lambda: self._named(self._metrics(config))))
        if self._lock is not None:
            found.append(SharedOutput("status", (), lambda: self._named(self._status())))
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

    def _live_views(self) -> list[MqttSink | MetricsSink | StatusServer]:
        """The sinks that show the present state of all streams."""
        shared = self.in_use()
        return [shared[name] for name in ("mqtt", "metrics", "status") if name in shared]  # type: ignore[misc]

    def note_reload(self, by: str, changed: Sequence[str]) -> None:
        """Notes in the store that settings have changed. Returns at once."""
        if self._writer is not None and changed:
            self._writer.audit(by=by, what="reload", subject=f"settings of {self._host}", after=list(changed))

    @property
    def stores(self) -> bool:
        """Whether this run writes into a store."""
        return self._writer is not None

    @property
    def spooled(self) -> int:
        """The number of entries that wait on this computer, because the store is away."""
        return 0 if self._writer is None else self._writer.kept_aside

    @property
    def keeps_state(self) -> bool:
        """Whether this run may write into the state folder."""
        return self._lock is not None

    def note_upkeep(self, what: str, stream: str, result: str) -> None:
        """Notes in the audit trail what was done beside the monitoring. Returns at once."""
        if self._writer is not None:
            self._writer.audit(by="monitor", what=what, subject=f"{self._host}/{stream}", after=result)

    def history(self) -> BackgroundHistory | None:
        """The values of hours and days for the screen; None if there is no store."""
        if self._writer is None:
            return None
        from monitor.dashboard.history import stored_history

        return stored_history(self._url, self._host, unnamed=self._unnamed)

    def acknowledge(self, event_id: str) -> None:
        """Notes in the store that somebody has seen an anomaly, which ends its reminders. Returns at once."""
        if self._writer is not None:
            self._writer.acknowledge(event_id, by="screen")

    def close(self) -> None:
        """Ends what is no sink: the store, then messages, which tell its last events. Call it after the session."""
        for part in (self._writer, self._notifier, self._deliveries_store):
            if part is not None:
                part.close()
        if self._writer is not None:
            self._writer.finish()
        # Of a reload that failed, the mover that was made last is not in use.
        if self._mover is not None and (not self._serving or self.in_use().get(MOVING) is self._mover):
            self._mover.finish()
        if self._lock is not None:
            self._lock.close()

    def _look_up_deliveries(self) -> Mapping[str, Any]:
        """How the delivery of messages goes; empty if there are none. Called by one thread, which may have to wait."""
        from monitor.notify.outbox import deliveries_summary
        from monitor.store.database import Store

        if self._notifier is None or self._writer is None:
            return {}
        if self._deliveries_store is None:
            self._deliveries_store = Store.open(self._writer.messages_url, create=False)
        return deliveries_summary(self._deliveries_store, self._host).as_mapping()

    def _deliveries(self) -> Deliveries | None:
        """What was looked up last, for the metrics; None if there are no messages, or it is not known."""
        from monitor.integrations.metrics_collector import Deliveries

        found = self.status.deliveries if self.status is not None else None
        if not found or "failure" in found:
            return None
        return Deliveries(found["waiting"], found["given_up"], found["oldest_waiting_s"] or 0.0)

    def _open_store(self) -> None:
        from monitor.clips.notice import new_notice
        from monitor.store.database import require_address

        if self._config.store.enabled:
            require_address(self._url)
        if notice := new_notice(self._config):
            log.info("%s", notice)
        if self._config.store.enabled:
            self._writer = self._new_writer()

    def _new_writer(self) -> StoreWriter:
        from monitor.store.retention import Retention
        from monitor.store.spooled_writer import SpooledWriter
        from monitor.store.writer import StoreWriter

        settings, retention = self._config.store, Retention.of(self._config.store)
        file = spool_file(self._config)
        if store_files(self._config):
            _warn_of_spool(file)
            return StoreWriter(self._url, self._host, retention=retention)
        return SpooledWriter(self._url, self._host, file, max_bytes=settings.max_mb * 1e6, retention=retention)

    def _named(self, sink: Sink) -> list[Sink]:
        return [NamedSink(sink, self._unnamed) if self._unnamed else sink]

    def _recorder(self) -> Sink:
        from monitor.store.recorder import Recorder

        assert self._writer is not None
        return Recorder(self._writer, wait=not self._serving)

    def _score_history(self) -> Sink:
        from monitor.outputs.score_history import ScoreHistory

        days = self._config.store.keep_scores_days
        return ScoreHistory(scores_folder(self._config), keep_days=days, wait=not self._serving)

    def _register(self, one: LoadedRequest) -> list[Sink]:
        """Writes the stream and its model into the store; it needs no sink of its own."""
        from monitor.runtime.builder import version_text

        assert self._writer is not None
        self._writer.stream(one.request.name or self._unnamed, one.bundle.model_id, one.request.source_name)
        limits = {kind: threshold.value for kind, threshold in one.bundle.thresholds.items()}
        found = {kind: threshold.model_dump(mode="json") for kind, threshold in one.bundle.thresholds.items()}
        name = f"{one.request.model}{version_text(one.bundle)}"
        self._writer.model(one.bundle.model_id, name, limits, found)
        return []

    def _clip_sink(self, config: Config, one: LoadedRequest) -> Sink:
        from monitor.clips.clip_records import StoreRecords
        from monitor.clips.clip_sink import ClipSink
        from monitor.clips.folder import ClipFolder

        settings = _without_url(config.clips)
        if self._clip_folder is None or self._clip_folder.settings != settings:
            path = clips_folder(config)
            if self._writer is None:
                self._clip_folder = ClipFolder(path, settings)
            else:
                records = StoreRecords(self._url)
                self._clip_folder = ClipFolder(path, settings, files=self._writer.files, records=records)
        return ClipSink(self._clip_folder, one.bundle, wait=not self._serving)

    def _clip_mover(self, config: Config) -> Sink:
        from monitor.clips.clip_records import StoreRecords
        from monitor.clips.mover import clip_mover

        self._mover = clip_mover(config, None if self._writer is None else StoreRecords(self._url))
        return self._mover

    def _normal_sink(self, config: Config, one: LoadedRequest) -> Sink:
        from monitor.normal_sound.normal_sink import NormalSound, NormalSoundSink

        free, url = config.clips.min_free_gb, None if self._writer is None else self._url
        if self._normal is None or (self._normal.settings, self._normal.min_free_gb) != (config.normal, free):
            self._normal = NormalSound(normal_folder(config), config.normal, min_free_gb=free, store_url=url)
        return NormalSoundSink(self._normal, one.request.name or self._unnamed, one.bundle, wait=not self._serving)

    def _make_notifier(self, config: Config) -> list[Sink]:
        """Prepares messages. They follow from what is in the store; their sink only says what is wrong."""
        self._next_notifier = None
        if config.notify.channels:
            from monitor.clips.access import ClipAccess
            from monitor.notify.notifier import MessagesSink, Notifier

            assert self._writer is not None
            url = self._writer.messages_url
            self._next_notifier = Notifier(config.notify, url, self._host, clips=ClipAccess(config))
            return self._named(MessagesSink(self._next_notifier))
        return []

    def _use_notifier(self) -> None:
        assert self._writer is not None
        before, self._notifier = self._notifier, self._next_notifier
        if self._notifier is None:
            self._writer.on_event = self._writer.after_commit = None
        else:
            self._writer.on_event, self._writer.after_commit = self._notifier.on_event, self._notifier.wake
        if before is not None:
            before.close()
        if self._notifier is not None:
            self._notifier.start(before)

    def _mqtt(self, config: Config, streams: Sequence[str]) -> Sink:
        from monitor.integrations.mqtt_sink import MqttSink

        names = [name or self._unnamed for name in streams]
        if config.mqtt.commands and self._writer is None:
            log.warning("mqtt.commands: verdicts are not taken by MQTT, because there is no store to keep them.")
        return MqttSink(config.mqtt, self._host, names, store_url="" if self._writer is None else self._url)

    def _metrics(self, config: Config) -> Sink:
        from monitor.integrations.metrics_sink import MetricsSink

        folders = {"state": state_folder(config), "clips": clips_folder(config)}
        return MetricsSink(config.metrics, outputs=lambda: self.in_use(), deliveries=self._deliveries, folders=folders)

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
        return [] if sink is None else self._named(sink)


def _without_url(clips: Clips) -> Clips:
    """The settings that decide which clips are recorded."""
    return clips.model_copy(update={"url": ""})


def _warn_of_spool(file: Path) -> None:
    """Says what is still to be copied to a database that the settings do not name any more."""
    from monitor.store.database import StoreError
    from monitor.store.spool import left_behind

    try:
        count = left_behind(file)
    except StoreError as error:
        log.warning("%s", error)
        return
    if count:
        log.warning(
            "%s: %s not been copied to the database that store.url named before: name it again, or delete this file.",
            file,
            counted(count, "entry has", "entries have"),
        )


def _require_store_for_messages(config: Config) -> None:
    if config.notify.channels and not config.store.enabled:
        raise ConfigError("notify.channels needs the store: set store.enabled: true, or leave out the channels.")


def _locked(config: Config) -> StateLock | None:
    """The lock of the state folder.

    None if nobody chose a folder, and the default one cannot be used: then this run listens, but keeps nothing.
    """
    from monitor.store.lock import StateLock

    folder = state_folder(config)
    try:
        folder.mkdir(parents=True, exist_ok=True, mode=0o700)
        return StateLock(folder)
    except OSError as error:
        failure = ConfigError(
            f"{folder}: cannot be written: {error.strerror}: choose another folder with --set state.folder=FOLDER."
        )
    except ConfigError as error:
        failure = error
    if is_chosen(config):
        raise failure
    log.warning("%s This run keeps no events and no sound.", failure)
    return None
