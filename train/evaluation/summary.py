"""What training, evaluation and calibration came to, in a few lines for a person."""

from __future__ import annotations

import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from monitor.bundle.bundle import Bundle
from monitor.core.text import counted, heard


def as_json(metrics: dict[str, Any]) -> str:
    """The metrics as JSON text."""
    return json.dumps(metrics, indent=2, allow_nan=False)


def training_summary(metrics: dict[str, Any], bundle: Bundle, out: Path) -> str:
    """What a training came to, and what to do next."""
    return "\n".join(
        (
            f"Trained on {counted(metrics['train_recordings'], 'recording')}, calibrated on "
            f"{metrics['held_out_recordings']} held out. Held-out loss {metrics['held_out_loss']:.4f}.",
            evaluation_summary(metrics),
            f"The alarm: {bundle.thresholds['score'].note}. {sureness(bundle)}",
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
    lines += _comparison(metrics.get("compared", ()))
    lines += _streams(metrics["streams"]) if "streams" in metrics else []
    return "\n".join(lines)


def _comparison(rows: Sequence[dict[str, Any]]) -> list[str]:
    if not rows:
        return []
    width = max(len(row["score"]) for row in rows)
    lines = [f"{'score':<{width}}     AUC    pAUC  AUC of any window"]
    for row in rows:
        any_window = "-" if row["auc_of_any_window"] is None else f"{row['auc_of_any_window']:.3f}"
        lines.append(f"{row['score']:<{width}}   {row['auc']:.3f}   {row['pauc']:.3f}  {any_window}")
    return lines


def _streams(figures: dict[str, Any]) -> list[str]:
    lines = [
        f"In {figures['hours']:.3g} h of {counted(figures['normal_recordings'], 'normal recording')} in random order: "
        f"{counted(figures['false_alarms'], 'false alarm')}, {figures['false_alarms_per_hour']:.3g} an hour, "
        f"{figures['false_alarms_per_day']:.3g} a day (budget {figures['budget_per_day']:g}; at most "
        f"{figures['false_alarms_per_day_upper']:.3g}, with 95 % confidence)."
    ]
    if faults := figures.get("faults"):
        clear = f"Of {counted(faults['faults'], 'fault')} of {faults['seconds']:g} s, {faults['missed']} missed"
        if faults["told"]:
            clear += (
                f"; the others told after {faults['median_delay_s']:.1f} s in the median, "
                f"{faults['p95_delay_s']:.1f} s at 95 %"
            )
        lines.append(f"{clear}.")
    return lines


def sureness(bundle: Bundle) -> str:
    """How sure the number of false alarms is, and what it would take to be sure."""
    threshold = bundle.thresholds["score"]
    if threshold.upper is None or threshold.more_s is None:
        return ""
    if threshold.more_s == 0:
        return f"The normal sound itself shows, with 95 % confidence, at most {threshold.upper:.2g} false alarms a day."
    minutes = threshold.more_s / 60
    more = f"{minutes:.0f} minutes" if minutes < 600 else f"{minutes:.0f} minutes ({minutes / 60:.0f} hours)"
    upper = f"{threshold.upper:,.0f}" if threshold.upper >= 10 else f"{threshold.upper:.2g}"
    return (
        f"That is an estimate: {heard(threshold.seconds)} of normal sound alone only show that there are at most "
        f"{upper} a day (95 % confidence). To be as sure of {threshold.expected:g} it takes {more} more without an "
        "alarm: monitor calibrate."
    )


def calibration_summary(before: Bundle, after: Bundle, path: Path) -> str:
    """Old and new thresholds, and how the new ones were found."""
    old, new = before.thresholds, after.thresholds
    basis = new["score"]
    return (
        f"Threshold of the stream: {old['score'].value:.4g} -> {new['score'].value:.4g} ({basis.note}).\n"
        f"Threshold of a recording: {old['recording'].value:.4g} -> {new['recording'].value:.4g} "
        f"({new['recording'].note}).\n"
        f"{sureness(after)}\n"
        f"Written to {path}."
    )


def _rates(figures: dict[str, Any]) -> str:
    names = (("FPR", "fpr"), ("TPR", "tpr"), ("F", "f1"))
    return ", ".join(f"{name} {figures[key]:.3f}" for name, key in names if figures[key] is not None)


def _method(method: str) -> str:
    return "normal sound alone" if method == "normal" else "labelled recordings"
