"""The pieces of normal sound of a stream: files of ten seconds, with what is known of each in its tags."""

from __future__ import annotations

import datetime
import json
import logging
import math
import re
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import soundfile

from monitor.audio.reader import sound_file_reason
from monitor.audio.writer import from_int16
from monitor.core.errors import DataError
from monitor.core.text import counted
from monitor.core.types import FloatArray

PIECE_S = 10.0  # length of a piece
# UTC, as `monitor record` writes it, so that `monitor train` tells sessions and days by the names.
NAME = re.compile(r"normal_\d{8}T\d{6}Z(?:-\d+)?\.flac")
NO_TAGS = "no piece of normal sound that this program wrote"

log = logging.getLogger(__name__)
_said: set[Path] = set()  # folders whose foreign files were told of


@dataclass(frozen=True, slots=True, eq=False)
class Piece:
    """A file of normal sound, as its tags describe it; the sound itself is read by `read_piece`.

    Attributes:
        path: of the file.
        began: Unix time of its first sample.
        seconds: its length.
        sample_rate: in Hz.
        share: highest share of the alarm's limit while it was heard: 1 is the alarm; NaN if it is not known.
        spectrum_db: (n_mels,) mean mel power in dB, as `power_in_db` computes it; None if it is not known.
        model_id: of the model that called it normal.
        mode: number of the operating mode by that model; None if the model has no modes.
        stream: name of the stream.
    """

    path: Path
    began: float
    seconds: float
    sample_rate: int
    share: float = math.nan
    spectrum_db: FloatArray | None = None
    model_id: str = ""
    mode: int | None = None
    stream: str = ""


def pieces_of(folder: Path) -> list[Piece]:
    """The pieces in a folder, ordered by time; those in quarantine are not among them.

    Only the tags are read: 1000 files take about 0.1 s. Files that are damaged or were not written by this program are
    left out, which is logged once for each folder.

    Args:
        folder: of one stream (`monitor.store.location.normal_folder`); it need not exist.

    Raises:
        DataError: if the folder cannot be read.
    """
    found: list[Piece] = []
    left_out: list[str] = []
    try:
        paths = [path for path in folder.iterdir() if NAME.fullmatch(path.name)]
    except FileNotFoundError:
        return []
    except OSError as error:
        raise DataError(f"{folder}: cannot be read: {error.strerror}.") from None
    for path in paths:
        try:
            found.append(read_tags(path))
        except FileNotFoundError:
            continue  # it has just been replaced by another one
        except DataError as error:
            left_out.append(str(error))
    if left_out and folder not in _said:
        _said.add(folder)
        more = f" (and {counted(len(left_out) - 1, 'other file')} there)" if len(left_out) > 1 else ""
        log.warning("%s It is left out%s.", left_out[0], more)
    return sorted(found, key=lambda piece: (piece.began, piece.path.name))


def read_tags(path: Path) -> Piece:
    """Reads what the tags of one file say.

    Raises:
        FileNotFoundError: if there is no such file.
        DataError: if it cannot be read, or has not the tags of a piece.
    """
    try:
        with soundfile.SoundFile(path) as file:
            tags = json.loads(file.comment or "{}")
            seconds, rate = file.frames / file.samplerate, int(file.samplerate)
            stated = file.date
        spectrum = None if tags["spectrum_db"] is None else np.asarray(tags["spectrum_db"], np.float32)
        if spectrum is not None and not np.isfinite(spectrum).all():
            raise ValueError
        return Piece(
            path,
            datetime.datetime.fromisoformat(stated).timestamp(),
            seconds,
            rate,
            share=math.nan if tags["share"] is None else float(tags["share"]),
            spectrum_db=spectrum,
            model_id=str(tags["model"]),
            mode=None if tags["mode"] is None else int(tags["mode"]),
            stream=str(tags["stream"]),
        )
    except (OSError, soundfile.SoundFileError) as error:
        if not path.exists():
            raise FileNotFoundError(str(path)) from None
        raise DataError(f"{path}: cannot be read: {sound_file_reason(error)}.") from None
    except (ValueError, TypeError, KeyError, AttributeError, OverflowError, RecursionError):
        raise DataError(f"{path}: is {NO_TAGS}.") from None


def read_piece(piece: Piece) -> FloatArray:
    """Reads the sound of a piece.

    Returns:
        samples (n,) of full scale 1, at `piece.sample_rate`.

    Raises:
        DataError: if the file cannot be read; it may have been replaced by another piece meanwhile.
    """
    try:
        samples, _ = soundfile.read(piece.path, dtype="int16")
    except (OSError, soundfile.SoundFileError) as error:
        why = "there is no such file any more" if not piece.path.exists() else sound_file_reason(error)
        raise DataError(f"{piece.path}: cannot be read: {why}.") from None
    return from_int16(samples if samples.ndim == 1 else samples[:, 0])


def nearest(pieces: Iterable[Piece], spectrum_db: FloatArray) -> Piece | None:
    """The piece whose spectrum is nearest to that of another sound, such as the clip of an anomaly.

    The distance is the root mean square difference of the bands' levels in dB. Of equal ones the newest is taken.

    Args:
        pieces: the pieces; those with another number of bands are passed over.
        spectrum_db: (n_mels,) as `Piece.spectrum_db`.

    Returns:
        None if there is none to compare with.
    """
    comparable = [one for one in pieces if one.spectrum_db is not None and one.spectrum_db.shape == spectrum_db.shape]
    if not comparable:
        return None
    spectra = np.stack([piece.spectrum_db for piece in comparable if piece.spectrum_db is not None])
    distances = np.sqrt(np.mean((spectra - spectrum_db) ** 2, axis=1))
    return min(zip(distances.tolist(), comparable, strict=True), key=lambda one: (one[0], -one[1].began))[1]


def power_in_db(power: FloatArray, floor: float) -> FloatArray:
    """The mean mel power (n_mels,) of frames (t, n_mels) in dB, at least that of `floor` (`features.floor`)."""
    mean: FloatArray = (10 * np.log10(np.maximum(power.mean(axis=0, dtype=np.float64), floor))).astype(np.float32)
    return mean
