"""How rare is rare: levels that normal sound exceeds so many times a day, and how sure a rate is."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray
from scipy import stats

from monitor.detection.alarm import accumulate

DAY_S = 86400.0
TAIL_SHARE, TAIL_MOST = 0.1, 100  # of the decisions: the tail that is extrapolated
SHAPES = (0.0, 0.3)  # of the tail in the logarithm: a bounded one promises too much, a heavier one is a bad fit
SURE_EVENTS = 10  # of the rare kind that normal sound has to show before their rate is known within a third
MAX_STRETCH = 2.0  # a threshold is not extrapolated further than this times the highest normal score
CHUNK_S = 600.0  # of normal sound that stay in one piece when days are made of it, so that slow drift is in them
DAYS = (60, 300)  # that are made of it, the least and the most
MOST_STEPS = 10_000_000  # of days that are made at once: 80 MB
CONFIDENCE = 0.95

Array = NDArray[np.float64]


def tail_threshold(decisions: Array, decision_s: float, per_day: float) -> float:
    """The value that normal sound exceeds `per_day` times a day.

    The highest tenth of the logarithms, a hundred at most, is fitted with a generalised Pareto distribution (Pickands,
    1975) and extrapolated to the rare level asked for, but never beyond twice the highest normal score seen. Where the
    level is not rare among so many decisions it is their quantile; where there are too few to fit, twice the highest.

    Args:
        decisions: independent scores of normal sound, one every `decision_s` seconds.
    """
    decisions = decisions[np.isfinite(decisions)]
    if not len(decisions):
        return 1e-12
    logs = np.log(np.maximum(decisions, 1e-12))
    rate = min(0.5, per_day * decision_s / DAY_S)
    highest = float(logs.max())
    start = float(np.quantile(logs, 1 - min(TAIL_SHARE, TAIL_MOST / len(logs))))
    excess = logs[logs > start] - start
    if rate * len(logs) >= SURE_EVENTS:
        return float(np.exp(np.quantile(logs, 1 - rate)))
    value = highest + np.log(MAX_STRETCH)
    if len(excess) >= 5 and excess.std() > 0:
        shape, _, _ = stats.genpareto.fit(excess, floc=0)
        shape = float(np.clip(shape, *SHAPES))
        scale = float(excess.mean() * (1 - shape))
        beyond = min(1.0, rate * len(logs) / len(excess))  # more often than the tail begins: where it begins
        value = start + float(stats.genpareto.isf(beyond, shape, scale=scale))
    return float(np.exp(np.clip(value, highest, highest + np.log(MAX_STRETCH))))


def evidence_limit(evidence: Sequence[Array], step_s: float, per_day: float, seed: int = 0) -> float:
    """The sum of evidence that normal sound exceeds `per_day` times a day.

    Days are made of the recordings (of CHUNK_S of them at a time, so that what belongs together stays together), drawn
    at random, and the highest sums of each excursion from zero are counted. A level too rare for as many days as are
    made is extrapolated exponentially, which is how the maxima of such a sum fall off.

    Args:
        evidence: of each recording's decisions (d,), one every `step_s` seconds.
    """
    size = max(1, round(CHUNK_S / step_s))
    parts = [part for e in evidence for part in np.array_split(e, max(1, round(len(e) / size)))]
    steps = max(1, round(DAY_S / step_s))
    days = int(np.clip(np.ceil(2 * SURE_EVENTS / per_day), *DAYS))
    generator = np.random.default_rng(seed)
    at_once = max(1, min(days, MOST_STEPS // steps))
    maxima = np.concatenate([_maxima(parts, at_once, steps, generator) for _ in range(-(-days // at_once))])
    days = at_once * -(-days // at_once)
    maxima = np.sort(maxima)[::-1]
    wanted = per_day * days
    if wanted >= SURE_EVENTS:
        return float(maxima[min(len(maxima) - 1, int(wanted))])
    base = min(len(maxima) - 1, 5 * SURE_EVENTS)
    fall = float((maxima[:base] - maxima[base]).mean()) if base else 0.0
    return float(maxima[base] + fall * np.log(max(1.0, base / wanted)))


def _maxima(parts: Sequence[Array], days: int, steps: int, generator: np.random.Generator) -> Array:
    """The highest sums of all excursions from zero in days of so many steps, made of parts drawn at random."""
    mean_length = sum(map(len, parts)) / len(parts)
    made = np.concatenate([parts[i] for i in generator.integers(0, len(parts), int(days * steps / mean_length) + 1)])
    sums = np.resize(made, (days, steps)).T.copy()
    total = np.zeros(days)
    for step in range(steps):
        sums[step] = total = accumulate(total, sums[step], np.inf)
    return np.concatenate([_excursions(day) for day in sums.T])


def _excursions(sums: Array) -> Array:
    """The highest sum of each excursion from zero, of the sums of one day."""
    starts = np.flatnonzero(sums == 0)
    highest: Array = np.maximum.reduceat(sums, starts if len(starts) and starts[0] == 0 else np.r_[0, starts])
    return highest


def upper_rate(alarms: int, seconds: float) -> float:
    """False alarms a day, 95 % confident that there are not more, by so many alarms in so much normal sound.

    The exact bound for a Poisson rate (Garwood, 1936): without any alarm in it, three over the time.
    """
    return float(stats.chi2.ppf(CONFIDENCE, 2 * (alarms + 1)) / 2 / seconds * DAY_S)


def seconds_to_prove(per_day: float, alarms: int, seconds: float) -> float:
    """Seconds of normal sound without another alarm that it takes to be 95 % confident of a rate."""
    return max(0.0, float(stats.chi2.ppf(CONFIDENCE, 2 * (alarms + 1)) / 2 / per_day * DAY_S) - seconds)
