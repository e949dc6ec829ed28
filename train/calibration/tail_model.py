"""Thresholds for rare false alarms, extrapolated from little normal sound, and confidence bounds of their rate."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from monitor.core.types import DoubleArray
from monitor.detection.cusum import cusum_step

DAY_S = 86400.0
TAIL_SHARE, MAX_TAIL = 0.1, 100  # share and largest number of the scores that the tail is fitted to
# Range of the shape of the tail of ln(score): a lower one means a bounded tail, which promises too few false alarms; a
# higher one is a bad fit.
SHAPES = (0.0, 0.3)
IMPOSSIBLE = 100 * np.log(np.finfo(np.float64).max)  # the loss of a value that a distribution excludes
MIN_EVENTS = 10  # number of events from which on their rate is known within a third
MAX_EXTRAPOLATION = 2.0  # highest threshold, as a multiple of the highest normal score
CHUNK_S = 600.0  # duration of the chunks of normal sound that days are resampled from: long enough for slow drift
DAYS = (60, 300)  # least and largest number of resampled days
MAX_STEPS = 10_000_000  # steps of the days that are simulated at once: 80 MB
CONFIDENCE = 0.95


def tail_thresholds(
    decisions: DoubleArray, decision_s: float, per_day: float, multiples: Sequence[float] = (1.0,)
) -> list[float]:
    """The values that scores of normal sound exceed `per_day` times a day, or multiples of that.

    A generalised Pareto distribution (Pickands, 1975) is fitted to the highest tenth of the logarithms of the scores,
    at most a hundred, and extrapolated to `per_day`, but not beyond twice the highest score. If the scores contain
    enough such events, their quantile is returned; if there are too few scores for a fit, twice the highest score.
    Values for multiples have the distance from that value that they have by the fit, but are not below the highest
    score, unless they are quantiles.

    Args:
        decisions: (d,) independent scores of normal sound, one every `decision_s` seconds.
        decision_s: seconds from one score to the next.
        per_day: times a day.
        multiples: the multiples of `per_day` to find values for.

    Returns:
        a value for each multiple.
    """
    decisions = decisions[np.isfinite(decisions)]
    if not len(decisions):
        return [1e-12] * len(multiples)
    logs = np.log(np.maximum(decisions, 1e-12))
    highest = float(logs.max())
    rates = [min(0.5, per_day * multiple * decision_s / DAY_S) for multiple in (1.0, *multiples)]
    base, *fitted = _tail_quantiles(logs, rates)
    value = base
    if rates[0] * len(logs) < MIN_EVENTS:
        value = float(np.clip(base, highest, highest + np.log(MAX_EXTRAPOLATION)))
    found: list[float] = []
    for rate, one in zip(rates[1:], fitted, strict=True):
        is_quantile = rate * len(logs) >= MIN_EVENTS
        found.append(float(np.exp(one if is_quantile else max(value + (one - base), highest))))
    return found


def _tail_quantiles(logs: DoubleArray, rates: Sequence[float]) -> list[float]:
    """The logarithms of scores that these shares of scores exceed, extrapolated without a bound.

    Args:
        logs: (d,) logarithms of normal scores.
        rates: the shares.
    """
    start = float(np.quantile(logs, 1 - min(TAIL_SHARE, MAX_TAIL / len(logs))))
    excess = logs[logs > start] - start
    fits = len(excess) >= 5 and excess.std() > 0
    if fits:
        shape = float(np.clip(_tail_shape(excess), *SHAPES))
        scale = float(excess.mean() * (1 - shape))
    found: list[float] = []
    for rate in rates:
        if rate * len(logs) >= MIN_EVENTS:
            found.append(float(np.quantile(logs, 1 - rate)))
        elif fits:
            beyond = min(1.0, rate * len(logs) / len(excess))  # 1: the rate is higher than that of the whole tail
            found.append(start + scale * (-np.log(beyond) if shape == 0 else (beyond**-shape - 1) / shape))
        else:
            found.append(float(logs.max()) + float(np.log(MAX_EXTRAPOLATION)))
    return found


def _tail_shape(excess: DoubleArray) -> float:
    """The shape of a generalised Pareto distribution that begins at zero, by maximum likelihood.

    It is that of `scipy.stats.genpareto.fit`, but scipy.stats would take half of the memory and the start-up time of
    `monitor calibrate`.
    """
    from scipy.optimize import fmin

    def loss(parameters: DoubleArray) -> float:
        """Minus the log-likelihood of a shape and a scale, and a penalty for each value that could not occur."""
        shape, scale = parameters
        if scale <= 0:
            return np.inf
        x = excess / scale
        inside = x <= (-1 / shape if shape < 0 else np.inf)
        x = x[inside]
        with np.errstate(divide="ignore"):
            surprise = (1 + 1 / shape) * np.log1p(shape * x) if shape else x
        finite = np.isfinite(surprise)
        impossible = len(excess) - np.count_nonzero(finite)
        return float(surprise[finite].sum() + len(excess) * np.log(scale) + impossible * IMPOSSIBLE)

    return float(fmin(loss, (1.0, 1.0), disp=False)[0])


def cusum_limits(
    surprises: Sequence[DoubleArray], step_s: float, per_day: float, multiples: Sequence[float] = (1.0,), seed: int = 0
) -> list[float]:
    """The limits that the cumulative sum (CUSUM) of normal sound exceeds `per_day` times a day, or multiples of that.

    Days are resampled from the recordings, in chunks of about CHUNK_S, which keep the correlation of successive
    surprises. The maxima of all excursions of the sum from zero are collected. If the rate is too low for the number
    of days, the limit is extrapolated with an exponential distribution, which the maxima of such a sum follow.

    Args:
        surprises: (d,) of each recording, one every `step_s` seconds.
        step_s: seconds from one surprise to the next.
        per_day: times a day; the number of resampled days is chosen for this rate.
        multiples: the multiples of `per_day` to find limits for.
        seed: of the resampling.

    Returns:
        a limit for each multiple.
    """
    size = max(1, round(CHUNK_S / step_s))
    chunks = [chunk for one in surprises for chunk in np.array_split(one, max(1, round(len(one) / size)))]
    steps = max(1, round(DAY_S / step_s))
    days = int(np.clip(np.ceil(2 * MIN_EVENTS / per_day), *DAYS))
    generator = np.random.default_rng(seed)
    at_once = max(1, min(days, MAX_STEPS // steps))
    maxima = np.concatenate([_maxima(chunks, at_once, steps, generator) for _ in range(-(-days // at_once))])
    days = at_once * -(-days // at_once)
    maxima = np.sort(maxima)[::-1]
    return [_limit_of(maxima, per_day * multiple * days) for multiple in multiples]


def _limit_of(maxima: DoubleArray, allowed: float) -> float:
    """The limit that `allowed` of the maxima, sorted from the highest on, exceed."""
    if allowed >= MIN_EVENTS:
        return float(maxima[min(len(maxima) - 1, int(allowed))])
    base = min(len(maxima) - 1, 5 * MIN_EVENTS)
    scale = float((maxima[:base] - maxima[base]).mean()) if base else 0.0
    return float(maxima[base] + scale * np.log(max(1.0, base / allowed)))


def _maxima(chunks: Sequence[DoubleArray], days: int, steps: int, generator: np.random.Generator) -> DoubleArray:
    """The maxima of all excursions of the sum from zero, in days of `steps` steps resampled from chunks."""
    mean_length = sum(map(len, chunks)) / len(chunks)
    drawn = generator.integers(0, len(chunks), int(days * steps / mean_length) + 1)
    sums = np.resize(np.concatenate([chunks[i] for i in drawn]), (days, steps)).T.copy()
    total = np.zeros(days)
    for step in range(steps):
        sums[step] = total = cusum_step(total, sums[step], np.inf)
    return np.concatenate([_excursion_maxima(day) for day in sums.T])


def _excursion_maxima(sums: DoubleArray) -> DoubleArray:
    """The maximum of each excursion from zero, of the sums (steps,) of one day."""
    starts = np.flatnonzero(sums == 0)
    highest: DoubleArray = np.maximum.reduceat(sums, starts if len(starts) and starts[0] == 0 else np.r_[0, starts])
    return highest


def upper_rate(alarms: int, seconds: float) -> float:
    """The upper 95 % confidence bound of the false alarms a day, if there were `alarms` in `seconds` of normal sound.

    Without any alarm it is 3 divided by the time.
    """
    return _most_expected(alarms) / seconds * DAY_S


def seconds_to_prove(per_day: float, alarms: int, seconds: float) -> float:
    """How many more seconds of normal sound, without another alarm, prove with 95 % confidence a rate of `per_day`.

    Args:
        per_day: false alarms a day.
        alarms: number of alarms so far.
        seconds: duration of the normal sound so far.
    """
    return max(0.0, _most_expected(alarms) / per_day * DAY_S - seconds)


def _most_expected(alarms: int) -> float:
    """The upper 95 % confidence bound of the mean of a Poisson distribution that gave this number (Garwood, 1936)."""
    from scipy.special import gammaincinv

    return float(gammaincinv(alarms + 1, CONFIDENCE))
