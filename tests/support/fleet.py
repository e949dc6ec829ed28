"""A hall whose streams take models from a store, without microphones and without an engine's thread."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path

from monitor.bundle.bundle import Bundle
from monitor.bundle.bundle_io import save_bundle
from monitor.bundle.versions import ModelVersions
from monitor.cli.fleet_link import RunningStreams
from monitor.cli.stream_models import with_versions
from monitor.config.loader import SettingsSource
from monitor.core.text import stream_folder
from monitor.fleet.handing_out import hand_out, read_model
from monitor.fleet.model_taking import ModelTaker
from monitor.runtime.builder import StreamRequest
from monitor.runtime.live_streams import LiveStreams
from monitor.runtime.monitored_stream import MonitoredStream
from monitor.service.reload import Reloader
from monitor.store import fleet_models, queries, rows
from monitor.store.database import Store
from monitor.store.fleet_models import ModelOrder
from support.listening import wait_until
from support.live_streams import HandFedSources, hall, requests_of

HOST = "hall-a"
SETTINGS = Path("hall.yaml")
STATE = Path("state")


class FleetHall:
    """Streams that take models, as in `monitor live`.

    Args:
        streams: each `name: …, bundle: …, device: …`.
        models: saved under their names.
        url: of the store.
        objects_url: of the object store of models.
    """

    def __init__(self, streams: Sequence[str], models: Mapping[str, Bundle], url: str, objects_url: str = "") -> None:
        for name, bundle in models.items():
            save_bundle(bundle, Path(name))
        SETTINGS.write_text(hall(*streams, rest=f"state: {{folder: {STATE}, host: {HOST}}}\n"))
        self._settings = SettingsSource.read(SETTINGS)
        self.sources = HandFedSources()
        self.streams = LiveStreams(self._requests_of, lambda _config, _names: [], sources=self.sources)
        self.streams.load(self._settings)
        self.session = self.streams.start()
        self.reloader = Reloader(self.streams, lambda: SettingsSource.read(SETTINGS))
        self.running = RunningStreams(self.streams, self.requests, self.reloader, self._settings.config)
        self.store, self.objects_url = Store.open(url), objects_url
        with self.store.begin() as connection:
            for stream in self.session.streams:
                number = rows.stream_id(connection, HOST, stream.name, 0.0)
                rows.write_stream(connection, number, stream.bundle.model_id, "by hand")
        self.taker = ModelTaker(url, objects_url, self.running)

    def requests(self) -> list[StreamRequest]:
        """The streams of the settings in force."""
        return self._requests_of(self.streams.settings)

    def _requests_of(self, settings: SettingsSource) -> list[StreamRequest]:
        return with_versions(requests_of(settings), self._settings.config)

    def stream(self, name: str) -> MonitoredStream:
        """The stream of a name."""
        return next(one for one in self.session.streams if one.name == name)

    def versions(self, name: str) -> ModelVersions:
        """The versions of the model of a stream."""
        return ModelVersions(STATE / "models" / stream_folder(name))

    def push(self, model: Path, stream: str, by: str = "anna") -> ModelOrder:
        """Hands out a model to a stream."""
        file, content = read_model(model, "a model", by)
        chosen = [one for one in queries.streams(self.store) if one.name == stream]
        [order] = hand_out(self.store, self.objects_url, file, content, chosen)
        return order

    def look(self) -> None:
        """Takes what is to be taken, as at a sign of life."""
        self.taker.take(fleet_models.open_orders(self.store, HOST))

    def order(self, order: ModelOrder) -> ModelOrder:
        """What became of an order."""
        return next(one for one in fleet_models.orders(self.store) if one.id == order.id)

    def take(self, order: ModelOrder) -> ModelOrder:
        """Looks once, and waits until an order is taken or refused."""
        self.look()
        wait_until(lambda: self.order(order).taken is not None, "the order's end")
        return self.order(order)

    def close(self) -> None:
        """Ends all threads."""
        self.taker.close()
        self.reloader.close()
        self.store.close()


@contextlib.contextmanager
def fleet_hall(
    streams: Sequence[str], models: Mapping[str, Bundle], url: str, objects_url: str = ""
) -> Iterator[FleetHall]:
    """A hall that is closed at the end of the block."""
    made = FleetHall(streams, models, url, objects_url)
    try:
        yield made
    finally:
        made.close()
