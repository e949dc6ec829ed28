"""Draws the plots of training and evaluation."""

from __future__ import annotations

import math
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import matplotlib as mpl
import numpy as np
from matplotlib.axes import Axes
from matplotlib.axis import XAxis, YAxis
from matplotlib.figure import Figure
from matplotlib.ticker import FuncFormatter, LogLocator, MaxNLocator, NullFormatter
from sklearn.metrics import roc_curve

from monitor.bundle.bundle import Bundle
from monitor.core.text import printable
from monitor.outputs.plots import INK, LESS, MORE, RULE, STYLE, LowerPlot, draw, save
from monitor.outputs.rescoring import contributions_of, rescore
from monitor.scoring.recording_score import MeanOfRows, with_peaks
from train.calibration.scored_recordings import ScoredRecording
from train.evaluation.metrics import Labelled, labels_and_scores

if TYPE_CHECKING:
    from train.fitting.checkpoint import Epoch

NORMAL, ANOMALY = LESS, MORE
SHOWN_S = 60.0  # longest part of a recording that is drawn


def loss_over_epochs(history: Sequence[Epoch], path: Path) -> None:
    """Draws the training loss and the held-out loss by epoch."""
    with mpl.rc_context(STYLE):
        figure, axes = _figure()
        epochs = [epoch.epoch for epoch in history]
        axes.plot(epochs, [e.loss for e in history], color=RULE, label="training (with dropout)")
        axes.plot(epochs, [e.held_out_loss for e in history], color=NORMAL, label="held-out recordings")
        axes.set(xlabel="epoch", ylabel="mean squared error", title="Loss", yscale="log")
        _label_plainly(axes.yaxis)
        axes.xaxis.set_major_locator(MaxNLocator(integer=True))
        figure.legend(loc="outside lower center", ncols=2)
        save(figure, path)


def evaluation_plots(bundle: Bundle, files: Sequence[Labelled], metrics: dict[str, Any], folder: Path) -> None:
    """Draws the ROC curve, a histogram of scores, the two worst recordings, a comparison, and simulated alarms.

    What the metrics do not contain is not drawn. The worst recordings are the normal one with the highest score and the
    anomalous one with the lowest.

    Args:
        bundle: the model.
        files: scored recordings.
        metrics: of `train.evaluation.metrics.metrics`, with `compared` and `streams` as `evaluate` adds them.
        folder: where the PNG files are written.
    """
    anomaly, scores = labels_and_scores(files)
    scored = [file for file in files if not math.isnan(file.recording.comparable)]
    with mpl.rc_context(STYLE):
        if metrics["auc"] is not None:
            _roc(anomaly, scores, metrics, folder / "roc.png")
        if len(scores):
            _histogram(bundle, anomaly, scores, metrics, folder / "scores.png")
        if "compared" in metrics:
            _comparison(metrics["compared"], folder / "comparison.png")
        if "streams" in metrics:
            _streams(metrics["streams"], folder / "streams.png")
        for name, what, anomalous, choose in (
            ("worst_false_alarm", "Normal recording with the highest score", False, max),
            ("worst_miss", "Anomalous recording with the lowest score", True, min),
        ):
            if of_label := [file for file in scored if file.anomaly == anomalous]:
                file = choose(of_label, key=lambda one: one.recording.comparable)
                score, limit = file.recording.score, metrics["threshold"] * file.recording.length_factor
                title = f"{what}: {printable(file.name)}, {score:.4g} (limit {limit:.4g})"
                _recording(bundle, file.recording, title, folder / f"{name}.png")


def _roc(anomaly: np.ndarray[Any, Any], scores: np.ndarray[Any, Any], metrics: dict[str, Any], path: Path) -> None:
    figure, axes = _figure(width=4.6)
    fpr, tpr, _ = roc_curve(anomaly, scores)
    axes.plot([0, 1], [0, 1], color=RULE, linewidth=0.8, linestyle=":")
    axes.axvspan(0, 0.1, color=RULE, alpha=0.12, linewidth=0)
    axes.plot(fpr, tpr, color=NORMAL, linewidth=1.6)
    axes.plot(metrics["fpr"], metrics["tpr"], "o", color=ANOMALY)
    rates = "FPR {fpr:.3f}, TPR {tpr:.3f}, F {f1:.3f}".format_map(metrics)
    label = f"limit {metrics['threshold']:.4g}\n{rates}"
    axes.annotate(label, (metrics["fpr"], metrics["tpr"]), (10, -24), textcoords="offset points")
    title = f"ROC: AUC {metrics['auc']:.4f}, pAUC {metrics['pauc']:.4f}"
    axes.set(xlabel="false-positive rate", ylabel="true-positive rate", title=title, aspect="equal")
    axes.set(xlim=(-0.01, 1.01), ylim=(-0.01, 1.01))
    save(figure, path)


