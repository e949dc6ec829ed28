"""The picture of one anomaly: spectrogram, reconstruction, contribution of each band, and the score over time."""

from __future__ import annotations

import logging
import threading
import time
import warnings
from dataclasses import dataclass
from pathlib import Path

from monitor.bundle.bundle import Bundle
from monitor.core.events import CAUSES, Event
from monitor.core.text import band_range, printable
from monitor.core.thread_pool import limit_torch_to_one_thread
from monitor.core.types import FloatArray
from monitor.outputs.rescoring import anomalous_frames, contributions_of, rescore, typical_mean
from monitor.scoring.scorer import rolling_length

BEFORE_S, AFTER_S = 5.0, 3.0  # time that a picture shows before the start and after the end of an anomaly
SHOWN_S = 60.0  # longest time after the start that a picture shows
_drawing_lock = threading.Lock()  # matplotlib is not thread-safe


@dataclass(frozen=True, slots=True)
class Excerpt:
    """The frames around an event, of which a picture is drawn."""

    event: Event
    first: int  # frame number of power[0] in its recording
    power: FloatArray  # (t, n_mels)


def run_up(bundle: Bundle) -> int:
    """The number of frames before those that are shown: a score is a mean over the time before it."""
    return rolling_length(bundle.config.score, bundle.config.features) + bundle.config.features.window_frames


def frames_for(bundle: Bundle, event: Event, oldest: int, end: int) -> tuple[int, int]:
    """The frames of which the picture of an event is made, of those that there are: `oldest` to `end`, exclusive.

    A lasting anomaly may have begun before the oldest one: then all are shown.
    """
    hop_s = bundle.config.features.hop_s
    end_s = event.start_s + SHOWN_S if event.end_s is None else min(event.end_s + AFTER_S, event.start_s + SHOWN_S)
    stop = min(round(end_s / hop_s), end)
    first = max(round((event.start_s - BEFORE_S) / hop_s) - run_up(bundle), oldest)
    return (first, stop) if stop - first >= run_up(bundle) else (oldest, end)


def draw_event(bundle: Bundle, excerpt: Excerpt, path: Path) -> bool:
    """Draws the picture of an event, and writes it as PNG; for any thread.

    Everything in it is computed anew from the frames.

    Returns:
        whether there is a picture; fewer frames than one score needs have none.

    Raises:
        MonitorError: if the file cannot be written.
    """
    limit_torch_to_one_thread()  # the engine needs the other processors
    # Messages of matplotlib about fonts and folders would be printed across the dashboard.
    logging.getLogger("matplotlib").setLevel(logging.ERROR)
    warnings.filterwarnings("ignore", message="Glyph .* missing")
    with _drawing_lock:
        return _write_picture(bundle, excerpt, path)


def _write_picture(bundle: Bundle, excerpt: Excerpt, path: Path) -> bool:
    # Imported here because matplotlib takes a second to import, and there is seldom an anomaly.
    from monitor.outputs.plots import LowerPlot, draw

    event, hop_s = excerpt.event, bundle.config.features.hop_s
    # The limit of a whole recording is not that of the scores in it.
    limit = bundle.thresholds["score"].value if event.cause == "recording" else event.threshold
    rescored = rescore(bundle, excerpt.power)
    began = round(event.start_s / hop_s) - excerpt.first
    ended = len(rescored.score) if event.end_s is None else round(event.end_s / hop_s) - excerpt.first
    inside = anomalous_frames(rescored.score, began, ended)
    if not inside.any():
        return False
    mean_row = typical_mean(rescored, inside)
    skip = min(run_up(bundle) if excerpt.first > 0 else 0, max(began - 1, 0), len(rescored.score) - 1)
    shown = rescored.part(slice(skip, None))
    draw(
        bundle, shown, contributions_of(bundle, mean_row), limit,
        LowerPlot("anomaly score", shown.score, limit),
        _title(event, float(rescored.score[inside].max())), path,
        start_s=(excerpt.first + skip) * hop_s - event.start_s,
        time_label="seconds since the start of the anomaly",
        notes=tuple(f"{band_range(band)} {band.change}, {band.share:.0%}" for band in event.bands),
        marked=(0.0, *(() if event.end_s is None else (event.end_s - event.start_s,))),
    )  # fmt: skip
    return True


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
