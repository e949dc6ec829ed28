"""The clips and pictures in a report: which of them fit, and how they become a part of the page."""

from __future__ import annotations

import base64
from collections.abc import Callable, Iterable
from pathlib import PurePosixPath
from typing import TypeVar

from markupsafe import Markup

from monitor.clips.access import ClipAccess, NoClip
from monitor.core.object_store import ObjectStoreError
from monitor.store.records import StoredEvent

T = TypeVar("T")
# Only these are shown; the type of a file is its suffix.
TYPES = {
    ".flac": "audio/flac",
    ".wav": "audio/wav",
    ".ogg": "audio/ogg",
    ".png": "image/png",
    ".jpg": "image/jpeg",
    ".webp": "image/webp",
}


class Attachments:
    """The files of events that become a part of the page.

    Args:
        clips: finds the files.
        room: bytes that all of them together may take on the page.
    """

    def __init__(self, clips: ClipAccess, room: float) -> None:
        self._clips, self._room = clips, room
        self.included: set[str] = set()  # paths as in the store
        self.left_out = 0  # files that did not fit
        self.failure = ""  # why files are missing that may still be there, a sentence

    def choose(self, events: Iterable[StoredEvent]) -> None:
        """Chooses files as long as there is room: those of the strongest anomalies first, of equal ones the newest."""
        for event in sorted(events, key=lambda one: (one.peak_share or 0.0, one.onset), reverse=True):
            for path in (event.picture, event.clip):
                if not path or (size := self.size(event, path)) is None:
                    continue
                if size > self._room:
                    self.left_out += 1
                    continue
                self._room -= size
                self.included.add(path)

    def size(self, event: StoredEvent, path: str) -> int | None:
        """The bytes that a file of an event takes on the page; None if it cannot be shown."""
        if PurePosixPath(path).suffix.lower() not in TYPES:
            return None
        size = self._asked(lambda: self._clips.size(event.host, path))
        return None if size is None else (size + 2) // 3 * 4

    def remark(self, event: StoredEvent, path: str) -> str:
        """What is to be said of a file that is only named; empty if it is there."""
        if self.size(event, path) is not None:
            return ""
        return "could not be fetched" if self.failure else "no longer there"

    def path(self, event: StoredEvent, path: str) -> str:
        """Where a file is."""
        return self._clips.where(event.host, path)

    def uri(self, event: StoredEvent, path: str) -> Markup | None:
        """The content of a chosen file as a data URI; None if it was not chosen, or is gone."""
        if path not in self.included or (content := self._asked(lambda: self._clips.read(event.host, path))) is None:
            return None
        kind = TYPES[PurePosixPath(path).suffix.lower()]
        return Markup(f"data:{kind};base64,{base64.b64encode(content).decode('ascii')}")

    def _asked(self, question: Callable[[], T]) -> T | None:
        """The answer; None if there is none."""
        try:
            return question()
        except NoClip:
            return None
        except ObjectStoreError as error:
            self.failure = str(error)
            return None
