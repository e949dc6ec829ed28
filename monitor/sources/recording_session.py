"""Records a microphone in pieces of ten seconds, for `monitor record` and for calibration on site."""

from __future__ import annotations

import datetime
import itertools
import logging
import time
from collections.abc import Callable, Generator, Iterator
from pathlib import Path

import numpy as np
import soundfile

from monitor.audio.level import LevelMeter
from monitor.audio.quality import QualityCheck
from monitor.audio.reader import sound_file_reason
from monitor.audio.writer import as_int16
from monitor.config.setting_types import Channel
from monitor.config.sources import Audio
from monitor.core.atomic_io import atomic_file
from monitor.core.errors import DataError, MonitorError, SourceLost
from monitor.core.types import FloatArray
from monitor.sources.device.microphones import recorded_device
from monitor.sources.device.shared_device import MicrophoneSource
from monitor.sources.network.address import with_device
from monitor.sources.preprocess import Preprocessor
from monitor.sources.stream_health import StreamHealth

PIECE_S = 10.0
_POLL_S = 0.02

ShowLevel = Callable[[float, LevelMeter], None]

log = logging.getLogger(__name__)


def capture_pieces(
    settings: Audio,
    sample_rate: int,
    channel: Channel,
    minutes: float,
    show: ShowLevel,
    *,
    lead_s: float = 0.0,
    piece_s: float = PIECE_S,
) -> Generator[FloatArray]:
    """Yields pieces (n,) of ten seconds, or `piece_s`, without gaps. A piece with a gap is recorded again.

    Args:
        settings: the settings of the microphone, or of the source in the network.
        sample_rate: sample rate of the pieces in Hz.
        channel: channel of the microphone, or "mix" for the mean of all.
        minutes: total length of the pieces; there is at least one piece.
        show: called several times a second, with the seconds recorded so far and the level meter.
        lead_s: seconds at the beginning that are not recorded, because many microphones begin with a click.
        piece_s: length of a piece.

    Raises:
        SourceLost: if there is no such microphone or source, or it stops.
        MonitorError: if it cannot be recorded with these settings.
    """
    device = recorded_device(with_device(settings), sample_rate, [channel], end_when_lost=True)
    source = MicrophoneSource(device, channel)
    size, skipped = round(piece_s * sample_rate), round(lead_s * sample_rate)
    wanted = max(1, round(minutes * 60 / piece_s))
    done = filled = 0
    buffer = np.zeros(size, np.float32)
    preprocessor = _preprocessor(source, sample_rate)
    health, meter = StreamHealth(source, preprocessor), LevelMeter(source.sample_rate)
    source.start()
    try:
        while done < wanted:
            if source.marks:
                raise source.error or SourceLost(f"{source.name}: the sound has stopped.")
            if source.reader is not preprocessor.reader:
                preprocessor = _preprocessor(source, sample_rate)
                health, meter = StreamHealth(source, preprocessor), LevelMeter(source.sample_rate)
            if any(one.ended is not None for one in health.check(time.monotonic())):
                log.warning("Some sound was lost: the current recording of %g s starts again.", piece_s)
                preprocessor.reset()
                filled = 0
            if health.lost:
                preprocessor.discard()
            limit = preprocessor.ring_rate
            if health.held_from is not None:
                limit = min(limit, health.held_from - preprocessor.reader.read)
            chunk = preprocessor.take(limit)
            if len(chunk.captured):
                meter.push(chunk.captured)
            rest = chunk.samples[skipped:]
            skipped = max(0, skipped - len(chunk.samples))
            while len(rest):
                part = rest[: size - filled]
                buffer[filled : filled + len(part)] = part
                filled, rest = filled + len(part), rest[len(part) :]
                if filled == size:
                    done, filled = done + 1, 0
                    yield buffer.copy()
                    if done == wanted:
                        break
            show(done * piece_s + filled / sample_rate, meter)
            time.sleep(_POLL_S)
    finally:
        source.stop()


def _preprocessor(source: MicrophoneSource, sample_rate: int) -> Preprocessor:
    return Preprocessor(source.reader, source.sample_rate, sample_rate, hold_silence=False)


def record_files(
    settings: Audio, sample_rate: int, channel: Channel, minutes: float, out: Path, suffix: str, show: ShowLevel
) -> Iterator[Path]:
    """Records 16-bit files of ten seconds into a folder, and yields the path of each.

    No file is left incomplete, and none is replaced. Names have the time of the start in UTC, so that they are in order
    when clocks are set back in autumn.

    Args:
        settings, sample_rate, channel, minutes, show: as in `capture_pieces`.
        out: the folder; it is created if necessary.
        suffix: "wav" or "flac".

    Raises:
        DataError: if the sound is silent.
        MonitorError: as `capture_pieces`, or if a file cannot be written.
    """
    quality = QualityCheck(sample_rate)
    began = datetime.datetime.now(datetime.UTC).strftime("%Y%m%dT%H%M%SZ")
    for number, piece in enumerate(capture_pieces(settings, sample_rate, channel, minutes, show)):
        path = out / f"normal_{began}_{number:04d}.{suffix}"
        defect = quality.defect_of(piece)
        if defect is not None and defect.kind == "silent":
            raise DataError(f"There is no sound to learn from: {defect.advice}")
        if defect is not None:
            log.warning("%s: %s", path.name, defect.advice)
        yield write_recording(path, piece, sample_rate)


def write_recording(path: Path, piece: FloatArray, sample_rate: int) -> Path:
    """Writes samples (n,) as a 16-bit file under this name or, if it is taken, with a number added; returns the name.

    Raises:
        MonitorError: if it cannot be written.
    """
    stem = path.stem
    for number in itertools.count(2):
        try:
            with atomic_file(path, durable=False, replace=False) as file:
                form = path.suffix[1:].upper()
                soundfile.write(file, as_int16(piece), sample_rate, subtype="PCM_16", format=form)
        except (OSError, soundfile.SoundFileError) as error:
            if isinstance(error, FileExistsError) and path.exists():
                path = path.with_stem(f"{stem}-{number}")
                continue
            raise MonitorError(f"{path}: cannot be written: {sound_file_reason(error)}.") from None
        else:
            break
    return path
