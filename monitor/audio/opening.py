"""Opens a recording, wherever it is: as bytes, or with libsndfile."""

from __future__ import annotations

import contextlib
import os
from collections.abc import Iterator
from pathlib import Path
from typing import BinaryIO

import soundfile

from monitor.audio.remote_recording import RemoteRecording


@contextlib.contextmanager
def binary_file(path: Path | RemoteRecording) -> Iterator[BinaryIO]:
    """Opens the bytes of a recording for the `with` statement."""
    with path.open("rb") if isinstance(path, Path) else path.open() as file:
        yield file


@contextlib.contextmanager
def sound_file(path: Path | RemoteRecording) -> Iterator[soundfile.SoundFile]:
    """Opens a recording with libsndfile for the `with` statement, without any check."""
    if isinstance(path, Path):
        # As bytes, because the name may have characters that cannot be encoded.
        with soundfile.SoundFile(os.fsencode(path)) as file:
            yield file
    else:
        with path.open() as stream, soundfile.SoundFile(stream) as file:
            yield file
