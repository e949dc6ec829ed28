"""What training, evaluation and calibration came to, in a few lines for a person."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

from monitor.bundle import Bundle
from monitor.words import counted


def as_json(metrics: dict[str, Any]) -> str:
    """The metrics as JSON text."""
    return json.dumps(metrics, indent=2, allow_nan=False)


def training_summary(metrics: dict[str, Any], out: Path) -> str:
    """What a training came to, and what to do next."""
    return "\n".join(
        (
            f"Trained on {counted(metrics['train_recordings'], 'recording')}, calibrated on "
            f"{metrics['held_out_recordings']} held out. Held-out loss {metrics['held_out_loss']:.4f}.",
            evaluation_summary(metrics),
            f"Model, figures and pictures are in {out}. Next:\n  monitor replay {out / 'model.safetensors'} FILE.wav",
        )
    )


def evaluation_summary(metrics: dict[str, Any]) -> str:
    """AUC, pAUC and the rates at the threshold."""
    counts = f"{metrics['n_normal']} normal and {counted(metrics['n_anomaly'], 'anomalous recording')}"
    lines = [f"Score {metrics['score']}, {counts}."]
    if metrics["auc"] is not None:
        lines.append(f"AUC {metrics['auc']:.4f}   pAUC {metrics['pauc']:.4f} (FPR up to 0.1)")
    at = f"At the threshold {metrics['threshold']:.4g} (from {_method(metrics['threshold_method'])})"
    lines.append(f"{at}: {_rates(metrics)}")
    if "at_fpr" in metrics:
        chosen = metrics["at_fpr"]
        lines.append(f"Where the FPR is nearest {chosen['wanted']:g}, at {chosen['threshold']:.4g}: {_rates(chosen)}")
    return "\n".join(lines)


def calibration_summary(before: Bundle, after: Bundle, path: Path) -> str:
    """Old and new thresholds, and how the new ones were found."""
    old, new = before.thresholds, after.thresholds
    basis = new["score"]
    return (
        f"Threshold of the stream: {old['score'].value:.4g} -> {new['score'].value:.4g} ({basis.note}).\n"
        f"Threshold of a recording: {old['recording'].value:.4g} -> {new['recording'].value:.4g} "
        f"({new['recording'].note}).\n"
        f"Written to {path}."
    )


def _rates(figures: dict[str, Any]) -> str:
    names = (("FPR", "fpr"), ("TPR", "tpr"), ("F", "f1"))
    return ", ".join(f"{name} {figures[key]:.3f}" for name, key in names if figures[key] is not None)


def _method(method: str) -> str:
    return "normal sound alone" if method == "normal" else "labelled recordings"
