"""Which model a stream is monitored with: the configured file, or a version that was promoted in its place."""

from __future__ import annotations

import logging
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING

from monitor.core.errors import ConfigError, MonitorError
from monitor.core.text import printable, stream_folder

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

    from monitor.bundle.versions import ModelVersions
    from monitor.config.loader import SettingsSource
    from monitor.config.schema import Config
    from monitor.runtime.builder import StreamRequest

log = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class StreamModel:
    """The model of a stream, and its settings."""

    configured: Path  # the file that the settings or the command line of `monitor live` name
    versions: ModelVersions
    listed: bool  # whether the stream is listed under `streams` in the settings
    alarm: dict[str, object]  # settings of the group `alarm` for this stream only

    @property
    def in_force(self) -> Path:
        """The model file that the stream is scored with."""
        return self.versions.in_force(self.configured)


def model_of(settings: SettingsSource, config: Config, stream: str, model: Path | None = None) -> StreamModel:
    """Finds the model of a stream.

    Args:
        settings: as they were read; they may list the stream.
        config: the settings in force, with the state folder.
        stream: its name.
        model: the configured model file, as the user names it; None: as in the settings, or as `monitor live` noted it.

    Raises:
        ConfigError: if it is not known, or the file that was noted is gone.
    """
    from monitor.bundle.versions import ModelVersions
    from monitor.store.location import models_folder

    versions = ModelVersions(models_folder(config) / stream_folder(stream))
    listed = next((one for one in settings.config.streams if one.name == stream), None)
    configured = model or (listed.bundle if listed else None) or versions.origin()
    if configured is None:
        raise ConfigError(
            f"It is not known which model {printable(stream)} is monitored with: name its file with --model, or list "
            "the stream in the settings."
        )
    if configured == versions.origin() and not configured.exists():
        raise ConfigError(
            f"{configured}: there is no such file any more; {printable(stream)} was monitored with this model: name "
            "its file with --model."
        )
    return StreamModel(configured, versions, listed is not None, dict(listed.alarm) if listed else {})


def stream_name(request: StreamRequest) -> str:
    """The name under which a stream is kept in the store and the state folder; a single one has that of its model."""
    from monitor.runtime.builder import short_name

    return request.name or printable(short_name(request.model))[:60]


def with_versions(requests: Iterable[StreamRequest], config: Config) -> list[StreamRequest]:
    """The streams, each with the version that was promoted in place of its model, if there is one."""
    found: list[StreamRequest] = []
    for request in requests:
        in_force = versions_of(request, config).in_force(request.model)
        found.append(replace(request, version=None if in_force == request.model else in_force))
    return found


def note_models(requests: Sequence[StreamRequest], config: Config) -> None:
    """Notes with which model each stream is monitored, for commands that are not told (`ModelVersions.origin`)."""
    for request in requests:
        try:
            versions_of(request, config).remember_origin(request.model)
        except MonitorError as error:
            log.warning("%s", error)


def versions_of(request: StreamRequest, config: Config) -> ModelVersions:
    """The versions of the model of a stream."""
    from monitor.bundle.versions import ModelVersions
    from monitor.store.location import models_folder

    return ModelVersions(models_folder(config) / stream_folder(stream_name(request)))
