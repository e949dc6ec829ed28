"""Clip: the sound of one anomaly and what is known of it, and its file."""

from __future__ import annotations

import datetime
import io
import re
import time
from dataclasses import dataclass
from pathlib import Path, PurePosixPath

import soundfile

from monitor.bundle.bundle import Bundle
from monitor.clips.memory import Cut, Int16Array
from monitor.core.atomic_io import atomic_file
from monitor.core.events import Event
from monitor.core.text import printable, safe_name

SOUND, PICTURE = ".flac", ".png"
# The names of the files that are written here: UTC, the event's id, and a number if the name was taken.
NAME = re.compile(r"\d{8}T\d{6}Z-(?P<event>[0-9a-f]{8}(?:-[0-9a-f]{4}){3}-[0-9a-f]{12})(?:-\d+)?\.(?:flac|png)")


@dataclass(frozen=True, slots=True)
class Clip:
    """The sound of one anomaly, not yet written."""

    event: Event
    cut: Cut
    bundle: Bundle  # the model of the stream
    notes: tuple[str, ...] = ()  # what is missing

    @property
    def rate(self) -> int:
        """The sample rate in Hz."""
        return self.bundle.config.features.sample_rate

    @property
    def began(self) -> float:
        """The Unix time of the first sample."""
        return self.event.wall_time - (self.event.start_s - self.cut.first * self.bundle.config.features.hop_s)

    @property
    def path(self) -> PurePosixPath:
        """Where it belongs in the folder of clips: STREAM/YEAR/MONTH/TIME-EVENT.flac."""
        began = time.gmtime(self.began)
        name = time.strftime("%Y%m%dT%H%M%SZ", began)
        folder = PurePosixPath(safe_name(self.event.stream or "sound"), f"{began.tm_year:04}", f"{began.tm_mon:02}")
        return folder / f"{name}-{self.event.id}{SOUND}"


def flac(clip: Clip, samples: Int16Array, notes: str = "") -> bytes:
    """The content of the clip's file: samples (n,), and tags that say what they are and when they were recorded."""
    event, content = clip.event, io.BytesIO()
    with soundfile.SoundFile(content, "w", clip.rate, 1, "PCM_16", format="FLAC") as file:
        file.title = printable(f"Anomaly of {event.stream or event.source}")
        file.date = datetime.datetime.fromtimestamp(clip.began, datetime.UTC).isoformat()
        file.software = "acoustic-monitor"
        file.comment = printable(
            f"event={event.id} stream={event.stream} model={event.model_id} "
            f"anomaly_at_s={event.start_s - clip.cut.first * clip.bundle.config.features.hop_s:.3f}"
            + (f" note={notes}" if notes else "")
        )
        file.write(samples)
    return content.getvalue()


def write_new(path: Path, content: bytes) -> Path:
    """Writes a file whole, under a name with a number if there is one; returns its path.

    Raises:
        OSError: if it cannot be written.
    """
    number, chosen = 2, path
    while True:
        try:
            with atomic_file(chosen, replace=False) as file:
                file.write(content)
            return chosen
        except FileExistsError:
            if not chosen.exists():  # a folder above it is a file
                raise
            chosen, number = path.with_stem(f"{path.stem}-{number}"), number + 1
