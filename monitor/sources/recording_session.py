"""Minutes of a microphone's sound in pieces of ten seconds, for `monitor record` and for calibration on site."""

from __future__ import annotations

import datetime
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from types import TracebackType
from typing import Self

import numpy as np
import soundfile
from rich.console import Console
from rich.progress import BarColumn, Progress, ProgressColumn, Task, TextColumn, TimeRemainingColumn
from rich.text import Text

from monitor.config.schema import Audio, Channel
from monitor.core.errors import DataError, MonitorError, SourceLost
from monitor.sources.preprocess import Intake
from monitor.audio.level import LevelMeter
from monitor.sources.device.microphone import Microphone
from monitor.audio.writer import as_int16
from monitor.core.snapshot import FloatArray
from monitor.audio.quality import Soundness
from monitor.sources.stream_health import Watch

PIECE_S = 10.0
_POLL_S = 0.02
_METER_CELLS, _METER_FROM_DBFS = 20, -80.0

Show = Callable[[float, LevelMeter], None]


def collect(
    settings: Audio, sample_rate: int, channel: Channel, minutes: float, show: Show, notice: Callable[[str], None]
) -> Iterator[FloatArray]:
    """Pieces (n,) of ten seconds without a hole, as many as make `minutes`; a piece with a hole begins anew.

    Args:
        show: is told how many seconds there are, and the level, some times a second.
        notice: is told what happens, a sentence at a time.

    Raises:
        SourceLost: if there is no such microphone, or it stops.
        MonitorError: if it cannot record so.
    """
    source = Microphone(settings, sample_rate, channel, end_when_lost=True, notice=notice)
    size = round(PIECE_S * sample_rate)
    wanted = max(1, round(minutes * 60 / PIECE_S))
    done = 0
    buffer = np.zeros(size, np.float32)
    filled = 0
    intake = _intake(source, sample_rate)
    watch, meter = Watch(source, intake), LevelMeter(source.sample_rate)
    source.start()
    try:
        while done < wanted:
            if source.marks:
                raise source.error or SourceLost(f"{source.name}: the sound stopped.")
            if source.ring is not intake.ring:
                intake = _intake(source, sample_rate)
                watch, meter = Watch(source, intake), LevelMeter(source.sample_rate)
            if any(hole.ended is not None for hole in watch.look(time.monotonic())):
                notice("Some sound was lost on the way: this piece begins anew.")
                intake.reset()
                filled = 0
            if watch.deaf:
                intake.discard()
            chunk = intake.take(intake.ring_rate)
            if len(chunk.heard):
                meter.push(chunk.heard)
            rest = chunk.samples
            while len(rest):
                part = rest[: size - filled]
                buffer[filled : filled + len(part)] = part
                filled, rest = filled + len(part), rest[len(part) :]
                if filled == size:
                    done, filled = done + 1, 0
                    yield buffer.copy()
                    if done == wanted:
                        break
            show(done * PIECE_S + filled / sample_rate, meter)
            time.sleep(_POLL_S)
    finally:
        source.stop()


def _intake(source: Microphone, sample_rate: int) -> Intake:
    return Intake(source.ring, source.sample_rate, sample_rate, source.channel, hold_silence=False)


def record(
    settings: Audio, sample_rate: int, channel: Channel, minutes: float, out: Path, suffix: str, show: Show,
    notice: Callable[[str], None],
) -> Iterator[Path]:  # fmt: skip
    """Writes 16-bit files of ten seconds into a folder, whole or not at all; gives the path of each.

    Raises:
        DataError: if it is silent.
        MonitorError: as `collect`, or if a file cannot be written.
    """
    soundness = Soundness(sample_rate)
    began = datetime.datetime.now().strftime("%Y%m%d-%H%M%S")
    for number, piece in enumerate(collect(settings, sample_rate, channel, minutes, show, notice)):
        path = out / f"normal_{began}_{number:04d}.{suffix}"
        doubt = soundness.doubt(piece)
        if doubt is not None and doubt.startswith("it is silent"):
            raise DataError(f"Nothing to learn from is heard: {doubt}")
        if doubt is not None:
            notice(f"{path.name}: {doubt}")
        part = path.with_name(f".{path.name}.part")
        try:
            out.mkdir(parents=True, exist_ok=True)
            soundfile.write(part, as_int16(piece), sample_rate, subtype="PCM_16", format=suffix.upper())
            part.replace(path)
        except (OSError, soundfile.SoundFileError) as error:
            raise MonitorError(f"{path}: cannot be written: {error}.") from None
        yield path


class _Meter(ProgressColumn):
    """The level now, as a bar and in figures."""

    def render(self, task: Task) -> Text:
        level = task.fields.get("level", -np.inf)
        share = (max(level, _METER_FROM_DBFS) - _METER_FROM_DBFS) / -_METER_FROM_DBFS
        lit = min(_METER_CELLS, round(share * _METER_CELLS))
        style = "red" if task.fields.get("peak", -np.inf) > -0.5 else "yellow" if level > -6 else "green"
        figures = "silent" if level == -np.inf else f"{level:.0f} dBFS"
        return Text.assemble(("━" * lit, style), ("━" * (_METER_CELLS - lit), "bright_black"), f" {figures}")


class CollectingProgress:
    """A bar and a level meter on standard error; a line for every piece where that is no terminal."""

    def __init__(self, minutes: float) -> None:
        self._total = max(1, round(minutes * 60 / PIECE_S)) * PIECE_S
        self._console = Console(stderr=True, highlight=False)
        self._live = self._console.is_terminal
        self._progress = Progress(
            TextColumn("Listening"), BarColumn(bar_width=24), TimeRemainingColumn(compact=True), _Meter(),
            console=self._console, disable=not self._live, transient=True,
        )  # fmt: skip
        self._task = self._progress.add_task("", total=self._total)
        self._told = 0.0

    def __enter__(self) -> Self:
        self._progress.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._progress.stop()

    def show(self, seconds: float, meter: LevelMeter) -> None:
        """So much has been heard, and it is this loud."""
        self._progress.update(self._task, completed=seconds, level=meter.rms_dbfs, peak=meter.peak_dbfs)
        if not self._live and seconds - self._told >= PIECE_S:
            self._told = seconds // PIECE_S * PIECE_S
            self.notice(f"{self._told:.0f} of {self._total:.0f} s, level {meter.rms_dbfs:.0f} dBFS")

    def notice(self, text: str) -> None:
        """A sentence."""
        if self._live:
            self._progress.console.print(text, soft_wrap=True, markup=False)
        else:
            sys.stderr.write(f"{text}\n")
