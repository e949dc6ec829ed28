"""A picture of each anomaly, drawn beside the listening: what was heard, what was expected, which bands carry it."""

from __future__ import annotations

import logging
import re
import threading
import time
import warnings
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
from numpy.typing import NDArray

from monitor.bundle.bundle import Bundle
from monitor.dashboard.render.formatting import band_range
from monitor.core.errors import ConfigError, MonitorError
from monitor.core.atomic_io import require_writable
from monitor.scoring.scorer import rolling_length
from monitor.outputs.sink import BackgroundSink
from monitor.core.snapshot import Event, FloatArray
from monitor.core.text import printable

BEFORE_S, AFTER_S, SHOWN_S = 5.0, 3.0, 60.0
SPARE_S = 6.0  # kept beyond: an engine in a hurry hands over four seconds before it says what they were
WAITING = 4  # pictures, 2 MB each
_drawing = threading.Lock()  # of all streams one at a time, as matplotlib wants it


@dataclass(frozen=True, slots=True)
class _Subject:
    """What one picture is of."""

    event: Event
    first: int  # frame number of power[0]
    power: FloatArray  # (t, n_mels)


class EventPictures(BackgroundSink):
    """Writes a PNG of each anomaly into a folder when it ends, or SHOWN_S after it began if it lasts longer.

    It keeps the last seventy seconds of mel frames, and nothing else: all that a picture shows is computed from them
    again, by the same model, on the sink's own thread.
    """

    def __init__(self, folder: Path, bundle: Bundle, *, wait: bool = False) -> None:
        """Makes the folder if it is not there.

        Raises:
            MonitorError: if nothing can be written in it.
        """
        try:
            require_writable(folder, "choose another folder for the pictures.")
        except ConfigError as error:  # a disk that will not, like that of any other sink
            raise MonitorError(str(error)) from None
        features = bundle.config.features
        self._folder, self._bundle, self._hop_s = folder, bundle, features.hop_s
        # A score is of the time before it: so much more is judged than shown.
        self._run_up = rolling_length(bundle.config.score, features) + features.window_frames
        kept = self._run_up + self._hops(BEFORE_S + SHOWN_S + AFTER_S + SPARE_S)
        self._kept = np.zeros((kept, features.n_mels), np.float32)
        self._first = self._next = 0  # frame numbers of the oldest that is kept, and of the one that comes next
        self._lasting: Event | None = None  # the anomaly that is yet to be pictured
        super().__init__("pictures", wait=wait, size=WAITING)

    def frames(self, first: int, power: FloatArray) -> None:
        """Mel frames have come: they are kept, and the anomaly that lasts may have lasted long enough."""
        if first != self._next:  # another recording, or a hole in this one
            self._first = self._next = first
        rest = power[-len(self._kept) :]
        start = first + len(power) - len(rest)
        self._kept[np.arange(start, start + len(rest)) % len(self._kept)] = rest
        self._next = first + len(power)
        self._first = max(self._first, self._next - len(self._kept))
        if self._lasting is not None and self._next >= self._due(self._lasting):
            self._take(self._lasting)

    def event(self, event: Event) -> None:
        """An anomaly began, goes on, or ended."""
        if event.kind != "anomaly":
            return
        if event.end_s is None:
            if not event.reminders:
                self._lasting = event
        elif self._lasting is not None:
            self._take(event)

    def close(self) -> None:
        """Draws what is waiting, and what still lasts, and ends."""
        if self._lasting is not None:
            self._take(self._lasting)
        super().close()

    def _hops(self, seconds: float) -> int:
        return round(seconds / self._hop_s)

    def _due(self, event: Event) -> int:
        return self._hops(event.start_s + SHOWN_S)

    def _take(self, event: Event) -> None:
        """Has a picture drawn of what is kept around an event."""
        self._lasting = None
        end_s = event.start_s + SHOWN_S if event.end_s is None else min(event.end_s + AFTER_S, event.start_s + SHOWN_S)
        # What gathered evidence for minutes may have begun before all that is kept: then its end is shown.
        stop = min(self._hops(end_s), self._next)
        first = max(self._hops(event.start_s - BEFORE_S) - self._run_up, self._first)
        if stop - first < self._run_up:
            stop = self._next
            first = self._first
        if stop > first:
            power = self._kept[np.arange(first, stop) % len(self._kept)]
            self._put(lambda: self._draw(_Subject(event, first, power)))

    def _draw(self, subject: _Subject) -> None:
        try:
            torch.set_num_threads(1)  # OpenMP keeps it by thread: the engine needs the other processors
            # What matplotlib says of fonts and folders would be written across the dashboard.
            logging.getLogger("matplotlib").setLevel(logging.ERROR)
            warnings.filterwarnings("ignore", message="Glyph .* missing")
            with _drawing:
                self._picture(subject, _free_path(self._folder, subject.event))
        except MonitorError as error:
            self.error = error
        except Exception as error:  # noqa: BLE001 - a picture must not end the listening, nor hide why there is none
            self.error = MonitorError(f"A picture could not be drawn: {type(error).__name__}: {error}.")

    def _picture(self, subject: _Subject, path: Path) -> None:
        from monitor.outputs.plots import Below, carried_by, draw, hear  # takes a second, and is seldom needed

        event, hop_s = subject.event, self._hop_s
        heard = hear(self._bundle, subject.power)
        began = self._hops(event.start_s) - subject.first
        ended = len(heard.score) if event.end_s is None else self._hops(event.end_s) - subject.first
        at = np.arange(len(heard.score))
        inside = (at >= began) & (at < max(ended, began + 1)) & np.isfinite(heard.score)
        inside = inside if inside.any() else np.isfinite(heard.score)
        if not inside.any():
            return  # too short to be judged at all
        row = heard.rolling[torch.from_numpy(_loudest(heard.score, inside))].mean(dim=0)
        skip = min(self._run_up if subject.first > 0 else 0, max(began - 1, 0), len(heard.score) - 1)
        shown = slice(skip, None)
        draw(
            self._bundle, heard.part(shown), carried_by(self._bundle, row), event.threshold,
            Below("anomaly score", heard.score[shown], event.threshold),
            _title(event, float(heard.score[inside].max())), path,
            start_s=(subject.first + skip) * hop_s - event.start_s,
            time_label="seconds since it began",
            notes=tuple(f"{band_range(band)} {band.change}, {band.share:.0%}" for band in event.bands),
            marked=(0.0, *(() if event.end_s is None else (event.end_s - event.start_s,))),
        )  # fmt: skip


