"""Builds an engine from stream requests: loads models, creates sources, and forms batches of streams."""

from __future__ import annotations

import logging
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path

from monitor.audio.sound_files import recordings_of
from monitor.bundle.bundle import Bundle
from monitor.bundle.bundle_io import load_bundle
from monitor.config.loader import SettingsSource
from monitor.config.network_address import public_name
from monitor.config.schema import Config
from monitor.config.setting_types import Channel
from monitor.config.sources import Audio
from monitor.core.errors import BundleError
from monitor.core.thread_pool import ThreadPool, available_processors
from monitor.detection.drift import Drift, DriftFile
from monitor.model.device import listening_device
from monitor.outputs.drift_saver import DriftSaver
from monitor.outputs.sink import Sink
from monitor.runtime.batches import Batches
from monitor.runtime.engine import ACCELERATED, Engine
from monitor.runtime.monitored_stream import MonitoredStream
from monitor.runtime.start_failures import StartFailures
from monitor.sources.device.microphones import Listener
from monitor.sources.file_replay import FileReplay
from monitor.sources.network.address import with_device
from monitor.sources.source import Source

STREAMS_PER_PROCESSOR = 64  # live streams for which one thread suffices

log = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class StreamPlan:
    """A stream with everything that it consists of, ready for `build_engine`."""

    bundle: Bundle
    config: Config  # the settings in force
    source: Source
    model_name: str = ""  # display name
    name: str = ""  # name of the stream if there are several
    sinks: Sequence[Sink] = ()
    drift: Drift | None = None  # offsets of the reference distribution; None: the reference is fixed


@dataclass(frozen=True, slots=True)
class StreamRequest:
    """The description of a stream: an entry of `streams` in config.yaml, or the arguments of a command."""

    model: Path
    name: str = ""
    device: str = field(default="", repr=False)  # the microphone, or an address; empty: that of `audio`
    channel: Channel | None = None  # None: the channel of the training
    files: tuple[Path, ...] = ()  # recordings to replay, instead of a microphone
    alarm: dict[str, object] = field(default_factory=dict)  # settings of the group `alarm` for this stream only
    version: Path | None = None  # the model that was promoted in place of `model` for this stream
    url_file: Path | None = None  # instead of `device`: a file with an address

    @property
    def model_in_force(self) -> Path:
        """The file of the model that it is scored with."""
        return self.version or self.model

    @property
    def source_name(self) -> str:
        """Name of the source for display, before it is opened."""
        return self.files[0].name if self.files else public_name(self.device) or "microphone"


@dataclass(frozen=True, slots=True)
class LoadedRequest:
    """A stream request with its loaded model, and the settings in force."""

    request: StreamRequest
    bundle: Bundle
    config: Config

    @property
    def channel(self) -> Channel:
        """The channel that is scored."""
        requested = self.request.channel
        return self.bundle.config.features.channel if requested is None else requested

    @property
    def listener(self) -> Listener:
        """What it needs of a microphone."""
        audio = self.config.audio
        settings = audio.model_copy(update={"device": self.request.device or audio.device, "url_file": None})
        return Listener(settings, self.channel, self.bundle.config.features.sample_rate)

    def plan(
        self,
        source: Source,
        *,
        sinks: Sequence[Sink] = (),
    ) -> StreamPlan:
        """The plan of this request with a source.

        If drift is enabled, what was learnt is loaded from the file beside the model. Only live streams save it: a
        replay of old recordings must not change what a monitor that is running has learnt.

        Args:
            source: the source.
            sinks: receive events and scores.

        Raises:
            MonitorError: if the drift file is damaged.
        """
        drift = None
        if self.config.drift.enabled:
            drift, file = (
                Drift(self.bundle, self.config.drift),
                DriftFile.beside(self.request.model_in_force, self.bundle, self.request.name),
            )
            file.load(drift)
            if source.live:
                sinks = [*sinks, DriftSaver(drift, file)]
        name = model_name(self.request.model, self.bundle)
        return StreamPlan(self.bundle, self.config, source, name, self.request.name, sinks, drift)


def with_recordings(requests: Iterable[StreamRequest], failures: StartFailures | None = None) -> list[StreamRequest]:
    """The requests, with each folder of recordings replaced by the recordings in it.

    Args:
        requests: streams that replay recordings.
        failures: takes streams without recordings; None: they are an error.

    Raises:
        DataError: as `StartFailures.check` says.
    """
    failures = failures or StartFailures()
    found: list[StreamRequest] = []
    for request in requests:
        with failures.collected(request.name, request.model, request.source_name):
            found.append(replace(request, files=tuple(recordings_of(request.files))))
    failures.check(found)
    return found


def load_requests(
    requests: Iterable[StreamRequest], settings: SettingsSource, failures: StartFailures | None = None
) -> list[LoadedRequest]:
    """Loads the models of requests, each model once, and resolves the settings of each request.

    Args:
        requests: the streams.
        settings: the settings file and the command line.
        failures: takes streams whose models cannot be loaded, or whose address cannot be read; None: they are an error.

    Raises:
        BundleError: as `StartFailures.check` says, with a message for each stream concerned.
        ConfigError: if settings contradict those that a model was trained with.
    """
    failures = failures or StartFailures()
    bundles: dict[Path, Bundle] = {}
    loaded: list[tuple[StreamRequest, Bundle]] = []
    for request in requests:
        with failures.collected(request.name, request.model, request.source_name):
            if request.version is not None:
                try:
                    loaded.append((request, _loaded(request.version, bundles)))
                    continue
                except BundleError as error:
                    log.warning("%s Until then the configured model is used.", error)
                    request = replace(request, version=None)
            loaded.append((request, _loaded(request.model, bundles)))
    failures.check(loaded)
    found: list[LoadedRequest] = []
    for request, bundle in loaded:
        config = settings.for_model(bundle.config, str(request.model), request.alarm)
        with failures.collected(request.name, request.model, request.source_name):
            found.append(LoadedRequest(_with_address(request, config.audio), bundle, config))
    failures.check(found)
    return found


