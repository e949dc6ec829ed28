"""Pictures of anomalies: spectrogram, reconstruction, contribution of each band, and the score over time."""

from __future__ import annotations

import logging
import re
import threading
import time
import warnings
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from monitor.bundle.bundle import Bundle
from monitor.core.atomic_io import require_writable
from monitor.core.errors import ConfigError, MonitorError
from monitor.core.events import CAUSES, Event
from monitor.core.text import band_range, counted, printable
from monitor.core.thread_pool import limit_torch_to_one_thread
from monitor.core.types import BoolArray, DoubleArray, FloatArray
from monitor.outputs.background import BackgroundSink
from monitor.scoring.scorer import rolling_length

BEFORE_S, AFTER_S = 5.0, 3.0  # time that a picture shows before the start and after the end of an anomaly
SHOWN_S = 60.0  # longest time after the start that a picture shows
SPARE_S = 6.0  # further frames to keep, because a fast replay pushes 4 s of frames before it reports their events
QUEUE_SIZE = 4  # pictures; the frames of each are 2 MB
CLOSE_S = 30.0  # longest time that a picture may take at the end
_drawing_lock = threading.Lock()  # matplotlib is not thread-safe


@dataclass(frozen=True, slots=True)
class _Excerpt:
    """The frames around an event, of which a picture is drawn."""

    event: Event
    first: int  # frame number of power[0]
    power: FloatArray  # (t, n_mels)


class EventPlots(BackgroundSink):
    """Writes a PNG of each anomaly into a folder when it ends, or SHOWN_S after its start if it is still ongoing.

    The sink keeps about the last 70 s of mel frames. Everything that a picture shows is computed from them with the
    same model, on the sink's own thread.

    Args:
        folder: for the pictures; it is created if necessary.
        bundle: the model.
        wait: as in `BackgroundSink`.

    Raises:
        MonitorError: if the folder cannot be written.
    """

    def __init__(self, folder: Path, bundle: Bundle, *, wait: bool = False) -> None:
        try:
            require_writable(folder, "choose another folder for the pictures.")
        except ConfigError as error:  # sinks raise a MonitorError if they cannot write
            raise MonitorError(str(error)) from None
        features = bundle.config.features
        self._folder, self._bundle, self._hop_s = folder, bundle, features.hop_s
        # A score is a mean over the time before it, so more frames are scored than shown.
        self._run_up = rolling_length(bundle.config.score, features) + features.window_frames
        kept = self._run_up + self._hops(BEFORE_S + SHOWN_S + AFTER_S + SPARE_S)
        self._kept = np.zeros((kept, features.n_mels), np.float32)
        self._first = self._next = 0  # frame numbers of the oldest kept frame, and of the next frame
        self._ongoing: Event | None = None  # the ongoing anomaly, until its picture is queued
        super().__init__(
            str(folder), wait=wait, size=QUEUE_SIZE, amount=lambda count: counted(count, "picture"), close_s=CLOSE_S
        )

    def frames(self, first: int, power: FloatArray) -> None:
        """Keeps power mel frames (t, n_mels), and queues the picture of an anomaly that began SHOWN_S ago."""
        if first != self._next:  # after a gap, or in another recording
            self._first = self._next = first
        newest = power[-len(self._kept) :]
        start = first + len(power) - len(newest)
        self._kept[np.arange(start, start + len(newest)) % len(self._kept)] = newest
        self._next = first + len(power)
        self._first = max(self._first, self._next - len(self._kept))
        if self._ongoing is not None and self._next >= self._hops(self._ongoing.start_s + SHOWN_S):
            self._queue_picture(self._ongoing)

    def event(self, event: Event) -> None:
        """Notes an anomaly that begins, and queues the picture of one that ends."""
        if event.kind != "anomaly":
            return
        if event.end_s is None:
            if not event.reminders:
                self._ongoing = event
        elif self._ongoing is not None:
            self._queue_picture(event)

    def close(self) -> None:
        """Draws all queued pictures and that of the ongoing anomaly, and ends the thread."""
        if self._ongoing is not None:
            self._queue_picture(self._ongoing)
        super().close()

    def _hops(self, seconds: float) -> int:
        return round(seconds / self._hop_s)

    def _queue_picture(self, event: Event) -> None:
        """Queues the picture of an event with the kept frames around it."""
        self._ongoing = None
        end_s = event.start_s + SHOWN_S if event.end_s is None else min(event.end_s + AFTER_S, event.start_s + SHOWN_S)
        # A lasting anomaly may have begun before the oldest kept frame: then all kept frames are shown.
        stop = min(self._hops(end_s), self._next)
        first = max(self._hops(event.start_s - BEFORE_S) - self._run_up, self._first)
        if stop - first < self._run_up:
            stop = self._next
            first = self._first
        if stop > first:
            power = self._kept[np.arange(first, stop) % len(self._kept)]
            self._put(lambda: self._draw(_Excerpt(event, first, power)))

    def _draw(self, excerpt: _Excerpt) -> None:
        limit_torch_to_one_thread()  # the engine needs the other processors
        # Messages of matplotlib about fonts and folders would be printed across the dashboard.
        logging.getLogger("matplotlib").setLevel(logging.ERROR)
        warnings.filterwarnings("ignore", message="Glyph .* missing")
        with _drawing_lock:
            self._write_picture(excerpt, _free_path(self._folder, excerpt.event))

    def _write_picture(self, excerpt: _Excerpt, path: Path) -> None:
        # Imported here because matplotlib takes a second to import, and there is seldom an anomaly.
        from monitor.outputs.plots import LowerPlot, contributions_of, draw, rescore

        event, hop_s = excerpt.event, self._hop_s
        # The limit of a whole recording is not that of the scores in it.
        limit = self._bundle.thresholds["score"].value if event.cause == "recording" else event.threshold
        rescored = rescore(self._bundle, excerpt.power)
        began = self._hops(event.start_s) - excerpt.first
        ended = len(rescored.score) if event.end_s is None else self._hops(event.end_s) - excerpt.first
        index = np.arange(len(rescored.score))
        inside = (index >= began) & (index < max(ended, began + 1)) & np.isfinite(rescored.score)
        inside = inside if inside.any() else np.isfinite(rescored.score)
        if not inside.any():
            return  # too short for a score
        mean_row = rescored.means[_higher_half(rescored.score, inside)].mean(axis=0, dtype=np.float64)
        skip = min(self._run_up if excerpt.first > 0 else 0, max(began - 1, 0), len(rescored.score) - 1)
        shown = rescored.part(slice(skip, None))
        draw(
            self._bundle, shown, contributions_of(self._bundle, mean_row), limit,
            LowerPlot("anomaly score", shown.score, limit),
            _title(event, float(rescored.score[inside].max())), path,
            start_s=(excerpt.first + skip) * hop_s - event.start_s,
            time_label="seconds since the start of the anomaly",
            notes=tuple(f"{band_range(band)} {band.change}, {band.share:.0%}" for band in event.bands),
            marked=(0.0, *(() if event.end_s is None else (event.end_s - event.start_s,))),
        )  # fmt: skip


