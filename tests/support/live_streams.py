"""Streams of a settings file whose sound a test writes, and whose settings it can read again."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from pathlib import Path

import numpy as np

from monitor.bundle.bundle import Bundle
from monitor.bundle.bundle_io import save_bundle
from monitor.config.loader import SettingsSource
from monitor.config.schema import Config
from monitor.core.errors import SourceLost
from monitor.runtime.builder import LoadedRequest, StreamRequest
from monitor.runtime.engine import Engine
from monitor.runtime.live_streams import LiveStreams, Sources
from monitor.runtime.monitored_stream import MonitoredStream
from monitor.runtime.output_set import Output, StreamOutput
from support.builders import RATE
from support.listening import HandFedSource, RememberingSink

SETTINGS = Path("hall.yaml")
HOP = RATE // 100


class HandFedSources(Sources):
    """Sources that the test writes to, by the name of their streams; `missing` devices cannot be found."""

    def __init__(self, *, live: bool = False) -> None:
        super().__init__()
        self.missing: set[str] = set()
        self.made: list[HandFedSource] = []
        self._live = live

    def make(self, loaded: Sequence[LoadedRequest]) -> Sequence[HandFedSource]:
        """A source for each stream."""
        made = [HandFedSource(live=self._live, name=one.request.device) for one in loaded]
        self.made += made
        return made

    def require(self, loaded: Sequence[LoadedRequest]) -> None:
        """Refuses missing devices."""
        for one in loaded:
            if one.request.device in self.missing:
                raise SourceLost(f"There is no microphone called {one.request.device!r}.")


class Hall:
    """Streams of `hall.yaml`. Their engine has no thread: `hear` runs it turn by turn, so that all is repeatable.

    Args:
        text: the settings.
        models: saved under their names.
        outputs: the outputs of settings, besides a sink for each stream, which is kept in `sinks`.
        live: whether the sources are watched as devices are.
    """

    def __init__(
        self,
        text: str,
        models: Mapping[str, Bundle],
        outputs: Callable[[Config, Sequence[str]], Sequence[Output]] = lambda _config, _names: [],
        *,
        live: bool = False,
    ) -> None:
        for name, bundle in models.items():
            save_bundle(bundle, Path(name))
        self.sinks: dict[str, list[RememberingSink]] = {}
        self.sources = HandFedSources(live=live)
        self._outputs = outputs
        self.streams = LiveStreams(requests_of, self._made_outputs, sources=self.sources)
        self.write(text)
        self.streams.load(self.read())
        self.session = self.streams.start()

    def _made_outputs(self, config: Config, names: Sequence[str]) -> list[Output]:
        return [StreamOutput("sink", (), self._sink), *self._outputs(config, names)]

    def _sink(self, one: LoadedRequest) -> list[RememberingSink]:
        self.sinks.setdefault(one.request.name, []).append(RememberingSink())
        return [self.sinks[one.request.name][-1]]

    @property
    def engine(self) -> Engine:
        """The engine."""
        return self.session.engine

    def write(self, text: str) -> None:
        """Writes the settings."""
        SETTINGS.write_text(text)

    def read(self) -> SettingsSource:
        """Reads the settings."""
        return SettingsSource.read(SETTINGS)

    def reload(self, text: str) -> tuple[str, ...]:
        """Writes other settings and applies them; what has changed."""
        self.write(text)
        prepared = self.streams.prepare(self.read())
        self.streams.apply(prepared)
        return prepared.changed

    def stream(self, name: str) -> MonitoredStream:
        """The stream of a name."""
        return next(stream for stream in self.session.streams if stream.name == name)

    def hear(self, sounds: Mapping[str, np.ndarray]) -> None:
        """Writes the sound (n,) of each stream in hops, and lets the engine score each hop of all of them."""
        for start in range(0, max(map(len, sounds.values())), HOP):
            for name, sound in sounds.items():
                source = self.stream(name).source
                assert isinstance(source, HandFedSource)
                source.write(sound[start : start + HOP])
            self.engine.take_turns()

    def publish(self) -> None:
        """Brings the snapshots of all streams up to date."""
        for stream in self.session.streams:
            stream.publish(0.0)

    def end(self) -> None:
        """Ends all streams."""
        for stream in self.session.streams:
            source = stream.source
            assert isinstance(source, HandFedSource)
            source.end()
        self.engine.take_turns()


def requests_of(settings: SettingsSource) -> list[StreamRequest]:
    """The streams in settings."""
    return [
        StreamRequest(one.bundle, one.name, one.device, one.channel, one.file, one.alarm)
        for one in settings.config.streams
    ]


def hall(*streams: str, rest: str = "") -> str:
    """The text of settings with these streams, each `name: …, bundle: …`."""
    return rest + "streams:\n" + "".join(f"- {{{one}}}\n" for one in streams)
