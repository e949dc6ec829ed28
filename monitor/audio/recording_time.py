"""When a recording was made: from its metadata, or from the time of its file."""

from __future__ import annotations

import datetime
from pathlib import Path

import soundfile


def recording_began(path: Path, duration_s: float) -> float | None:
    """The time at which a recording began.

    Args:
        path: the sound file.
        duration_s: its length, because the time of a file is that of its last sample.

    Returns:
        Unix time; None if the file cannot be read. A date in the metadata is used if it includes the time of day;
        without an offset from UTC it is taken as local time.
    """
    try:
        with soundfile.SoundFile(path) as file:
            stated = str(file.date or "").strip()
        if len(stated) > len("2026-01-31"):
            return datetime.datetime.fromisoformat(stated).timestamp()
    except (OSError, ValueError, soundfile.SoundFileError):
        pass  # there is still the time of the file
    try:
        return path.stat().st_mtime - duration_s
    except OSError:
        return None
