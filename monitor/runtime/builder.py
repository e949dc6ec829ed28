"""The streams of config.yaml as stations: each with its model, its source, its alarm."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

from monitor.bundle.bundle import Bundle, load_bundle
from monitor.config.schema import Config, Stream
from monitor.core.errors import BundleError, ConfigError, MonitorError
from monitor.runtime.session import listen, print_results, station_for
from monitor.sources.device.microphone import Microphone
from monitor.runtime.outputs import Outputs
from monitor.sources.device.shared_device import SharedMicrophone
from monitor.sources.source import Source, WavReplay
from monitor.runtime.monitored_stream import Station


@dataclass(frozen=True, slots=True)
class Judged:
    """A stream with the model that judges it, and the settings in force for it."""

    stream: Stream
    bundle: Bundle
    config: Config


def load_streams(config: Config, *, of_files: bool) -> list[Judged]:
    """The streams of files, or of microphones, each model loaded once.

    Raises:
        ConfigError: if there are none.
        BundleError: naming every stream whose model cannot be trusted, a line each.
    """
    wanted = [stream for stream in config.streams if bool(stream.file) == of_files]
    if not wanted:
        kind = "a file" if of_files else "a microphone"
        raise ConfigError(
            f"There is nothing to listen to: name a model, or {kind} for each of the streams in config.yaml."
        )
    bundles: dict[Path, Bundle] = {}
    wrong: list[str] = []
    for stream in wanted:
        try:
            if stream.bundle not in bundles:
                bundles[stream.bundle] = load_bundle(stream.bundle)
        except BundleError as error:
            wrong.append(f"{stream.name}: {error}")
    if wrong:
        raise BundleError("\n".join(wrong))
    return [Judged(stream, bundles[stream.bundle], config.of_stream(stream)) for stream in wanted]


def recordings(judged: Sequence[Judged], *, speed: float, gapless: bool) -> list[Source]:
    """The recordings of each stream, one after another.

    Raises:
        DataError: naming every stream of which a file cannot be opened, a line each.
    """
    sources: list[Source] = []
    wrong: list[MonitorError] = []
    for one in judged:
        features = one.bundle.config.features
        channel = features.channel if one.stream.channel is None else one.stream.channel
        try:
            sources.append(
                WavReplay(
                    one.stream.file, features.sample_rate, channel, speed=speed, gapless=gapless,
                    buffer_s=one.config.audio.buffer_s,
                )
            )  # fmt: skip
        except MonitorError as error:
            wrong.append(type(error)(f"{one.stream.name}: {error}"))
    if wrong:
        raise type(wrong[0])("\n".join(map(str, wrong)))
    return sources


def microphones(judged: Sequence[Judged], *, end_when_lost: bool, notice: Callable[[str], None]) -> list[Source]:
    """A microphone for each stream; those of one device share it, opened once with the channels that they need."""
    of_device: dict[str, list[Judged]] = {}
    for one in judged:
        of_device.setdefault(one.stream.device or one.config.audio.device, []).append(one)
    sources: dict[str, Source] = {}
    for device, sharing in of_device.items():
        features = [one.bundle.config.features for one in sharing]
        channels = [
            f.channel if one.stream.channel is None else one.stream.channel
            for f, one in zip(features, sharing, strict=True)
        ]
        microphone = Microphone(
            sharing[0].config.audio.model_copy(update={"device": device}),
            max(f.sample_rate for f in features),
            channels,
            end_when_lost=end_when_lost,
            notice=notice,
            only_one=len(of_device) == 1,
        )
        for one, channel in zip(sharing, channels, strict=True):
            sources[one.stream.name] = SharedMicrophone(microphone, channel)
    return [sources[one.stream.name] for one in judged]


def replay_streams(
    config: Config,
    *,
    speed: float,
    gapless: bool,
    outputs: Outputs,
) -> int:
    """Replays the files of all streams of the settings at once, and prints what came of them.

    Returns:
        the number of anomalies.

    Raises:
        ConfigError: if there are none.
        BundleError: if a model cannot be trusted.
        MonitorError: if a recording cannot be read, or a file not be written; the other streams are heard to their end.
    """
    judged = load_streams(config, of_files=True)
    sources = recordings(judged, speed=speed, gapless=gapless)
    engine = listen(stations_of(judged, sources, outputs, wait=True), config, headless=outputs.headless)
    print_results(engine)
    if engine.error is not None:
        raise engine.error
    return engine.anomalies


def stations_of(judged: Sequence[Judged], sources: Sequence[Source], outputs: Outputs, *, wait: bool) -> list[Station]:
    """A station for each stream. All tell the same sinks; of pictures each has its own, in the same folder.

    Raises:
        MonitorError: if a file or the folder cannot be written, or a stream's drift is damaged.
    """
    sinks = outputs.sinks(wait=wait, named=True)
    return [
        station_for(
            one.bundle, one.config, source, model=one.stream.bundle, name=one.stream.name,
            sinks=[*sinks, *outputs.pictures_of(one.bundle, wait=wait)],
        )
        for one, source in zip(judged, sources, strict=True)
    ]  # fmt: skip
