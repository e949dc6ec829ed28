"""What the user is told about sessions: limits that were found with sound of one day do not hold on another."""

from __future__ import annotations

from typing import Any

from monitor.core.text import counted

# Measured on four machines whose normal test recordings were of another session or day: this share of them was above
# a limit made for 10 %, if recordings of the same session were on both sides of the cross-validation.
ELSEWHERE = "39 to 69 %"
SURE = 1e-3  # probability by chance, below which normal test recordings certainly differ from those of the training


def note_on_sessions(sessions: dict[str, Any] | None) -> str:
    """A sentence on how many sessions the normal sound of a model is of, with advice; "" if nothing is known.

    Args:
        sessions: of the model's provenance: `count`, `days` and `evidence`, as in `train.data.sessions.Sessions`.
    """
    if not sessions:
        return ""
    count, days, evidence = sessions["count"], sessions["days"], sessions["evidence"]
    if evidence == "names":
        return (
            "These recordings do not say when they were made, so limits are set as if all were of one session. If they "
            "are, record on other days, too: on other machines, limits from one session were too low for the next one. "
            "Dates in the names (2026-03-02_0815.wav) let whole days be left out."
        )
    if count == 1:
        return (
            "All of this sound is of one session: do not expect its limits to hold on another day. On other machines, "
            f"{ELSEWHERE} of the next session's normal recordings were above a limit that 10 % should exceed. Record "
            "on other days, too."
        )
    of_days = f" on {counted(days, 'day')}" if days else ""
    more = "" if count >= 3 else " Two are few: record on a third day, too."
    return f"Limits were set by leaving out whole sessions, of {count}{of_days} ({evidence}).{more}"


def note_on_test(metrics: dict[str, Any]) -> str:
    """A sentence if far more normal test recordings are above the limit than it allows, otherwise "".

    Args:
        metrics: of `train.evaluation.metrics`.
    """
    allowed, count = metrics.get("expected_fpr"), metrics["n_normal"]
    if metrics["fpr"] is None or not allowed or not count:
        return ""
    if metrics["fpr"] <= 2 * allowed:
        return ""
    from scipy import stats

    above = round(metrics["fpr"] * count)
    if stats.binom.sf(above - 1, count, allowed) > SURE:
        return ""
    return (
        f"The normal test recordings differ from those that the limits are from: {above} of {count} are above a limit "
        f"that {100 * allowed:.0f} % should exceed. They are probably of another session or day: add sound of that day "
        "to the training, or calibrate with it."
    )
