"""Summarises the results of training, evaluation and calibration in a few lines for the user."""

from __future__ import annotations

import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from monitor.bundle.bundle import Bundle
from monitor.core.text import counted, duration_text, printable
from monitor.dashboard.render.formatting import span
from monitor.scoring.score_parts import SCORE_TITLES
from train.evaluation.session_notes import note_on_sessions, note_on_test


def as_json(metrics: dict[str, Any]) -> str:
    """The metrics as JSON text."""
    return json.dumps(metrics, indent=2, allow_nan=False)


def training_summary(metrics: dict[str, Any], bundle: Bundle, out: Path) -> str:
    """The results of a training, and the next command."""
    return "\n".join(
        (
            f"Trained on {counted(metrics['train_recordings'], 'recording')}, calibrated on "
            f"{metrics['held_out_recordings']} held out. Held-out loss {metrics['held_out_loss']:.4f}.",
            evaluation_summary(metrics),
            *limits_summary(bundle),
            f"Model, figures and pictures are in {out}. Next:\n  monitor replay {out / 'model.safetensors'} FILE.wav",
        )
    )


def limits_summary(bundle: Bundle) -> list[str]:
    """Both limits, how sure they are, and the normal recordings that raise them."""
    score, recording = bundle.thresholds["score"], bundle.thresholds["recording"]
    lines = [f"Limit of the alarm: {score.value:.4g} ({score.note})."]
    if sentence := certainty(bundle):
        lines.append(sentence)
    lines.append(f"Limit of a recording as a whole: {recording.value:.4g} ({recording.note}).")
    if bundle.precision != "float32":
        lines.append(f"Both limits were made with the network computed in {bundle.precision}.")
    if sentence := note_on_sessions(bundle.provenance.get("sessions")):
        lines.append(sentence)
    set_by = bundle.provenance.get("limits_set_by", {})
    for name, what, at in (("score", "the alarm's", "at"), ("recording", "the recordings'", "from")):
        if rows := set_by.get(name):
            lines.append(f"Normal sound that raises {what} limit most:")
            lines += [f"  {value:<8.4g} {printable(file)} {at} {span(at_s)}" for file, at_s, value in rows]
    if set_by:
        lines.append("If something else than the machine is heard there, leave these recordings out, and repeat.")
    return lines


def evaluation_summary(metrics: dict[str, Any]) -> str:
    """The number of recordings above the limit; with labels also AUC, pAUC and the rates at the limit."""
    counts = f"{metrics['n_normal']} normal and {counted(metrics['n_anomaly'], 'anomalous recording')}"
    lines = [f"Method: {SCORE_TITLES.get(metrics['score'], metrics['score'])}. {counts}."]
    if metrics["auc"] is not None:
        lines.append(f"AUC {metrics['auc']:.4f}   pAUC {metrics['pauc']:.4f} (FPR up to 0.1)")
    if too_short := metrics["n_too_short"]:
        lines.append(f"Too short to judge as a whole, and not counted: {counted(too_short, 'recording')}.")
    lines += _at_limit(metrics)
    if "at_fpr" in metrics:
        chosen = metrics["at_fpr"]
        lines.append(f"Where the FPR is nearest {chosen['wanted']:g}, at {chosen['threshold']:.4g}: {_rates(chosen)}")
    lines += _comparison(metrics.get("compared", ()), metrics["score"])
    lines += _streams(metrics["streams"]) if "streams" in metrics else []
    return "\n".join(lines)


def _at_limit(metrics: dict[str, Any]) -> list[str]:
    """The number of recordings above the limit, with labels also the rates."""
    source = "normal sound alone" if metrics["threshold_method"] == "normal" else "labelled recordings"
    lines = [f"Limit of a recording: {metrics['threshold']:.4g}, from {source}."]
    for label, rate, count in (("normal", "fpr", "n_normal"), ("anomalous", "tpr", "n_anomaly")):
        if metrics[rate] is not None:
            above = round(metrics[rate] * metrics[count])
            lines.append(f"{label.capitalize()} recordings above the limit: {above} of {metrics[count]}.")
    if metrics["n_anomaly"] and metrics["n_normal"]:
        lines.append(f"That is {_rates(metrics)}.")
    if sentence := note_on_test(metrics):
        lines.append(sentence)
    return lines


def _comparison(rows: Sequence[dict[str, Any]], kind: str) -> list[str]:
    if not rows:
        return []
    from train.evaluation.baselines import network_adds_nothing

    width = max(len(row["score"]) for row in rows)
    lines = [f"{'score':<{width}}     AUC    pAUC  AUC of any window"]
    for row in rows:
        any_window = "-" if row["auc_of_any_window"] is None else f"{row['auc_of_any_window']:.3f}"
        lines.append(f"{row['score']:<{width}}   {row['auc']:.3f}   {row['pauc']:.3f}  {any_window}")
    if network_adds_nothing(rows, kind):
        lines.append("The autoencoder adds nothing here: the spectrum alone is as good.")
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
        if faults["reported"]:
            clear += (
                f"; the others reported after {faults['median_delay_s']:.1f} s in the median, "
                f"{faults['p95_delay_s']:.1f} s at 95 %"
            )
        lines.append(f"{clear}.")
    return lines


def certainty(bundle: Bundle) -> str:
    """The upper bound of the false alarms a day, and how much normal sound would prove the budget."""
    threshold = bundle.thresholds["score"]
    if threshold.upper is None or threshold.more_s is None:
        return ""
    if threshold.more_s == 0:
        return f"The normal sound itself shows, with 95 % confidence, at most {threshold.upper:.2g} false alarms a day."
    more = (
        f"{threshold.more_s / 3600:.0f} hours" if threshold.more_s >= 7200 else f"{threshold.more_s / 60:.0f} minutes"
    )
    upper = f"{threshold.upper:,.0f}" if threshold.upper >= 10 else f"{threshold.upper:.2g}"
    return (
        f"That is an estimate: {duration_text(threshold.seconds)} of normal sound alone only prove at most {upper} a "
        f"day (95 % confidence). Calibrate with {more} more; until then expect some false alarms: monitor calibrate."
    )


def calibration_summary(before: Bundle, after: Bundle, path: Path) -> str:
    """The old limits, the new ones and what they are based on."""
    old = before.thresholds
    lines = [
        f"Until now: limit of the alarm {old['score'].value:.4g}, of a recording {old['recording'].value:.4g}.",
        *limits_summary(after),
        f"Written to {path}.",
    ]
    return "\n".join(lines)


def _rates(figures: dict[str, Any]) -> str:
    names = (("FPR", "fpr"), ("TPR", "tpr"), ("F-score", "f1"))
    return ", ".join(f"{name} {figures[key]:.3f}" for name, key in names if figures[key] is not None)