def _histogram(
    bundle: Bundle,
    anomaly: np.ndarray[Any, Any],
    scores: np.ndarray[Any, Any],
    metrics: dict[str, Any],
    path: Path,
) -> None:
    figure, axes = _figure()
    limits = {"recordings": metrics["threshold"], "the alarm": bundle.thresholds["score"].value}
    if limits["recordings"] == limits["the alarm"]:
        del limits["the alarm"]
    shown = np.append(scores, list(limits.values()))
    log = shown.min() > 0 and shown.max() / shown.min() > 20
    bins = (np.geomspace if log else np.linspace)(shown.min(), shown.max() + 1e-12, 40).tolist()
    for values, colour, label in ((scores[~anomaly], NORMAL, "normal"), (scores[anomaly], ANOMALY, "anomalous")):
        if len(values):
            axes.hist(values, bins, color=colour, alpha=0.65, label=f"{label} ({len(values)})")
    for (what, limit), line in zip(limits.items(), ("-", "--"), strict=False):
        axes.axvline(limit, color=INK, linewidth=1, linestyle=line, label=f"limit of {what} {limit:.4g}")
    axes.set(xlabel=f"score of a recording ({metrics['score']})", ylabel="recordings", title="Scores")
    axes.yaxis.set_major_locator(MaxNLocator(integer=True))
    if log:
        axes.set_xscale("log")
        _label_plainly(axes.xaxis)
    figure.legend(loc="outside lower center", ncols=4)
    save(figure, path)


def _comparison(rows: Sequence[dict[str, Any]], path: Path) -> None:
    """Draws AUC and partial AUC of each score."""
    figure, axes = _figure()
    places = np.arange(len(rows))[::-1]
    for key, label, colour, offset in (("auc", "AUC", NORMAL, 0.2), ("pauc", "pAUC (FPR up to 0.1)", RULE, -0.2)):
        values = [row[key] for row in rows]
        bars = axes.barh(places + offset, values, height=0.36, color=colour, label=label)
        axes.bar_label(bars, fmt="%.3f", padding=3)
    axes.axvline(0.5, color=INK, linewidth=0.8, linestyle=":", label="chance")
    axes.set_yticks(places, [row["score"] for row in rows])
    axes.set(xlim=(0, 1.12), xticks=[0, 0.25, 0.5, 0.75, 1], title="Comparison of scores")
    figure.legend(loc="outside lower center", ncols=3)
    save(figure, path)


def _streams(figures: dict[str, Any], path: Path) -> None:
    """Draws the false alarms a day beside their budget, and which share of faults is reported after which time."""
    faults = figures.get("faults")
    figure = Figure(figsize=(9.0 if faults else 5.0, 3.6), layout="constrained")
    columns = 2 if faults else 1
    left = figure.add_subplot(1, columns, 1)
    found = (
        (f"found in {figures['hours']:.3g} h", figures["false_alarms_per_day"], ANOMALY),
        ("at most (95 %)", figures["false_alarms_per_day_upper"], RULE),
        ("budget", figures["budget_per_day"], NORMAL),
    )
    bars = left.barh([name for name, _, _ in found], [n for _, n, _ in found], color=[c for _, _, c in found])
    left.bar_label(bars, fmt="%.3g", padding=3)
    left.invert_yaxis()
    left.margins(x=0.2)
    left.set(xlabel="false alarms a day", title="False alarms in normal sound")
    if faults:
        delays = np.sort(faults["delays_s"])
        axes = figure.add_subplot(1, columns, 2)
        reported = 100 * np.arange(1, len(delays) + 1) / max(faults["faults"], 1)
        axes.step(np.r_[0.0, delays, faults["seconds"]], np.r_[0.0, reported, reported[-1:]], where="post", color=INK)
        title = f"{faults['reported']} of {faults['faults']} faults reported"
        axes.set(xlabel="seconds after the fault began", ylabel="faults reported, %", title=title)
        axes.set(xlim=(0, faults["seconds"]), ylim=(0, 103))
    save(figure, path)


def _label_plainly(axis: XAxis | YAxis) -> None:
    """Labels a logarithmic axis with plain numbers: at 1, 2 and 5 of each decade, or at all digits of a short axis."""
    low, high = axis.get_view_interval()
    digits = (1, 2, 5) if high > 10 * low else range(1, 10)
    axis.set_major_locator(LogLocator(subs=[float(digit) for digit in digits]))
    axis.set_major_formatter(FuncFormatter(lambda value, _: f"{value:g}"))
    axis.set_minor_formatter(NullFormatter())


def _recording(bundle: Bundle, recording: ScoredRecording, title: str, path: Path) -> None:
    """Draws a recording, at most its first minute: spectrogram, reconstruction error, and contributions of bands."""
    config = bundle.config
    rescored = rescore(bundle, np.array(recording.frames.power[: int(SHOWN_S / config.features.hop_s)]))
    threshold = bundle.thresholds["error"].value if config.score.recording == "max" else None
    lower = LowerPlot("reconstruction error of each window", rescored.error, threshold)
    mean = MeanOfRows(bundle.layout)
    mean.push(with_peaks(rescored.rows, rescored.means))
    contribution = contributions_of(bundle, mean.mean(), whole=True)
    limit = bundle.thresholds["recording"].value * recording.length_factor
    draw(bundle, rescored, contribution, limit, lower, title, path)


def _figure(width: float = 7.0) -> tuple[Figure, Axes]:
    figure = Figure(figsize=(width, 4), layout="constrained")
    return figure, figure.subplots()
