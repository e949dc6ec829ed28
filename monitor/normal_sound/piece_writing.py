"""Writes pieces of normal sound, with what is known of them in their tags."""

from __future__ import annotations

import datetime
import io
import json
import math
import time
from dataclasses import replace
from typing import Any

import soundfile

from monitor.clips.clip import write_new
from monitor.clips.memory import Int16Array
from monitor.core.text import printable
from monitor.normal_sound.pieces import Piece


def file_name(began: float) -> str:
    """The name of a piece that began at a Unix time."""
    return time.strftime("normal_%Y%m%dT%H%M%SZ.flac", time.gmtime(began))


def content_of(piece: Piece, samples: Int16Array) -> bytes:
    """The content of the file of a piece with its tags.

    Args:
        piece: what is known of it.
        samples: (n,) at `piece.sample_rate`.
    """
    tags: dict[str, Any] = {
        "stream": piece.stream,
        "model": piece.model_id,
        "share": None if math.isnan(piece.share) else round(piece.share, 4),
        "mode": piece.mode,
        "spectrum_db": None if piece.spectrum_db is None else [round(float(level), 2) for level in piece.spectrum_db],
    }
    content = io.BytesIO()
    with soundfile.SoundFile(content, "w", piece.sample_rate, 1, "PCM_16", format="FLAC") as file:
        file.title = printable(f"Normal sound of {piece.stream or 'a machine'}")
        file.date = datetime.datetime.fromtimestamp(piece.began, datetime.UTC).isoformat()
        file.software = "acoustic-monitor"
        file.comment = json.dumps(tags, separators=(",", ":"))
        file.write(samples)
    return content.getvalue()


def write_piece(piece: Piece, samples: Int16Array) -> Piece:
    """Writes a piece whole; under a name with a number if the name of `piece.path` is taken.

    Returns:
        the piece with the path of its file.

    Raises:
        OSError: if it cannot be written.
    """
    return replace(piece, path=write_new(piece.path, content_of(piece, samples)))
