"""The clips and pictures in a report: which of them fit, and how they become a part of the page."""

from __future__ import annotations

import base64
from collections.abc import Iterable
from dataclasses import dataclass, field
from pathlib import Path

from markupsafe import Markup

from monitor.store.records import StoredEvent

# Only these are shown; the type of a file is its suffix.
TYPES = {
    ".flac": "audio/flac",
    ".wav": "audio/wav",
    ".ogg": "audio/ogg",
    ".png": "image/png",
    ".jpg": "image/jpeg",
    ".webp": "image/webp",
}


@dataclass(slots=True)
class Attachments:
    """The files of events that become a part of the page.

    Args:
        folder: that the paths in the store are relative to.
        room: bytes that all of them together may take on the page.
    """

    folder: Path
    room: float
    included: set[str] = field(default_factory=set)  # paths as in the store
    left_out: int = 0

    def choose(self, events: Iterable[StoredEvent]) -> None:
        """Chooses files as long as there is room: those of the strongest anomalies first, of equal ones the newest."""
        for event in sorted(events, key=lambda one: (one.peak_share or 0.0, one.onset), reverse=True):
            for path in (event.picture, event.clip):
                if not path or (size := self.size(path)) is None:
                    continue
                if size > self.room:
                    self.left_out += 1
                    continue
                self.room -= size
                self.included.add(path)

    def size(self, path: str) -> int | None:
        """The bytes that a file takes on the page; None if it is gone, or cannot be shown."""
        file = self._file(path)
        try:
            return None if file is None or file.suffix.lower() not in TYPES else (file.stat().st_size + 2) // 3 * 4
        except OSError:
            return None

    def path(self, path: str) -> str:
        """Where a file is."""
        return str(self.folder / path)

    def uri(self, path: str) -> Markup | None:
        """The content of a chosen file as a data URI; None if it was not chosen, or is gone."""
        file = self._file(path)
        if file is None or path not in self.included:
            return None
        try:
            content = file.read_bytes()
        except OSError:
            return None
        return Markup(f"data:{TYPES[file.suffix.lower()]};base64,{base64.b64encode(content).decode('ascii')}")

    def _file(self, path: str) -> Path | None:
        """A file in the folder; None for a path that leads out of it, or to a pipe, which may never end."""
        file = (self.folder / path).resolve()
        return file if file.is_relative_to(self.folder.resolve()) and file.is_file() else None
