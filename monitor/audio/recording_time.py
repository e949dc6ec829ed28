"""When a recording was made: from its metadata, or from the time of its file."""

from __future__ import annotations

import datetime
from pathlib import Path

import soundfile


def stated_time(path: Path) -> float | None:
    """The time at which a recording began, as its metadata states it.

    Returns:
        Unix time; without an offset from UTC the date is taken as local time. None if the file cannot be read, or its
        metadata has no date with the time of day.
    """
    try:
        with soundfile.SoundFile(path) as file:
            stated = str(file.date or "").strip()
        if len(stated) > len("2026-01-31"):
            return datetime.datetime.fromisoformat(stated).timestamp()
    except (OSError, ValueError, soundfile.SoundFileError):
        pass
    return None


def recording_began(path: Path, duration_s: float) -> float | None:
    """The time at which a recording began: that in its metadata, else the time of its file.

    Args:
        path: the sound file.
        duration_s: its length, because the time of a file is that of its last sample.

    Returns:
        Unix time; None if the file cannot be read.
    """
    if (stated := stated_time(path)) is not None:
        return stated
    try:
        return path.stat().st_mtime - duration_s
    except OSError:
        return None
