"""Compares the days of the recordings in a folder: those of `monitor record`, pieces of normal sound, and others."""

from __future__ import annotations

import calendar
import logging
import re
import time
from collections.abc import Iterator
from pathlib import Path

from monitor.audio.reader import read_blocks, recording_header
from monitor.audio.recording_time import recording_began
from monitor.audio.sound_files import files_below, sound_suffixes
from monitor.core.errors import DataError
from monitor.core.text import counted
from monitor.normal_sound.day_differences import DayDifferences, PieceLevels, day_differences, levels_of
from monitor.sources.recording_session import PIECE_S

# As `monitor record` and the pieces of normal sound are named: UTC, and the number of ten seconds since then.
_NAME = re.compile(r"normal_(?P<time>\d{8}T\d{6}Z)(?:_(?P<number>\d{4,}))?(?:-\d+)?")

log = logging.getLogger(__name__)


def compare_days(folder: Path) -> DayDifferences:
    """Compares the days of the recordings in a folder and those below it; hidden folders are not looked at.

    When a recording was made, its name says as `monitor record` writes it, or its metadata, or the time of its file.
    Recordings that cannot be read are left out, which is logged.

    Raises:
        DataError: if the folder cannot be read, or has no recordings.
    """
    try:
        files = sorted(path for path in files_below(folder) if path.suffix.lower() in sound_suffixes())
    except OSError as error:
        raise DataError(f"{error.filename}: cannot be read: {error.strerror}.") from None
    if not files:
        raise DataError(f"{folder}: there are no recordings in it.")
    pieces: list[PieceLevels] = []
    left_out: list[str] = []
    for path in files:
        try:
            pieces += _pieces(path)
        except DataError as error:
            left_out.append(str(error))
    if left_out:
        log.warning("%s left out, such as: %s", counted(len(left_out), "recording"), left_out[0])
    return day_differences(pieces)


def _pieces(path: Path) -> Iterator[PieceLevels]:
    """The levels of each ten seconds of a recording: the mean of its channels, or the only one."""
    header = recording_header(path)
    began = named_time(path)
    if began is None:
        began = recording_began(path, header.duration_s) or 0.0
    for number, samples in enumerate(read_blocks(path, header.sample_rate, "mix", block_s=PIECE_S)):
        if len(samples):
            yield levels_of(samples, header.sample_rate, began + number * PIECE_S)


def named_time(path: Path) -> float | None:
    """The Unix time at which a recording began by the name that this program gave it; None if it has none."""
    if not (match := _NAME.fullmatch(path.stem)):
        return None
    try:
        began = calendar.timegm(time.strptime(match["time"], "%Y%m%dT%H%M%SZ"))
    except ValueError:
        return None
    return began + int(match["number"] or 0) * PIECE_S
