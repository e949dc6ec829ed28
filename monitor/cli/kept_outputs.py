"""What a run keeps in its state folder: the store, scores, clips, and normal sound."""

from __future__ import annotations

import logging
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING

from monitor.config.schema import Config
from monitor.core.errors import ConfigError
from monitor.core.text import counted
from monitor.outputs.named import named
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
    from monitor.normal_sound.normal_sink import NormalSound
    from monitor.runtime.builder import LoadedRequest
    from monitor.store.lock import StateLock
    from monitor.store.writer import StoreWriter

MOVING = "moving clips"  # the output that moves clips to `clips.url`

log = logging.getLogger(__name__)


class KeptOutputs:
    """Makes the outputs that keep something, with the state folder and the store that they write into.

    Args:
        config: the settings at the start, of which the groups `state` and `store` stay in force.
        unnamed: name for the stream that has none.
        wait: whether the engine waits for a slow disk.

    Raises:
        ConfigError: if the state folder is in use.
        AddressError: if the store has no usable address.
    """

    def __init__(self, config: Config, *, unnamed: str, wait: bool) -> None:
        self.host, self._url = host_name(config), store_url(config)
        self.writer: StoreWriter | None = None  # of the store; None if there is none
        self._config, self._unnamed, self._wait = config, unnamed, wait
        self._clip_folder: ClipFolder | None = None
        self._mover: ClipMover | None = None  # the one that was made last
        self._normal: NormalSound | None = None
        self._lock = _locked(config)
        try:
            if self._lock is not None:
                self._open_store()
        except BaseException:
            self.close({})
            raise

    @property
    def has_state(self) -> bool:
        """Whether this run may write into the state folder."""
        return self._lock is not None

    @property
    def store_url(self) -> str | None:
        """The address of the store; None if there is none."""
        return None if self.writer is None else self._url

    def outputs(self, config: Config) -> list[Output]:
        """The outputs that settings ask for."""
        found: list[Output] = []
        if self.writer is not None:
            found += [
                SharedOutput("store", (), lambda: [self._named(self._recorder())]),
                StreamOutput("names in the store", (), self._register, of_model=True),
            ]
        if not self.has_state:
            return found
        if self.writer is not None and self._config.store.keep_scores_days:
            found.append(SharedOutput("scores", (), lambda: [self._named(self._score_history())]))
        if config.clips.enabled:
            cut = _without_url(config.clips)  # where clips are moved to does not matter while they are recorded
            found.append(StreamOutput("clips", cut, lambda one: [self._named(self._clip_sink(config, one))]))
            if config.clips.url:
                found.append(SharedOutput(MOVING, config.clips, lambda: [self._clip_mover(config)]))
        if config.normal.enabled:
            depends = (config.normal, config.clips.min_free_gb)
            found.append(
                StreamOutput("normal sound", depends, lambda one: [self._named(self._normal_sink(config, one))])
            )
        return found

    def close(self, in_use: Mapping[str, Sink]) -> None:
        """Ends what is no sink, after `writer` was closed and everything that is told of its last events.

        Args:
            in_use: the sinks that streams share, by their outputs.
        """
        if self.writer is not None:
            self.writer.finish()
        # Of a reload that failed, the mover that was made last is not in use.
        if self._mover is not None and (self._wait or in_use.get(MOVING) is self._mover):
            self._mover.finish()
        if self._lock is not None:
            self._lock.close()

    def _open_store(self) -> None:
        from monitor.clips.notice import new_notice
        from monitor.store.database import require_address

        if self._config.store.enabled:
            require_address(self._url)
        if notice := new_notice(self._config):
            log.info("%s", notice)
        if self._config.store.enabled:
            self.writer = self._new_writer()

    def _new_writer(self) -> StoreWriter:
        from monitor.store.retention import Retention
        from monitor.store.spooled_writer import SpooledWriter
        from monitor.store.writer import StoreWriter

        settings, retention = self._config.store, Retention.of(self._config.store)
        file = spool_file(self._config)
        if store_files(self._config):
            _warn_of_spool(file)
            return StoreWriter(self._url, self.host, retention=retention)
        return SpooledWriter(self._url, self.host, file, max_bytes=settings.max_mb * 1e6, retention=retention)

    def _named(self, sink: Sink) -> Sink:
        return named(sink, self._unnamed)

    def _recorder(self) -> Sink:
        from monitor.store.recorder import Recorder

        assert self.writer is not None
        return Recorder(self.writer, wait=self._wait)

    def _score_history(self) -> Sink:
        from monitor.outputs.score_history import ScoreHistory

        days = self._config.store.keep_scores_days
        return ScoreHistory(scores_folder(self._config), keep_days=days, wait=self._wait)

    def _register(self, one: LoadedRequest) -> list[Sink]:
        """Writes the stream and its model into the store; it needs no sink of its own."""
        from monitor.runtime.builder import version_text

        assert self.writer is not None
        self.writer.stream(one.request.name or self._unnamed, one.bundle.model_id, one.request.source_name)
        limits = {kind: threshold.value for kind, threshold in one.bundle.thresholds.items()}
        found = {kind: threshold.model_dump(mode="json") for kind, threshold in one.bundle.thresholds.items()}
        name = f"{one.request.model}{version_text(one.bundle)}"
        self.writer.model(one.bundle.model_id, name, limits, found)
        return []

    def _clip_sink(self, config: Config, one: LoadedRequest) -> Sink:
        from monitor.clips.clip_records import StoreRecords
        from monitor.clips.clip_sink import ClipSink
        from monitor.clips.folder import ClipFolder

        settings = _without_url(config.clips)
        if self._clip_folder is None or self._clip_folder.settings != settings:
            path = clips_folder(config)
            if self.writer is None:
                self._clip_folder = ClipFolder(path, settings)
            else:
                records = StoreRecords(self._url)
                self._clip_folder = ClipFolder(path, settings, files=self.writer.files, records=records)
        return ClipSink(self._clip_folder, one.bundle, wait=self._wait)

    def _clip_mover(self, config: Config) -> Sink:
        from monitor.clips.clip_records import StoreRecords
        from monitor.clips.mover import clip_mover

        self._mover = clip_mover(config, None if self.writer is None else StoreRecords(self._url))
        return self._mover

    def _normal_sink(self, config: Config, one: LoadedRequest) -> Sink:
        from monitor.normal_sound.normal_sink import NormalSound, NormalSoundSink

        free = config.clips.min_free_gb
        if self._normal is None or (self._normal.settings, self._normal.min_free_gb) != (config.normal, free):
            self._normal = NormalSound(normal_folder(config), config.normal, min_free_gb=free, store_url=self.store_url)
        return NormalSoundSink(self._normal, one.request.name or self._unnamed, one.bundle, wait=self._wait)


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
