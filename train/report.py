"""The pictures that training and evaluation leave behind."""

from __future__ import annotations

import math
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import matplotlib as mpl
import numpy as np
import torch
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.ticker import MaxNLocator
from sklearn.metrics import roc_curve

from monitor.bundle import Bundle
from monitor.errors import MonitorError
from monitor.features import WindowStream, band_centres
from monitor.scoring import band_errors
from monitor.words import printable
from train.calibrate import ScoredRecording
from train.checkpoint import Epoch
from train.evaluate import Labelled, labels_and_scores

NORMAL, ANOMALY, INK, RULE = "#3a7ca5", "#d1495b", "#22303c", "#8a97a3"
SHOWN_S = 60.0  # of a long recording
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
        _save(figure, path)


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
    _save(figure, path)


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
    _save(figure, path)


def _recording(bundle: Bundle, recording: ScoredRecording, title: str, path: Path) -> None:
    """Spectrogram, reconstruction and error over time of (the first minute of) one recording."""
    features = bundle.config.features
    power = torch.from_numpy(np.array(recording.frames.power[: int(SHOWN_S / features.hop_s)]))
    seen, reconstructed, error = _reconstruct(bundle, power)
    seconds = len(power) * features.hop_s
    figure = Figure(figsize=(8, 5.4), layout="constrained")
    top, middle, bottom = figure.subplots(3, 1, sharex=True, height_ratios=(3, 3, 2))
    low, high = np.percentile(seen, (1, 99.5))
    centres = band_centres(features)
    for axes, image, name in ((top, seen, "recorded"), (middle, reconstructed, "reconstructed")):
        image_shown = axes.imshow(image.T, "magma", origin="lower", aspect="auto", vmin=low, vmax=high,
                                  extent=(0.0, seconds, 0.0, float(features.n_mels)))  # fmt: skip
        ticks = np.linspace(0, features.n_mels - 1, 5).round().astype(int)
        axes.set_yticks(ticks + 0.5, [f"{centres[i]:.0f}" for i in ticks])
        axes.set(ylabel="Hz", title=name)
        figure.colorbar(image_shown, ax=axes, label="dB" if features.scale == "log" else "power", pad=0.01)
    bottom.plot(np.arange(len(error)) * features.hop_s, error, color=NORMAL, linewidth=0.8)
    if bundle.config.score.recording == "max":
        bottom.axhline(bundle.thresholds["error"].value, color=ANOMALY, linewidth=0.8)
    bottom.set(xlabel="seconds", ylabel="error", title="reconstruction error of each window")
    bottom.set_ylim(bottom=0)
    figure.suptitle(title, x=0.01, ha="left")
    _save(figure, path)


@torch.inference_mode()
def _reconstruct(bundle: Bundle, power: torch.Tensor) -> tuple[Any, Any, Any]:
    """Frames as recorded and as reconstructed (T, n_mels), in dB or power, and the error of each window (T,)."""
    features, scale = bundle.config.features, bundle.scale().to("cpu")
    stream = WindowStream(features.window_frames, features.n_mels)
    scaled = scale(power)[None]
    windows = torch.cat((stream.push(scaled), stream.flush()), dim=1)[0]
    output = bundle.model.cpu()(windows)
    error = band_errors(windows, output, features.n_mels)[1].mean(dim=1)
    # Of each window the frame it is about: the one after its first half.
    middle = output.unflatten(1, (-1, features.n_mels))[:, features.window_frames // 2]
    return scale.unstandardized(power).numpy(), (middle * scale.deviation + scale.mean).numpy(), error.numpy()


def _one(width: float = 7.0) -> tuple[Figure, Axes]:
    figure = Figure(figsize=(width, 4), layout="constrained")
    return figure, figure.subplots()


def _save(figure: Figure, path: Path) -> None:
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        figure.savefig(path, dpi=130)
    except OSError as error:
        raise MonitorError(f"{path}: cannot be written: {error.strerror}.") from None
