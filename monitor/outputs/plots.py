"""A picture of some sound as a model hears it: spectrogram, reconstruction, and what each band adds to the score.

Drawn with matplotlib's objects alone, without pyplot, so that any thread can.
"""

from __future__ import annotations

import os
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import matplotlib as mpl
import numpy as np
import torch
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.ticker import MaxNLocator
from numpy.typing import NDArray
from torch import Tensor

from monitor.bundle.bundle import Bundle
from monitor.core.errors import MonitorError
from monitor.scoring.attribution import band_scores
from monitor.features.mel import WindowStream, band_centres
from monitor.model.autoencoder import Inference
from monitor.core.snapshot import FloatArray
from monitor.streaming.stream import BATCH, ScoreStream

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
_ROUND_HZ = (31, 63, 125, 250, 500, 1000, 2000, 4000, 8000, 16000)
_LEAST = 0.15  # of the threshold: what a band's bar of full length stands for at least
_DPI = 130
_COLUMNS = 940  # about the pixels of a spectrogram


@dataclass(frozen=True, slots=True)
class Heard:
    """What a model made of some mel frames, a row for each of them."""

    seen: FloatArray  # (T, n_mels) as recorded, in dB (or power, where the model sees power)
    reconstructed: FloatArray  # (T, n_mels) the same unit
    error: NDArray[np.float64]  # (T,) reconstruction error of each window
    score: NDArray[np.float64]  # (T,) anomaly score, NaN before the first
    rows: Tensor  # (T, row_width) of each window
    rolling: Tensor  # (T, row_width) what the scores were made of

    def part(self, of: slice) -> Heard:
        """The same of some of the frames."""
        return Heard(
            self.seen[of], self.reconstructed[of], self.error[of], self.score[of], self.rows[of], self.rolling[of]
        )


