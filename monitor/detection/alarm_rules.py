"""The rules of an alarm: when it decides, and the settings of its times in rows of scores."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from monitor.config import schema
from monitor.core.types import DoubleArray


def kth_of_last(scores: DoubleArray, k: int, n: int) -> DoubleArray:
    """The k-th largest of the last n scores, at each decision: k of n exceed a threshold if this one does.

    Args:
        scores: (m,) scores of successive decisions.

    Returns:
        (m,); -inf for decisions with fewer than k scores up to them.
    """
    padded = np.concatenate((np.full(n - 1, -np.inf), scores))
    last = np.lib.stride_tricks.sliding_window_view(padded, n)
    kth: DoubleArray = np.sort(last, axis=1)[:, n - k]
    return kth


def rows_per_decision(settings: schema.Alarm, hop_s: float) -> int:
    """The number of scores from one decision of the alarm to the next; at least 1."""
    return max(1, round(settings.block_s / hop_s))


def decisions_per_window(window_rows: int, per_decision: int) -> int:
    """The number of decisions from one step of the cumulative sum to the next, so that the scores share no window.

    Args:
        window_rows: number of windows that a score averages over.
        per_decision: number of scores from one decision to the next.
    """
    return -(-window_rows // per_decision)


@dataclass(frozen=True, slots=True)
class Rules:
    """The settings of an alarm, with times as numbers of scores."""

    k: int
    n: int
    release_ratio: float
    per_decision: int  # scores from one decision to the next
    per_window: int  # decisions from one step of the cumulative sum to the next
    run_up: int  # scores after a gap without a decision
    warm_up: int
    hold: int
    release: int
    cool_down: int
    remind: int

    @classmethod
    def of(cls, settings: schema.Alarm, hop_s: float, window_rows: int) -> Rules:
        """The rules of settings.

        Args:
            settings: times, k, n and ratios.
            hop_s: seconds from one score to the next.
            window_rows: number of windows that a score averages over.
        """
        per_decision = rows_per_decision(settings, hop_s)
        rows = {
            name: round(getattr(settings, f"{name}_s") / hop_s)
            for name in ("warm_up", "hold", "release", "cool_down", "remind")
        }
        # For so long the mean after a gap still contains windows from before it.
        run_up = max(round(settings.run_up_s / hop_s), window_rows - 1)
        return cls(
            settings.k, settings.n, settings.release_ratio, per_decision,
            decisions_per_window(window_rows, per_decision), run_up, **rows,
        )  # fmt: skip
