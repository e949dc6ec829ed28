"""Draws the plots of training and evaluation."""

from __future__ import annotations

import math
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import matplotlib as mpl
import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.ticker import MaxNLocator
from sklearn.metrics import roc_curve

from monitor.bundle.bundle import Bundle
from monitor.core.text import printable
from monitor.outputs.plots import INK, LESS, MORE, RULE, STYLE, LowerPlot, contributions_of, draw, rescore, save
from train.calibration.thresholds import ScoredRecording
from train.evaluation.metrics import Labelled, labels_and_scores
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
        axes.xaxis.set_major_locator(MaxNLocator(integer=True))
        axes.legend()
        save(figure, path)


def evaluation_plots(bundle: Bundle, files: Sequence[Labelled], metrics: dict[str, Any], folder: Path) -> None:
    """Draws the ROC curve, a histogram of scores, and the recordings with the lowest and the highest score.

    Args:
        bundle: the model.
        files: scored recordings.
        metrics: of `train.evaluation.metrics.metrics`.
        folder: where the PNG files are written.
    """
    anomaly, scores = labels_and_scores(files)
    with mpl.rc_context(STYLE):
        if metrics["auc"] is not None:
            _roc(anomaly, scores, metrics, folder / "roc.png")
        if len(scores):
            _histogram(anomaly, scores, metrics, folder / "scores.png")
        scored = sorted((f for f in files if not math.isnan(f.recording.score)), key=lambda f: f.recording.score)
        for name, file in zip(("least", "most"), (scored[0], scored[-1]) if scored else (), strict=False):
            what = f"{printable(file.name)} ({file.label}), score {file.recording.score:.4g}"
            title = f"{name.capitalize()} unusual recording: {what}"
            _recording(bundle, file.recording, title, folder / f"{name}_unusual.png")


def _roc(anomaly: np.ndarray[Any, Any], scores: np.ndarray[Any, Any], metrics: dict[str, Any], path: Path) -> None:
    figure, axes = _figure(width=4.6)
    fpr, tpr, _ = roc_curve(anomaly, scores)
    axes.plot([0, 1], [0, 1], color=RULE, linewidth=0.8, linestyle=":")
    axes.axvspan(0, 0.1, color=RULE, alpha=0.12, linewidth=0)
    axes.plot(fpr, tpr, color=NORMAL, linewidth=1.6)
    axes.plot(metrics["fpr"], metrics["tpr"], "o", color=ANOMALY)
    rates = "FPR {fpr:.3f}, TPR {tpr:.3f}, F {f1:.3f}".format_map(metrics)
    label = f"threshold {metrics['threshold']:.4g}\n{rates}"
    axes.annotate(label, (metrics["fpr"], metrics["tpr"]), (10, -24), textcoords="offset points")
    title = f"ROC: AUC {metrics['auc']:.4f}, pAUC {metrics['pauc']:.4f}"
    axes.set(xlabel="false-positive rate", ylabel="true-positive rate", title=title, aspect="equal")
    axes.set(xlim=(-0.01, 1.01), ylim=(-0.01, 1.01))
    save(figure, path)


def _histogram(
    anomaly: np.ndarray[Any, Any], scores: np.ndarray[Any, Any], metrics: dict[str, Any], path: Path
) -> None:
    figure, axes = _figure()
    shown = np.append(scores, metrics["threshold"])
    log = shown.min() > 0 and shown.max() / shown.min() > 20
    bins = (np.geomspace if log else np.linspace)(shown.min(), shown.max() + 1e-12, 40).tolist()
    for values, colour, label in ((scores[~anomaly], NORMAL, "normal"), (scores[anomaly], ANOMALY, "anomalous")):
        if len(values):
            axes.hist(values, bins, color=colour, alpha=0.65, label=f"{label} ({len(values)})")
    axes.axvline(metrics["threshold"], color=INK, linewidth=1, label=f"threshold {metrics['threshold']:.4g}")
    axes.set(xlabel=f"score of a recording ({metrics['score']})", ylabel="recordings", title="Scores")
    if log:
        axes.set_xscale("log")
    axes.legend()
    save(figure, path)


def _recording(bundle: Bundle, recording: ScoredRecording, title: str, path: Path) -> None:
    """Draws a recording, at most its first minute: spectrogram, reconstruction error, and contributions of bands."""
    config = bundle.config
    rescored = rescore(bundle, np.array(recording.frames.power[: int(SHOWN_S / config.features.hop_s)]))
    threshold = bundle.thresholds["error"].value if config.score.recording == "max" else None
    lower = LowerPlot("reconstruction error of each window", rescored.error, threshold)
    contribution = contributions_of(bundle, rescored.rows.mean(axis=0, dtype=np.float64), whole=True)
    draw(bundle, rescored, contribution, bundle.thresholds["recording"].value, lower, title, path)


def _figure(width: float = 7.0) -> tuple[Figure, Axes]:
    figure = Figure(figsize=(width, 4), layout="constrained")
    return figure, figure.subplots()
