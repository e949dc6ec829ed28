"""Pictures of scored sound: spectrogram, reconstruction, the contribution of each band, and a curve over time.

They are drawn with matplotlib's object interface, without pyplot, so that they can be drawn on any thread.
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any

import matplotlib as mpl
import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.font_manager import FontProperties, findfont, get_font
from matplotlib.ticker import MaxNLocator

from monitor.bundle.bundle import Bundle
from monitor.core.atomic_io import atomic_file
from monitor.core.errors import MonitorError
from monitor.core.types import DoubleArray, FloatArray
from monitor.features.mel import band_centres
from monitor.outputs.rescoring import Rescored, averaged

MORE, LESS, INK, RULE = "#d1495b", "#3a7ca5", "#22303c", "#8a97a3"
STYLE: Any = {
    "font.size": 9.0,
    "axes.spines.top": False,
    "axes.spines.right": False,
    "axes.edgecolor": RULE,
    "axes.labelcolor": INK,
    "axes.titlelocation": "left",
    "axes.titlesize": 10.0,
    "text.color": INK,
    "xtick.color": INK,
    "ytick.color": INK,
    "legend.frameon": False,
}
_TICKS_HZ = (31, 63, 125, 250, 500, 1000, 2000, 4000, 8000, 16000)
_MIN_SCALE = 0.15  # a full-length contribution bar is at least this share of the threshold
_DPI = 130
_COLUMNS = 940  # about the width of a spectrogram in pixels


@dataclass(frozen=True, slots=True)
class LowerPlot:
    """The curve below the spectrograms."""

    title: str
    values: FloatArray | DoubleArray  # (T,) one for each frame
    threshold: float | None  # drawn as a horizontal line


def draw(
    bundle: Bundle,
    rescored: Rescored,
    contribution: FloatArray,
    threshold: float,
    lower: LowerPlot,
    title: str,
    path: Path,
    *,
    start_s: float = 0.0,
    marked: tuple[float, ...] = (),
    time_label: str = "seconds",
    notes: tuple[str, ...] = (),
) -> None:
    """Draws a picture, and writes it as PNG.

    Args:
        bundle: the model.
        rescored: the spectrograms (T frames).
        contribution: (n_mels,) contribution of each band to the score; negative for bands with missing sound.
        threshold: of that score. It scales the bars, so that contributions that are small compared with it look small.
        lower: the curve below the spectrograms.
        title: of the picture.
        path: of the file, which is written atomically.
        start_s: time of the first frame on the time axis.
        marked: times that are marked with a thin line.
        time_label: label of the time axis.
        notes: lines of text for the lower right corner.

    Raises:
        MonitorError: if the file cannot be written.
    """
    features = bundle.config.features
    end_s = start_s + len(rescored.recorded) * features.hop_s
    low, high = np.percentile(rescored.recorded, (1, 99.5))
    with mpl.rc_context(STYLE):
        figure = Figure(figsize=(10, 6.4), layout="constrained")
        grid = figure.add_gridspec(3, 2, width_ratios=(6, 1.7), height_ratios=(3, 3, 2))
        top = figure.add_subplot(grid[0, 0])
        middle, bottom = (figure.add_subplot(grid[i, 0], sharex=top) for i in (1, 2))
        right = figure.add_subplot(grid[0, 1], sharey=top)
        extent = (start_s, end_s, 0.0, float(features.n_mels))
        for axes, spectrogram, name in (
            (top, rescored.recorded, "recorded"),
            (middle, rescored.reconstructed, "reconstructed"),
        ):
            image = axes.imshow(
                averaged(spectrogram, _COLUMNS).T, "magma", origin="lower", aspect="auto", vmin=low, vmax=high,
                extent=extent, interpolation="nearest",
            )  # fmt: skip
            _set_frequency_ticks(axes, band_centres(features))
            axes.set_title(name)
            axes.tick_params(labelbottom=False)
        _draw_contributions(right, contribution, threshold)
        legend, corner = (figure.add_subplot(grid[i, 1]) for i in (1, 2))
        for axes in (legend, corner):
            axes.set_axis_off()
        unit = "dB" if features.scale == "log" else "power"
        figure.colorbar(image, cax=legend.inset_axes((0.0, 0.0, 0.07, 1.0)), label=unit)
        corner.text(0.0, 1.0, drawable("\n".join(notes)), va="top", linespacing=1.5, parse_math=False)
        times = start_s + (np.arange(len(lower.values)) + 0.5) * features.hop_s
        bottom.plot(times, lower.values, color=INK, linewidth=0.9)
        if lower.threshold is not None:
            above = lower.values > lower.threshold
            bottom.fill_between(times, lower.threshold, lower.values, where=above, color=MORE, alpha=0.45, linewidth=0)
            bottom.axhline(lower.threshold, color=MORE, linewidth=0.9)
        for axes in (top, middle, bottom):
            for at in marked:
                axes.axvline(at, color="white" if axes is not bottom else RULE, linewidth=0.9, linestyle=(0, (4, 3)))
        limit = "" if lower.threshold is None else f" (limit {lower.threshold:.3g})"
        bottom.set(xlabel=time_label, title=lower.title + limit, xlim=(start_s, end_s))
        bottom.set_ylim(bottom=0)
        figure.suptitle(drawable(title), x=0.01, ha="left", parse_math=False)
        save(figure, path)


def drawable(text: str) -> str:
    """The text with `?` for each character that the pictures' font does not have, such as emoji.

    matplotlib would draw a box for it, and print a warning.
    """
    font = get_font(findfont(FontProperties()))
    return "".join(char if char == "\n" or font.get_char_index(ord(char)) else "?" for char in text)


def _set_frequency_ticks(axes: Axes, centres: FloatArray) -> None:
    """Sets ticks at round frequencies on the y axis, which counts bands from 0 to n_mels; they do not overlap."""
    places: dict[float, str] = {}
    for hz in reversed(_TICKS_HZ):
        if centres[0] <= hz <= centres[-1]:
            place = float(np.interp(hz, centres, np.arange(len(centres)) + 0.5))
            if all(abs(place - other) > len(centres) / 16 for other in places):
                places[place] = f"{hz / 1000:g}k" if hz >= 1000 else str(hz)
    axes.set_yticks(list(places), list(places.values()))
    axes.set_ylabel("Hz")


def _draw_contributions(axes: Axes, contribution: FloatArray, threshold: float) -> None:
    """Draws a bar for the contribution of each band: to the right for new sound, to the left for missing sound."""
    places = np.arange(len(contribution)) + 0.5
    axes.barh(places, contribution, height=1.0, color=np.where(contribution < 0, LESS, MORE).tolist(), linewidth=0)
    longest = max(float(np.abs(contribution).max()), _MIN_SCALE * threshold) or 1.0
    axes.set_xlim(-1.1 * longest, 1.1 * longest)
    axes.xaxis.set_major_locator(MaxNLocator(3, symmetric=True))
    axes.axvline(0, color=RULE, linewidth=0.8)
    axes.tick_params(labelleft=False, left=False)
    axes.spines["left"].set_visible(False)
    axes.set_title("adds to the score")
    axes.text(0.02, 0.98, "missing", transform=axes.transAxes, ha="left", va="top", color=LESS)
    axes.text(0.98, 0.98, "new", transform=axes.transAxes, ha="right", va="top", color=MORE)


def save(figure: Figure, path: Path) -> None:
    """Writes a figure atomically, as PNG.

    Raises:
        MonitorError: if the file cannot be written.
    """
    try:
        with atomic_file(path, durable=False) as file:
            figure.savefig(file, dpi=_DPI, format="png")
    except OSError as error:
        raise MonitorError(f"{path}: cannot be written: {error.strerror}.") from None
