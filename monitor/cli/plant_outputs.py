"""The outputs of `monitor live` beyond its terminal: what is kept, and what people and other programs are told."""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterable, Mapping, Sequence
from typing import TYPE_CHECKING

from monitor.cli.kept_outputs import KeptOutputs
from monitor.cli.reported_outputs import ReportedOutputs
from monitor.config.schema import Config
from monitor.core.errors import ConfigError, MonitorError
from monitor.core.text import printable
from monitor.outputs.sink import Sink
from monitor.runtime.output_set import Output

if TYPE_CHECKING:
    from monitor.core.snapshot import Snapshot
    from monitor.dashboard.history import BackgroundHistory
    from monitor.service.status_server import StatusServer


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
        _require_store_for_messages(config)
        self.in_use: Callable[[], Mapping[str, Sink]] = dict  # returns the sinks that streams share, by their outputs
        self._unnamed = printable(unnamed)[:60]  # as long as names of streams may be: it may be that of a file
        self._kept = KeptOutputs(config, unnamed=self._unnamed, wait=not serving)
        self._reported: ReportedOutputs | None = None
        if serving:
            self._reported = ReportedOutputs(config, self._kept, lambda: self.in_use(), unnamed=self._unnamed)

    @property
    def error(self) -> MonitorError | None:
        """What is wrong with the store; the sinks say their errors themselves."""
        return None if self._kept.writer is None else self._kept.writer.error

    @property
    def status(self) -> StatusServer | None:
        """Answers what other programs ask; None if nobody is told, or before the first sinks were made."""
        return None if self._reported is None else self._reported.status

    def outputs(self, config: Config, streams: Sequence[str]) -> list[Output]:
        """The outputs that settings ask for.

        Args:
            config: the settings.
            streams: names of all streams.

        Raises:
            ConfigError: if the settings contradict each other.
        """
        _require_store_for_messages(config)
        reported = [] if self._reported is None else self._reported.outputs(config, streams)
        return [*self._kept.outputs(config), *reported]

    def show(self, snapshots: Iterable[Snapshot]) -> None:
        """Tells other programs of streams that could not be started, which have no sinks."""
        if self._reported is not None:
            self._reported.show(snapshots)

    def keep(self, streams: Collection[str]) -> None:
        """Makes other programs forget all streams but these, which are in the settings."""
        if self._reported is not None:
            self._reported.keep(streams)

    def note_reload(self, by: str, changed: Sequence[str]) -> None:
        """Notes in the store that settings have changed. Returns at once."""
        if self._kept.writer is not None and changed:
            self._kept.writer.audit(by=by, what="reload", subject=f"settings of {self._kept.host}", after=list(changed))

    @property
    def stores(self) -> bool:
        """Whether this run writes into a store."""
        return self._kept.writer is not None

    @property
    def spooled(self) -> int:
        """The number of entries that wait on this computer, because the store is away."""
        return 0 if self._kept.writer is None else self._kept.writer.kept_aside

    @property
    def keeps_state(self) -> bool:
        """Whether this run may write into the state folder."""
        return self._kept.has_state

    def note_upkeep(self, what: str, stream: str, result: str) -> None:
        """Notes in the audit trail what was done beside the monitoring. Returns at once."""
        if self._kept.writer is not None:
            self._kept.writer.audit(by="monitor", what=what, subject=f"{self._kept.host}/{stream}", after=result)

    def history(self) -> BackgroundHistory | None:
        """The values of hours and days for the screen; None if there is no store."""
        if (url := self._kept.store_url) is None:
            return None
        from monitor.dashboard.history import stored_history

        return stored_history(url, self._kept.host, unnamed=self._unnamed)

    def acknowledge(self, event_id: str) -> None:
        """Notes in the store that somebody has seen an anomaly, which ends its reminders. Returns at once."""
        if self._kept.writer is not None:
            self._kept.writer.acknowledge(event_id, by="screen")

    def close(self) -> None:
        """Ends what is no sink: the store, then messages, which tell its last events. Call it after the session."""
        if self._kept.writer is not None:
            self._kept.writer.close()
        if self._reported is not None:
            self._reported.close()
        self._kept.close(self.in_use())


def _require_store_for_messages(config: Config) -> None:
    if config.notify.channels and not config.store.enabled:
        raise ConfigError("notify.channels needs the store: set store.enabled: true, or leave out the channels.")
