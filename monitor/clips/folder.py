"""The folder of clips, which all streams share: whether there is room in it, and how much is kept."""

from __future__ import annotations

import logging
import math
import shutil
import threading
import time
from pathlib import Path
from typing import Protocol

from monitor.clips.places import LocalClips
from monitor.clips.retention import ClipRecords, NoRecords, Retention
from monitor.clips.speech import SpeechFinder, require_detector
from monitor.config.plant import Clips

CLEANING_S = 3600.0  # time between two searches for clips that are too old

log = logging.getLogger(__name__)


class Files(Protocol):
    """Receives what is kept of an event; `monitor.store.writer.StoreWriter.files` is one. For any thread."""

    def __call__(
        self, event_id: str, *, clip: str | None, picture: str | None, clip_start: float | None, note: str
    ) -> None:
        """Notes the files of an event.

        Args:
            event_id: its id.
            clip: path of the sound in the folder of clips; None: there is none.
            picture: path of the picture; None: there is none.
            clip_start: Unix time of the first sample.
            note: why there is no clip, or what is missing in it.
        """


def _no_files(event_id: str, *, clip: str | None, picture: str | None, clip_start: float | None, note: str) -> None:
    """Takes the files of an event where there is no store."""


class ClipFolder:
    """The folder of clips and pictures, which need not be writable at the start.

    `lock` is to be held while a clip is written, `files` receives the files of each event, and `find_speech` finds
    speech in samples.

    Args:
        path: of the folder.
        settings: what is kept, and for how long.
        files: receives the files of each event.
        records: knows which events are kept whatever their age.

    Raises:
        ConfigError: if speech is to be found, and the library for it is missing.
    """

    def __init__(
        self, path: Path, settings: Clips, *, files: Files = _no_files, records: ClipRecords | None = None
    ) -> None:
        self.path, self.settings = path, settings
        self.trouble = ""  # why no clip is kept at present, although nothing fails
        if settings.speech != "keep":
            require_detector()
        self.lock = threading.Lock()  # one clip at a time, so that many streams do not need many processors
        self.files, self.find_speech = files, SpeechFinder()
        self._retention = Retention(LocalClips(path), settings, records or NoRecords())
        self._next_cleaning = -math.inf  # on the monotonic clock

    @property
    def cleaning_due(self) -> bool:
        """Whether `clean` is to be called."""
        return time.monotonic() >= self._next_cleaning

    def cleaning_begins(self) -> None:
        """Notes that `clean` is about to be called, so that only one stream does it."""
        self._next_cleaning = time.monotonic() + CLEANING_S

    def clean(self) -> None:
        """Deletes clips that are too old or too many, and looks whether there is room again."""
        with self.lock:
            self.delete_old()
            if self.trouble:
                self.has_room(0)

    def delete_old(self) -> None:
        """Deletes clips that are too old or too many; `lock` is held."""
        self._retention.clean()

    def has_room(self, size: int) -> bool:
        """Whether `size` bytes may be written: `min_free_gb` remain, if necessary without the oldest clips."""
        self.path.mkdir(mode=0o750, parents=True, exist_ok=True)
        least = size + round(self.settings.min_free_gb * 1e9)
        if shutil.disk_usage(self.path).free < least:
            self._retention.clean(needed=size)
        enough = shutil.disk_usage(self.path).free >= least
        if not enough and not self.trouble:
            self.trouble = (
                f"{self.path}: no clips are kept: less than {self.settings.min_free_gb:g} GB of the disk would remain "
                "(clips.min_free_gb)."
            )
            log.error("%s", self.trouble)
        elif enough and self.trouble:
            self.trouble = ""
            log.warning("%s: clips are kept again.", self.path)
        return enough
