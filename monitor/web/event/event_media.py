"""The sound of an event for its page, fetched from the object store if it is only there."""

from __future__ import annotations

from pathlib import Path, PurePosixPath

from monitor.clips.access import ClipAccess, NoClip
from monitor.store.records import StoredEvent

SOUND = (".flac",)


def sound_file(clips: ClipAccess, event: StoredEvent) -> Path:
    """The clip of an event.

    Raises:
        NoClip: if there is none, or its path in the database leads elsewhere.
        ObjectStoreError: if the object store does not answer.
    """
    if PurePosixPath(event.clip).suffix.lower() not in SOUND:
        raise NoClip("This event has no such file.")
    return clips.local(event.host, event.clip)