def _loudest(score: NDArray[np.float64], inside: NDArray[np.bool_]) -> NDArray[np.bool_]:
    """The half of what is inside that has the higher scores: what begins and what ends would blur the picture."""
    loud: NDArray[np.bool_] = inside & (score >= np.median(score[inside]))
    return loud


def _title(event: Event, peak: float) -> str:
    """What it is of, in two lines."""
    began = time.strftime("%Y-%m-%d %H:%M:%S", time.localtime(event.wall_time))
    how = {"sudden": ", sudden", "evidence": ", small but lasting"}.get(event.cause, "")
    peak = max(peak, event.peak)
    above = f" ({peak / event.threshold:.3g} times)" if event.threshold > 0 else ""
    return (
        f"Anomaly{how}: {printable(event.stream or event.source)}, began {began}\n"
        f"peak {peak:.3g}, threshold {event.threshold:.3g}{above}"
    )


def _free_path(folder: Path, event: Event) -> Path:
    """A name for its picture that no file has yet."""
    began = time.strftime("%Y%m%d-%H%M%S", time.localtime(event.wall_time))
    plain = event.stream or re.sub(r"\.\w{2,4}$", "", event.source.replace("\\", "/").rpartition("/")[2])
    stem = re.sub(r"[^A-Za-z0-9._-]+", "-", plain).strip("-.")[:60] or "sound"
    path = folder / f"anomaly-{began}-{stem}.png"
    number = 2
    while path.exists():
        path = folder / f"anomaly-{began}-{stem}-{number}.png"
        number += 1
    return path