@torch.inference_mode()
def hear(bundle: Bundle, power: FloatArray) -> Heard:
    """Judges power mel frames (T, n_mels) as the monitor does, and keeps what it reconstructs."""
    features, scale = bundle.config.features, bundle.scale().to("cpu")
    frames = torch.from_numpy(power)
    windows, model = WindowStream(features.window_frames, features.n_mels), Inference(bundle.model.cpu().eval())
    scores, judged = ScoreStream(bundle), []
    pictures: list[Tensor] = []
    own = slice(features.window_frames // 2 * features.n_mels, (features.window_frames // 2 + 1) * features.n_mels)
    for start in range(0, len(frames), BATCH):
        part = frames[None, start : start + BATCH]
        judged.append(scores.push_frames(part))
        pictures.append(model(windows.push(scale(part))[0])[:, own])
    judged.append(scores.flush_frames())
    pictures.append(model(windows.flush()[0])[:, own])
    return Heard(
        scale.unstandardized(frames).numpy(),
        (torch.cat(pictures) * scale.deviation + scale.mean).numpy(),
        torch.cat([s.error[0] for s in judged]).double().numpy(),
        torch.cat([s.score[0] for s in judged]).numpy(),
        torch.cat([s.rows[0] for s in judged]),
        torch.cat([s.rolling[0] for s in judged]),
    )


@dataclass(frozen=True, slots=True)
class Below:
    """What is drawn below the spectrograms: (T,) values over time and, where there is one, their threshold."""

    title: str
    values: NDArray[np.float64]
    threshold: float | None


def draw(
    bundle: Bundle,
    heard: Heard,
    carried: FloatArray,
    reference: float,
    below: Below,
    title: str,
    path: Path,
    *,
    start_s: float = 0.0,
    marked: tuple[float, ...] = (),
    time_label: str = "seconds",
    notes: tuple[str, ...] = (),
) -> None:
    """Writes a picture, as PNG.

    Args:
        bundle: what heard it.
        heard: T frames.
        carried: (n_mels,) what each band adds to the score, as `monitor.scoring.attribution.band_scores` gives it.
        reference: the threshold of that score; bands that add next to nothing to it have short bars.
        below: what to draw below.
        title: above all.
        path: where to write it, whole or not at all.
        start_s: the time of the first frame on the axis.
        marked: times that get a thin line.
        time_label: what the times are counted from.
        notes: lines of text for the corner.

    Raises:
        MonitorError: if the file cannot be written.
    """
    features = bundle.config.features
    end_s = start_s + len(heard.seen) * features.hop_s
    low, high = np.percentile(heard.seen, (1, 99.5))
    with mpl.rc_context(STYLE):
        figure = Figure(figsize=(10, 6.4), layout="constrained")
        grid = figure.add_gridspec(3, 2, width_ratios=(6, 1.7), height_ratios=(3, 3, 2))
        top = figure.add_subplot(grid[0, 0])
        middle, bottom = (figure.add_subplot(grid[i, 0], sharex=top) for i in (1, 2))
        beside = figure.add_subplot(grid[0, 1], sharey=top)
        extent = (start_s, end_s, 0.0, float(features.n_mels))
        for axes, image, name in ((top, heard.seen, "recorded"), (middle, heard.reconstructed, "reconstructed")):
            shown = axes.imshow(
                _columns(image).T, "magma", origin="lower", aspect="auto", vmin=low, vmax=high, extent=extent,
                interpolation="nearest",
            )  # fmt: skip
            _frequencies(axes, band_centres(features).numpy())
            axes.set_title(name)
            axes.tick_params(labelbottom=False)
        _contributions(beside, carried, reference)
        legend, words = (figure.add_subplot(grid[i, 1]) for i in (1, 2))
        for axes in (legend, words):
            axes.set_axis_off()
        unit = "dB" if features.scale == "log" else "power"
        figure.colorbar(shown, cax=legend.inset_axes((0.0, 0.0, 0.07, 1.0)), label=unit)
        words.text(0.0, 1.0, "\n".join(notes), va="top", linespacing=1.5, parse_math=False)
        times = start_s + (np.arange(len(below.values)) + 0.5) * features.hop_s
        bottom.plot(times, below.values, color=INK, linewidth=0.9)
        if below.threshold is not None:
            over = below.values > below.threshold
            bottom.fill_between(times, below.threshold, below.values, where=over, color=MORE, alpha=0.45, linewidth=0)
            bottom.axhline(below.threshold, color=MORE, linewidth=0.9)
        for axes in (top, middle, bottom):
            for at in marked:
                axes.axvline(at, color="white" if axes is not bottom else RULE, linewidth=0.9, linestyle=(0, (4, 3)))
        limit = "" if below.threshold is None else f" (threshold {below.threshold:.3g})"
        bottom.set(xlabel=time_label, title=below.title + limit, xlim=(start_s, end_s))
        bottom.set_ylim(bottom=0)
        figure.suptitle(title, x=0.01, ha="left", parse_math=False)
        save(figure, path)


def _columns(image: FloatArray) -> FloatArray:
    """Frames (T, n_mels) brought to as many columns as can be seen, by their means: matplotlib takes far longer."""
    count = min(len(image), _COLUMNS)
    edges = np.arange(count) * len(image) // count
    sizes = np.diff(edges, append=len(image))[:, None]
    mean: FloatArray = (np.add.reduceat(image, edges, axis=0) / sizes).astype(np.float32)
    return mean


def _frequencies(axes: Axes, centres: FloatArray) -> None:
    """Round frequencies on the y axis of bands 0 to n_mels, as far apart as can be read."""
    places: dict[float, str] = {}
    for hz in reversed(_ROUND_HZ):
        if centres[0] <= hz <= centres[-1]:
            place = float(np.interp(hz, centres, np.arange(len(centres)) + 0.5))
            if all(abs(place - other) > len(centres) / 16 for other in places):
                places[place] = f"{hz / 1000:g}k" if hz >= 1000 else str(hz)
    axes.set_yticks(list(places), list(places.values()))
    axes.set_ylabel("Hz")


def _contributions(axes: Axes, carried: FloatArray, reference: float) -> None:
    """What each band adds to the score: to the right what is new, to the left what is missing."""
    places = np.arange(len(carried)) + 0.5
    axes.barh(places, carried, height=1.0, color=np.where(carried < 0, LESS, MORE).tolist(), linewidth=0)
    most = max(float(np.abs(carried).max()), _LEAST * reference) or 1.0
    axes.set_xlim(-1.1 * most, 1.1 * most)
    axes.xaxis.set_major_locator(MaxNLocator(3, symmetric=True))
    axes.axvline(0, color=RULE, linewidth=0.8)
    axes.tick_params(labelleft=False, left=False)
    axes.spines["left"].set_visible(False)
    axes.set_title("adds to the score")
    axes.text(0.02, 0.98, "missing", transform=axes.transAxes, ha="left", va="top", color=LESS)
    axes.text(0.98, 0.98, "new", transform=axes.transAxes, ha="right", va="top", color=MORE)


def carried_by(bundle: Bundle, mean_row: Tensor, *, whole: bool = False) -> FloatArray:
    """What each band (n_mels,) adds to the score of a mean row (row_width,)."""
    scorer = bundle.scorer()
    share, more = scorer.shares(mean_row, whole=whole)
    return band_scores(share, more, float(scorer(mean_row, whole=whole)))


def save(figure: Figure, path: Path) -> None:
    """Writes a figure as PNG, whole or not at all.

    Raises:
        MonitorError: if it cannot be written.
    """
    temporary = path.with_name(f".{path.name}.{os.getpid()}.tmp")
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        figure.savefig(temporary, dpi=_DPI, format="png")
        temporary.replace(path)
    except OSError as error:
        raise MonitorError(f"{path}: cannot be written: {error.strerror}.") from None
    finally:
        temporary.unlink(missing_ok=True)
