"""What a sensitivity, or a limit that was changed by hand, means in false alarms a day, by the calibration."""

from __future__ import annotations

import math

from monitor.bundle.bundle import Bundle
from monitor.bundle.threshold import Threshold
from monitor.config import schema
from monitor.core.text import duration_text
from monitor.detection.cusum import Limits


def false_alarms_per_day(bundle: Bundle, limits: Limits) -> float | None:
    """How many false alarms a day are to be expected with other limits than the calibrated ones; None if unknown.

    Each limit is exceeded a known number of times a day at three values (`Threshold`). Between these the logarithm of
    that number is taken as linear in the logarithm of the limit, and beyond them as well.
    """
    score, cusum = bundle.thresholds["score"], bundle.thresholds["cusum"]
    pairs = [(score, limits.threshold)]
    share = score.expected
    if cusum.value > 0:  # the two kinds of anomalies have half of the budget each
        share /= 2
        pairs += [(cusum, limits.cusum)] if limits.cusum < math.inf else []
    rates = [_multiple(threshold, value) for threshold, value in pairs]
    known = [rate for rate in rates if rate is not None]
    return share * sum(known) if len(known) == len(rates) else None


def false_alarms(bundle: Bundle, limits: Limits) -> str:
    """The expected false alarms in words: about 0.6 false alarms a day; empty if they are unknown."""
    rate = false_alarms_per_day(bundle, limits)
    if rate is None:
        return ""
    budget = bundle.thresholds["score"].expected
    if rate < 0.095 * budget:
        return f"fewer than {0.1 * budget:.2g} false alarms a day"  # how few is not known
    if rate > 10.5 * budget:
        return f"more than {10 * budget:.2g} false alarms a day"
    return f"about {rate:.2g} false alarm{'' if f'{rate:.2g}' == '1' else 's'} a day"


def limit_note(bundle: Bundle, settings: schema.Alarm, limits: Limits) -> str:
    """Where the limits in force come from, in a few words for the user."""
    calibrated = bundle.thresholds["score"]
    means = false_alarms(bundle, limits)
    if not math.isclose(limits.threshold, Limits.of(bundle, settings).threshold):
        return ", ".join(filter(None, ("changed by key", means)))
    if settings.threshold is not None:
        return ", ".join(filter(None, ("set by hand", means)))
    if settings.sensitivity != "normal":
        means = means or "no rate of false alarms known, calibrate to have one"
        found = calibrated.model_copy(update={"note": f"estimated from {duration_text(calibrated.seconds)}"})
        return f"sensitivity {settings.sensitivity}, {means}, {found.age_note()}"
    return calibrated.age_note()


def _multiple(threshold: Threshold, value: float) -> float | None:
    """How many times as often as its calibrated value another value of a threshold is exceeded; None if unknown."""
    if (
        threshold.tenfold is None
        or threshold.tenth is None
        or not 0 < threshold.tenfold < threshold.value < threshold.tenth
    ):
        return None
    low, middle, high, at = map(math.log, (threshold.tenfold, threshold.value, threshold.tenth, value))
    decades = (middle - at) / (middle - low if at < middle else high - middle)
    return float(10.0 ** min(max(decades, -9.0), 9.0))
