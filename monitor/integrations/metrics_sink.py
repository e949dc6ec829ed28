"""The output for Prometheus: counts what happens, and serves it as metrics over HTTP."""

from __future__ import annotations

import importlib.util
from collections.abc import Callable, Collection, Mapping
from pathlib import Path
from typing import TYPE_CHECKING

from monitor.config.plant import Metrics
from monitor.core.errors import ConfigError
from monitor.core.events import Event, ScoreRows
from monitor.core.snapshot import Snapshot
from monitor.integrations.metrics_server import MetricsServer
from monitor.integrations.metrics_tally import Tally
from monitor.outputs.sink import Sink

if TYPE_CHECKING:
    from monitor.integrations.metrics_collector import Deliveries


class MetricsSink(Sink):
    """Serves the metrics of all streams. It never waits: they are made when somebody asks, by the server's threads.

    Args:
        settings: the settings of metrics; `port` must be set (0 in tests: any free port).
        outputs: returns all outputs by their names, for their losses.
        deliveries: as in `MetricsCollector`.
        folders: folders whose free disk space is reported, by their purpose, such as "store" and "clips".

    Raises:
        ConfigError: if prometheus-client is missing, or it is not possible to listen at the address.
    """

    def __init__(
        self,
        settings: Metrics,
        *,
        outputs: Callable[[], Mapping[str, Sink]] = dict,
        deliveries: Callable[[], Deliveries | None] = lambda: None,
        folders: Mapping[str, Path] | None = None,
    ) -> None:
        if importlib.util.find_spec("prometheus_client") is None:
            raise ConfigError(
                "metrics.port needs the library prometheus-client: pip install 'acoustic-monitor[prometheus]'"
            )
        from prometheus_client import CollectorRegistry, ProcessCollector
        from prometheus_client.exposition import choose_encoder

        from monitor.integrations.metrics_collector import MetricsCollector

        self._tally = Tally()
        registry = CollectorRegistry(auto_describe=False)
        registry.register(MetricsCollector(self._tally, outputs, deliveries, folders))
        ProcessCollector(registry=registry)  # CPU time, memory and open files of the process

        def answer(accept: str) -> tuple[bytes, str]:
            encode, content_type = choose_encoder(accept)
            return encode(registry), content_type

        self._server = MetricsServer(settings.address, settings.port or 0, answer)

    @property
    def port(self) -> int:
        """The port of the server."""
        return self._server.port

    @property
    def trouble(self) -> str:
        """Why the metrics cannot be read at present."""
        return super().trouble or self._server.trouble

    def snapshot(self, snapshot: Snapshot) -> None:
        """Keeps the newest values of a stream."""
        self._tally.update(snapshot)

    def scores(self, rows: ScoreRows) -> None:
        """Counts the sound that was scored."""
        self._tally.scored(rows)

    def event(self, event: Event) -> None:
        """Counts an event."""
        self._tally.event(event)

    def keep(self, streams: Collection[str]) -> None:
        """Ends the metrics of all streams but these, because they were removed from the settings. For any thread."""
        self._tally.keep(streams)

    def close(self) -> None:
        """Ends the server."""
        self._server.close()
