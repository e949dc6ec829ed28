"""What `monitor live` does for the fleet: signs of life in the store, and models that are handed out."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import TYPE_CHECKING

from monitor.cli.stream_models import stream_name, versions_of
from monitor.fleet.heartbeat import Heartbeat
from monitor.fleet.host_facts import instance_of
from monitor.fleet.model_content import models_url
from monitor.fleet.model_taking import ModelTaker, StreamInForce
from monitor.store.location import host_name, state_folder, store_url

if TYPE_CHECKING:
    from monitor.config.schema import Config
    from monitor.runtime.builder import StreamRequest
    from monitor.runtime.live_streams import LiveStreams
    from monitor.service.reload import Reloader


class FleetLink:
    """Signs of life of a running monitor, and the models that it takes.

    Args:
        streams: whose session is running.
        requests: returns the streams of the settings in force, also those that could not be started.
        reloader: of the streams.
        started: the settings at the start, which say where the store and the state folder are.
        spooled: returns the number of entries that wait until the store is back.
    """

    def __init__(
        self,
        streams: LiveStreams,
        requests: Callable[[], Sequence[StreamRequest]],
        reloader: Reloader,
        started: Config,
        spooled: Callable[[], int],
    ) -> None:
        running = RunningStreams(streams, requests, reloader, started)
        url = store_url(started)
        self._taker = ModelTaker(url, models_url(started), running)
        instance = instance_of(state_folder(started))
        self._heartbeat = Heartbeat(
            url, host_name(started), started.fleet, instance, running.states, spooled=spooled, take=self._taker.take
        )

    def start(self) -> None:
        """Gives the first sign of life."""
        self._heartbeat.start()

    def use(self, config: Config) -> None:
        """Takes other settings from now on."""
        self._taker.use(models_url(config))
        self._heartbeat.use(config.fleet)

    def close(self) -> None:
        """Takes no further model, and says in the store that the monitor was ended."""
        self._taker.close()
        self._heartbeat.close()


class RunningStreams:
    """The streams of the session, as `ModelTaker` and `Heartbeat` need them."""

    def __init__(
        self,
        streams: LiveStreams,
        requests: Callable[[], Sequence[StreamRequest]],
        reloader: Reloader,
        started: Config,
    ) -> None:
        self._streams, self._requests, self._reloader, self._started = streams, requests, reloader, started
        self._unnamed = ""  # the name in the store of the only stream

    def states(self) -> Mapping[str, str]:
        """The state of each stream, by its name in the store."""
        if not self._unnamed:
            self._unnamed = stream_name(self._requests()[0])
        return {one.stream or self._unnamed: str(one.state) for one in self._streams.session.published}

    def streams(self) -> Mapping[str, StreamInForce]:
        """As `RunningModels.streams`."""
        ids = {stream_name(request): stream.bundle.model_id for request, stream in self._streams.pairs}
        return {
            name: StreamInForce(request.model, versions_of(request, self._started), ids.get(name, ""))
            for request in self._requests()
            for name in (stream_name(request),)
        }

    def swap(self, stream: str, by: str) -> None:
        """As `RunningModels.swap`."""
        name = next((one.name for one in self._requests() if stream_name(one) == stream), stream)
        self._reloader.use_model(name, by)

    def over(self) -> bool:
        """As `RunningModels.over`."""
        return self._streams.session.over()
