"""What `live` and `replay` share: options, the files that they write, their streams, and the view of a session."""

from __future__ import annotations

import functools
import os
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field, fields
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

import click

from monitor.cli.options import (
    FILE,
    output_options,
    sensitivity_option,
    sensitivity_override,
    settings_options,
    settings_source,
    view_options,
    view_overrides,
)
from monitor.cli.output import say
from monitor.core.errors import ConfigError

if TYPE_CHECKING:
    from monitor.bundle.bundle import Bundle
    from monitor.cli.plant_outputs import PlantOutputs
    from monitor.config.loader import SettingsSource
    from monitor.config.schema import Config, Dashboard
    from monitor.outputs.recording_writer import RecordingWriter
    from monitor.outputs.sink import Sink
    from monitor.runtime.builder import LoadedRequest, StreamRequest
    from monitor.runtime.output_set import Output
    from monitor.runtime.session import Session

Rows = Literal["second", "hop"]  # what a row of a Parquet file is for


@dataclass(frozen=True, slots=True)
class Outputs:
    """The options that say where results are written."""

    headless: bool
    log_json: bool
    scores: Path | None = None
    events: Path | None = None
    pictures: Path | None = None
    record: Path | None = None
    parquet: Path | None = None
    parquet_rows: Rows = "second"
    writers: list[RecordingWriter] = field(default_factory=list)  # those that were made for `record`

    @property
    def files(self) -> tuple[Path | None, ...]:
        """The files that are written; none of them may be read as well."""
        return self.scores, self.events, self.record

    def outputs(self, *, wait: bool, named: bool) -> list[Output]:
        """Returns the files as outputs of streams; no setting changes them.

        Args:
            wait: whether the engine waits for a slow disk; otherwise the oldest rows are discarded.
            named: whether scores have a column with the name of the stream.
        """
        from monitor.runtime.output_set import SharedOutput, StreamOutput

        found: list[Output] = []
        if (events := self.events) is not None:
            found.append(SharedOutput("--events", (), lambda: [_event_log(events, wait=wait)]))
        if (scores := self.scores) is not None:
            found.append(SharedOutput("--scores", (), lambda: [_score_log(scores, wait=wait, named=named)]))
        if (parquet := self.parquet) is not None:
            found.append(SharedOutput("--parquet", (), lambda: [_parquet_log(parquet, self.parquet_rows, wait=wait)]))
        if (record := self.record) is not None:
            found.append(StreamOutput("--record", (), lambda one: [self._writer(record, one.bundle)]))
        if (pictures := self.pictures) is not None:
            found.append(StreamOutput("--pictures", (), lambda one: [_event_plots(pictures, one.bundle, wait=wait)]))
        return found

    def _writer(self, path: Path, bundle: Bundle) -> Sink:
        from monitor.outputs.recording_writer import RecordingWriter

        self.writers.append(RecordingWriter(path, bundle.config.features.sample_rate))
        return self.writers[-1]


def _event_log(path: Path, *, wait: bool) -> Sink:
    from monitor.outputs.event_log import EventLog

    return EventLog(path, wait=wait)


def _score_log(path: Path, *, wait: bool, named: bool) -> Sink:
    from monitor.outputs.score_log import ScoreLog

    return ScoreLog(path, wait=wait, named=named)


def _parquet_log(folder: Path, rows: Rows, *, wait: bool) -> Sink:
    from monitor.outputs.parquet_log import ParquetLog

    return ParquetLog(folder, each=rows, wait=wait)


def _event_plots(folder: Path, bundle: Bundle, *, wait: bool) -> Sink:
    from monitor.outputs.event_plots import EventPlots

    return EventPlots(folder, bundle, wait=wait)


@dataclass(frozen=True, slots=True)
class ListeningOptions:
    """The options that `live` and `replay` share."""

    sensitivity: str | None
    scores: Path | None
    parquet: Path | None
    parquet_rows: Rows
    pictures: Path | None
    headless: bool
    events: Path | None
    log_json: bool
    ascii: bool
    no_colour: bool
    state: Path | None
    config_file: Path | None
    overrides: tuple[str, ...]

    def settings(self, *, device: str | None = None, more: Sequence[str] = ()) -> SettingsSource:
        """Reads the settings file, with what the options change. May be called again when the file has changed.

        Args:
            device: the microphone.
            more: further settings, each `group.name=value`.
        """
        return settings_source(self.config_file, self.changed(more), device=device)

    def changed(self, more: Sequence[str] = ()) -> tuple[str, ...]:
        """The settings that the options change, and `more`: each `group.name=value`."""
        chosen = (
            *view_overrides(self.ascii, self.no_colour),
            *sensitivity_override(self.sensitivity),
            *(() if self.state is None else (f"state.folder={self.state}",)),
        )
        return (*self.overrides, *chosen, *more)

    def outputs(self, record: Path | None = None) -> Outputs:
        """The files that are written."""
        return Outputs(
            self.headless, self.log_json, self.scores, self.events, self.pictures, record, self.parquet,
            self.parquet_rows,
        )  # fmt: skip