def _higher_half(score: DoubleArray, inside: BoolArray) -> BoolArray:
    """The scores inside that are at least their median, without the rise and the fall of an anomaly: (t,)."""
    high: BoolArray = inside & (score >= np.median(score[inside]))
    return high


def _title(event: Event, peak: float) -> str:
    """The title of a picture, in two lines."""
    began = time.strftime("%Y-%m-%d %H:%M:%S %z", time.localtime(event.wall_time))
    whole = event.cause == "recording"
    peak = event.peak if whole else max(peak, event.peak)
    share = f", {100 * peak / event.threshold:.0f} % of the limit" if event.threshold > 0 else ""
    cause = f", {CAUSES[event.cause]}" if event.cause in CAUSES else ""
    return (
        f"Anomaly{cause}: {printable(event.stream or event.source)}, began {began}\n"
        f"score {'as a whole' if whole else 'up to'} {peak:.3g}{share}"
    )


def _free_path(folder: Path, event: Event) -> Path:
    """The path of the picture of an event; no such file exists yet."""
    began = time.strftime("%Y%m%dT%H%M%SZ", time.gmtime(event.wall_time))
    plain = event.stream or re.sub(r"\.\w{2,4}$", "", event.source.replace("\\", "/").rpartition("/")[2])
    stem = re.sub(r"[^A-Za-z0-9._-]+", "-", plain).strip("-.")[:60] or "sound"
    path = folder / f"anomaly-{began}-{stem}.png"
    number = 2
    while path.exists():
        path = folder / f"anomaly-{began}-{stem}-{number}.png"
        number += 1
    return path
