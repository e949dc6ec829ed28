"""The pictures that training and evaluation leave behind."""

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
from monitor.outputs.plots import INK, LESS, MORE, RULE, STYLE, Below, carried_by, draw, hear, save
from monitor.core.text import printable
from train.calibration.thresholds import ScoredRecording
from train.fitting.checkpoint import Epoch
from train.evaluation.metrics import Labelled, labels_and_scores

NORMAL, ANOMALY = LESS, MORE
SHOWN_S = 60.0  # of a long recording


def loss_over_epochs(history: Sequence[Epoch], path: Path) -> None:
    """The training loss and the held-out loss by epoch."""
    with mpl.rc_context(STYLE):
        figure, axes = _one()
        epochs = [epoch.epoch for epoch in history]
        axes.plot(epochs, [e.loss for e in history], color=RULE, label="training (with dropout)")
        axes.plot(epochs, [e.held_out_loss for e in history], color=NORMAL, label="held-out recordings")
        axes.set(xlabel="epoch", ylabel="mean squared error", title="Loss", yscale="log")
        axes.xaxis.set_major_locator(MaxNLocator(integer=True))
        axes.legend()
        save(figure, path)


def pictures(bundle: Bundle, files: Sequence[Labelled], metrics: dict[str, Any], folder: Path) -> None:
    """ROC, histogram of scores, and the best and the worst recording in detail, as PNG files in `folder`."""
    anomaly, scores = labels_and_scores(files)
    with mpl.rc_context(STYLE):
        if metrics["auc"] is not None:
            _roc(anomaly, scores, metrics, folder / "roc.png")
        if len(scores):
            _histogram(anomaly, scores, metrics, folder / "scores.png")
        scored = sorted((f for f in files if not math.isnan(f.recording.score)), key=lambda f: f.recording.score)
        for name, file in zip(("best", "worst"), (scored[0], scored[-1]) if scored else (), strict=False):
            what = f"{printable(file.name)} ({file.label}), score {file.recording.score:.4g}"
            _recording(bundle, file.recording, f"{name.capitalize()} recording: {what}", folder / f"{name}.png")


def _roc(anomaly: np.ndarray[Any, Any], scores: np.ndarray[Any, Any], metrics: dict[str, Any], path: Path) -> None:
    figure, axes = _one(width=4.6)
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
    figure, axes = _one()
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
    """(The first minute of) one recording as the model hears it."""
    config = bundle.config
    heard = hear(bundle, np.array(recording.frames.power[: int(SHOWN_S / config.features.hop_s)]))
    threshold = bundle.thresholds["error"].value if config.score.recording == "max" else None
    below = Below("reconstruction error of each window", heard.error, threshold)
    carried = carried_by(bundle, heard.rows.double().mean(dim=0), whole=True)
    draw(bundle, heard, carried, bundle.thresholds["recording"].value, below, title, path)


def _one(width: float = 7.0) -> tuple[Figure, Axes]:
    figure = Figure(figsize=(width, 4), layout="constrained")
    return figure, figure.subplots()