def listening_options(command: Callable[..., None]) -> Callable[..., None]:
    """Adds the options of `ListeningOptions`, which the command receives as its argument `options`."""

    @functools.wraps(command)
    def with_options(**arguments: Any) -> None:
        shared = {one.name: arguments.pop(one.name) for one in fields(ListeningOptions)}
        command(options=ListeningOptions(**shared), **arguments)

    with_state = click.option(
        "--state", type=FILE, help="Keep events, minute values and clips in this folder, as with state.folder."
    )
    add: Callable[..., None] = with_options
    for option in (settings_options, with_state, view_options, output_options, sensitivity_option):
        add = option(add)
    return add


def require_calibrated_limits(loaded: Sequence[LoadedRequest], sensitivity: str | None) -> None:
    """Checks that no limit is set by hand if a sensitivity is asked for, because that would then change nothing.

    Raises:
        ConfigError: if one is.
    """
    if sensitivity is None:
        return
    for one in loaded:
        if one.config.alarm.threshold is not None:
            stream = f" of {one.request.name}" if one.request.name else ""
            raise ConfigError(
                f"--sensitivity {sensitivity} has no effect, because alarm.threshold sets the limit{stream} to "
                f"{one.config.alarm.threshold:g}: leave out one of the two."
            )


def write_lines(lines: Iterable[tuple[str, Mapping[str, object]]], *, as_json: bool) -> None:
    """Writes lines to standard output: the texts, or the facts as JSON."""
    from monitor.cli.logs import event_writer

    write = event_writer(as_json=True)
    for text, facts in lines:
        write(text, facts) if as_json else say(text)


def configured_requests(settings: SettingsSource, *, with_files: bool) -> list[StreamRequest]:
    """Returns the streams in the settings that have a file, or those that have a microphone.

    Raises:
        ConfigError: if there are no such streams.
    """
    from monitor.runtime.builder import StreamRequest

    wanted = [stream for stream in settings.config.streams if bool(stream.file) == with_files]
    if not wanted:
        kind = "a file" if with_files else "a microphone"
        raise ConfigError(
            f"There is nothing to listen to: give a model, or list streams with {kind} each in config.yaml."
        )
    return [
        StreamRequest(
            stream.bundle,
            stream.name,
            stream.device,
            stream.channel,
            stream.file,
            stream.alarm,
            url_file=stream.url_file,
        )
        for stream in wanted
    ]


def require_other_files(outputs: Outputs, requests: Sequence[StreamRequest], config: Config) -> None:
    """Checks that no output file is also an input: a model, a recording or the store."""
    from monitor.core.atomic_io import require_other_file
    from monitor.store.location import store_files

    read = [path for request in requests for path in (request.model, *request.files)]
    require_other_file(outputs.files, [*read, *store_files(config)])


def plant_outputs(config: Config, requests: Sequence[StreamRequest], *, serving: bool = True) -> PlantOutputs:
    """The outputs beyond the terminal, for streams; `serving` as in `PlantOutputs`."""
    from monitor.cli.plant_outputs import PlantOutputs
    from monitor.cli.stream_models import stream_name

    names = [request.name for request in requests if request.name]
    return PlantOutputs(config, unnamed="" if names else stream_name(requests[0]), serving=serving)


def controlling_terminal() -> bool:
    """Whether this program has a terminal, whose closing sends it SIGHUP; a service has none."""
    try:
        os.close(os.open("/dev/tty", os.O_RDWR | os.O_NOCTTY))
    except OSError:
        return False
    return True


def session_view(dashboard: Dashboard, outputs: Outputs, plant: PlantOutputs | None = None) -> Any:
    """Returns a function that shows a session: on the dashboard, or as lines of text.

    Args:
        dashboard: the settings of the screen.
        outputs: the files that are written.
        plant: where the screen's long charts come from, and where acknowledged anomalies are noted.
    """
    from rich.console import Console

    from monitor.cli.logs import event_writer
    from monitor.dashboard.app import show
    from monitor.runtime.engine import is_paced

    def show_session(session: Session) -> None:
        history = None if plant is None else plant.history()
        try:
            show(
                lambda: session.latest,
                session,
                session.over,
                published=(lambda: session.published) if is_paced(session.streams) else None,
                fps=dashboard.fps,
                ascii=dashboard.ascii,
                colour=dashboard.colour,
                console=Console(force_terminal=False) if outputs.headless else None,
                log=event_writer(as_json=outputs.log_json),
                log_every_s=dashboard.log_every_s,
                history=history,
                acknowledge=None if plant is None else plant.acknowledge,
            )
        finally:
            if history is not None:
                history.close()

    return show_session
