"""When a recording was made: from its metadata, from its name, or from the time of its file."""

from __future__ import annotations

import datetime
import re
from pathlib import Path

import soundfile

from monitor.audio.opening import sound_file
from monitor.audio.remote_recording import RemoteRecording
from monitor.core.errors import MonitorError

# A date and a time of day to the second: 2026-01-31T10-00-00, 20260131_100000Z, 2026-01-31 10.00.00.250+01:00.
_IN_NAME = re.compile(
    r"(?<!\d)((?:19|20)\d\d)([-_.]?)(\d\d)\2(\d\d)[T _-]{1,2}(\d\d)([-_.:hH]?)(\d\d)[-_.:mM]?(\d\d)(\.\d{1,6})?(?!\d)"
    r"(Z|\+\d\d:?\d\d|-\d\d:\d\d)?",
)


def stated_time(path: Path | RemoteRecording) -> float | None:
    """The time at which a recording began, as its metadata states it.

    Returns:
        Unix time; without an offset from UTC the date is taken as local time. None if the file cannot be read, or its
        metadata has no date with the time of day.
    """
    try:
        with sound_file(path) as file:
            return time_of_tag(file.date)
    except (OSError, soundfile.SoundFileError, MonitorError):
        return None


def time_of_tag(date: str | None) -> float | None:
    """The Unix time of a date in the metadata of a file; None if it is none, or has no time of day."""
    stated = str(date or "").strip()
    if len(stated) > len("2026-01-31"):
        try:
            return datetime.datetime.fromisoformat(stated).timestamp()
        except (ValueError, OverflowError, OSError):
            pass
    return None


def time_in_name(name: str) -> float | None:
    """The time at which a recording began, as its name states it with date and time of day.

    Returns:
        Unix time; without an offset from UTC or a Z it is taken as local time. None if there is none in the name.
    """
    match = _IN_NAME.search(name)
    if match is None:
        return None
    year, _, month, day, hour, _, minute, second, fraction, zone = match.groups()
    try:
        return datetime.datetime.fromisoformat(
            f"{year}-{month}-{day}T{hour}:{minute}:{second}{fraction or ''}{zone or ''}"
        ).timestamp()
    except (ValueError, OverflowError, OSError):
        return None


def without_time(name: str) -> str:
    """The name without the date and time of day in it, and if it has none, without the last number in it."""
    short, found = _IN_NAME.subn("", name, count=1)
    return short if found else re.sub(r"\d+(?=\D*$)", "", name)


def recording_began(path: Path, duration_s: float) -> float | None:
    """The time at which a recording began: that in its metadata, else in its name, else the time of its file.

    Args:
        path: the sound file.
        duration_s: its length, because the time of a file is that of its last sample.

    Returns:
        Unix time; None if the file cannot be read.
    """
    if (stated := stated_time(path)) is not None:
        return stated
    try:
        modified = path.stat().st_mtime
    except OSError:
        return None
    named = time_in_name(path.name)
    return modified - duration_s if named is None else named
