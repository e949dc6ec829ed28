"""Clips for tests: access to folders and object stores, and files as a monitor writes them."""

from __future__ import annotations

import os
import time
from pathlib import Path

from monitor.clips.access import ClipAccess
from monitor.config.plant import Clips, State
from monitor.config.schema import Config
from monitor.core.events import new_event_id


def access_to(folder: Path, url: str = "", state: Path | None = None) -> ClipAccess:
    """Access to the clips in a folder, and in the object store with this address.

    Args:
        folder: the folder of clips.
        url: as `clips.url`.
        state: the state folder, with the copies; None: one beside the folder.
    """
    state = folder.with_name("state") if state is None else state
    return ClipAccess(Config(state=State(folder=state), clips=Clips(folder=folder, url=url)))


def clip_file(
    folder: Path, *, stream: str = "pump", age_days: float = 0.0, event_id: str = "", content: bytes = b"sound"
) -> Path:
    """Writes a clip and its picture, of a sound that began so many days ago; returns the clip.

    Each appears with all of its content, as a monitor writes it, because it may be moved at once.
    """
    began = time.time() - age_days * 86_400
    name = time.strftime(f"{stream}/%Y/%m/%Y%m%dT%H%M%SZ", time.gmtime(began))
    path = folder / f"{name}-{event_id or new_event_id()}.flac"
    path.parent.mkdir(parents=True, exist_ok=True)
    for one in (path, path.with_suffix(".png")):
        unfinished = one.with_name(f"{one.name}.unfinished")
        unfinished.write_bytes(content)
        os.utime(unfinished, (began, began))
        unfinished.replace(one)
    return path


def names_in(folder: Path) -> list[str]:
    """The paths of all files in a folder and below it, also while a monitor deletes some of them."""
    found = [Path(current, name) for current, _, names in os.walk(folder) for name in names]
    return sorted(path.relative_to(folder).as_posix() for path in found)
