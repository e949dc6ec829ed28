"""The survey of an archive: the length, the form and the time of every recording, from its header alone."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import asdict, dataclass
from pathlib import PurePosixPath
from typing import Any

from monitor.audio.reader import open_recording
from monitor.audio.recording_time import time_in_name, time_of_tag
from monitor.core.errors import MonitorError
from monitor.scan.archive import Archive, ArchiveFile

AT_ONCE = 16  # headers that are read at the same time: a store far away answers slowly, but many at once


@dataclass(frozen=True, slots=True)
class Surveyed:
    """What is known of a recording before it is heard."""

    name: str
    size: int  # bytes
    modified: float  # Unix time
    seconds: float = 0.0  # length
    sample_rate: int = 0  # in Hz
    channels: int = 0
    began: float = math.nan  # Unix time
    dated: bool = False  # whether metadata or name state the time; otherwise it is that of the file
    failure: str = ""  # why it cannot be read

    @property
    def identity(self) -> tuple[str, int, float]:
        """What changes if the file does."""
        return self.name, self.size, self.modified

    def fields(self) -> dict[str, Any]:
        """As JSON."""
        return asdict(self) | {"began": None if math.isnan(self.began) else self.began}

    @classmethod
    def of_fields(cls, fields: Mapping[str, Any]) -> Surveyed:
        """From JSON."""
        return cls(**{**fields, "began": math.nan if fields["began"] is None else fields["began"]})


def survey(
    archive: Archive,
    files: Sequence[ArchiveFile],
    known: Mapping[tuple[str, int, float], Surveyed],
    found: Callable[[Surveyed], None],
) -> list[Surveyed]:
    """Reads the headers of recordings.

    Args:
        archive: where they are.
        files: the recordings.
        known: what is known of earlier surveys, by its `identity`; of these the header is not read again.
        found: is called with each other one when its header has been read.

    Returns:
        in the order of `files`.
    """
    surveyed = {file.name: old for file in files if (old := known.get((file.name, file.size, file.modified)))}
    new = [file for file in files if file.name not in surveyed]
    with ThreadPoolExecutor(AT_ONCE, "survey") as pool:
        try:
            for one in pool.map(lambda file: _surveyed(archive, file), new):
                surveyed[one.name] = one
                found(one)
        except BaseException:
            pool.shutdown(wait=False, cancel_futures=True)
            raise
    return [surveyed[file.name] for file in files]


def _surveyed(archive: Archive, file: ArchiveFile) -> Surveyed:
    try:
        with open_recording(archive.recording(file.name)) as sound:
            seconds = float(sound.frames / sound.samplerate)
            rate, channels, stated = int(sound.samplerate), int(sound.channels), time_of_tag(sound.date)
    except MonitorError as error:
        return Surveyed(file.name, file.size, file.modified, failure=str(error))
    stated = time_in_name(PurePosixPath(file.name).name) if stated is None else stated
    of_file = file.modified - seconds if file.modified else math.nan
    began = of_file if stated is None else stated
    return Surveyed(file.name, file.size, file.modified, seconds, rate, channels, began, stated is not None)


def total_seconds(files: Iterable[Surveyed]) -> float:
    """The length of recordings together."""
    return math.fsum(one.seconds for one in files)