def _with_address(request: StreamRequest, audio: Audio) -> StreamRequest:
    """The request with its address: checked, and read from the file that it, or `audio` for it, names instead.

    Raises:
        ConfigError: if it cannot be read.
    """
    if request.files:
        return request
    own = {"device": request.device, "url_file": request.url_file}
    source = with_device(audio.model_copy(update=own) if any(own.values()) else audio)
    return replace(request, device=source.device, url_file=None)


def _loaded(path: Path, bundles: dict[Path, Bundle]) -> Bundle:
    if path not in bundles:
        bundles[path] = load_bundle(path)
    return bundles[path]


def file_sources(
    loaded: Sequence[LoadedRequest], *, speed: float, gapless: bool, failures: StartFailures | None = None
) -> list[tuple[LoadedRequest, Source]]:
    """A source for each stream that replays its recordings, one after another.

    Args:
        loaded: the streams.
        speed: stream seconds per second; infinite for as fast as possible.
        gapless: whether the recordings of a stream follow each other without a break, as one recording.
        failures: takes streams whose recordings cannot be opened; None: they are an error.

    Returns:
        the other streams, each with its source.

    Raises:
        DataError: as `StartFailures.check` says, with a message for each stream concerned.
    """
    failures = failures or StartFailures()
    sources: list[tuple[LoadedRequest, Source]] = []
    for one in loaded:
        with failures.collected(one.request.name, one.request.model, one.request.source_name):
            source = FileReplay(
                one.request.files, one.bundle.config.features.sample_rate, one.channel, speed=speed, gapless=gapless,
                buffer_s=one.config.audio.buffer_s, features=one.bundle.config.features,
            )  # fmt: skip
            sources.append((one, source))
    failures.check(sources)
    return sources


def make_plans(
    streams: Iterable[tuple[LoadedRequest, Source]],
    sinks: Callable[[LoadedRequest], Sequence[Sink]],
    failures: StartFailures | None = None,
) -> list[StreamPlan]:
    """The plans of streams.

    Args:
        streams: each with its source.
        sinks: returns the sinks of a stream.
        failures: takes streams whose drift file is damaged; None: they are an error.

    Raises:
        MonitorError: as `StartFailures.check` says.
    """
    failures = failures or StartFailures()
    plans: list[StreamPlan] = []
    for one, source in streams:
        with failures.collected(one.request.name, one.request.model, one.request.source_name):
            plans.append(one.plan(source, sinks=sinks(one)))
    failures.check(plans)
    return plans


def build_engine(
    plans: Sequence[StreamPlan], *, device: str = "auto", precision: str = "auto", processors: int | None = None
) -> Engine:
    """Builds the engine for streams; streams of the same model form one batch.

    Args:
        plans: the streams.
        device: "auto", "cpu" or "cuda", as `train.device`.
        precision: as `listening.precision`.
        processors: number of processors that share the computation; None: all that are available.
    """
    on_processor = str(listening_device(device)) == "cpu"
    processors = (processors or available_processors()) if on_processor else 1
    paced = all(plan.source.speed <= ACCELERATED for plan in plans)
    # A few live streams do not even keep one processor busy: further threads would only use power.
    threads = min(processors, len(plans) // STREAMS_PER_PROCESSOR) if paced else processors
    pool = ThreadPool(threads) if threads > 1 else None
    return Engine(build_streams(plans, device=device, precision=precision, pool=pool), pool)


def build_streams(
    plans: Sequence[StreamPlan], *, device: str, precision: str, pool: ThreadPool | None
) -> list[MonitoredStream]:
    """The streams of plans, those of the same model in one batch; arguments as for `build_engine`.

    Args:
        pool: threads that share the computation.
    """
    places = Batches(device, precision, pool).places([plan.bundle for plan in plans])
    return [
        MonitoredStream(
            *place, plan.source, plan.config, model_name=plan.model_name, name=plan.name, sinks=plan.sinks,
            drift=plan.drift,
        )
        for plan, place in zip(plans, places, strict=True)
    ]  # fmt: skip


def model_name(path: Path, bundle: Bundle) -> str:
    """The display name of a model: its short name, its date, and of one that was made of it which version it is."""
    return f"{short_name(path)}, {str(bundle.provenance.get('date', ''))[:10]}{version_text(bundle)}"


def version_text(bundle: Bundle) -> str:
    """Which version of a model it is, and since when: ", version 3 of 2026-11-27"; empty if it has no ancestors."""
    ancestors = bundle.provenance.get("lineage", ())
    return f", version {len(ancestors) + 1} of {ancestors[-1]['date'][:10]}" if ancestors else ""


def short_name(path: Path) -> str:
    """The short name of a model: its file name, or its folder's name for files called "model"."""
    return path.resolve().parent.name if path.stem == "model" else path.stem
