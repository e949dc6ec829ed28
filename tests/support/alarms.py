"""Alarms with times given in rows, and what they report."""

from __future__ import annotations

import math
from collections.abc import Sequence

import numpy as np

from monitor.config import schema
from monitor.detection.alarm import Alarm
from monitor.detection.cusum import Limits

HOP_S = 0.01
THRESHOLD = 10.0
USUAL = np.arange(1, 100) / 10  # 99 normal scores, 0.1 to 9.9: the p-value of 9.95 is 1 %, that of 5.05 one half
NO_CUSUM = math.inf


def alarm(
    *,
    block: int = 1,
    k: int = 1,
    n: int = 1,
    warm_up: int = 0,
    run_up: int = 0,
    hold: int = 0,
    release: int = 1,
    ratio: float = 0.8,
    cool_down: int = 0,
    remind: int = 10_000,
    limit: float = NO_CUSUM,
    window: int = 1,
    normal_scores: np.ndarray = USUAL,
) -> Alarm:
    """An alarm with times given in rows."""
    of_alarm = alarm_settings(
        block=block, k=k, n=n, warm_up=warm_up, run_up=run_up, hold=hold, release=release, ratio=ratio,
        cool_down=cool_down, remind=remind,
    )  # fmt: skip
    return Alarm(of_alarm, Limits(THRESHOLD, limit, normal_scores), HOP_S, window)


def alarm_settings(
    *,
    block: int = 1,
    k: int = 1,
    n: int = 1,
    warm_up: int = 0,
    run_up: int = 0,
    hold: int = 0,
    release: int = 1,
    ratio: float = 0.8,
    cool_down: int = 0,
    remind: int = 10_000,
) -> schema.Alarm:
    """Settings with times given in rows."""
    times = {
        "block": block, "warm_up": warm_up, "run_up": run_up, "hold": hold, "release": release, "cool_down": cool_down,
    }  # fmt: skip
    return schema.Alarm(
        **{f"{name}_s": rows * HOP_S for name, rows in times.items()},
        **{"k": k, "n": n, "release_ratio": ratio, "remind_s": remind * HOP_S},
    )


def reports(machine: Alarm, scores: Sequence[float]) -> list[tuple[int, int, int | None]]:
    """What is reported of these scores one by one: (row at which it is reported, start, end)."""
    found = []
    for row, score in enumerate(scores):
        found += [(row, anomaly.start, anomaly.end) for anomaly in machine.push(np.array([score]))]
    return found
