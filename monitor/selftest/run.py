"""A self-test of one stream: for each fault, the lowest level at which it is reported, and how soon."""

from __future__ import annotations

import math
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from monitor.bundle.bundle import Bundle
from monitor.config.schema import Config
from monitor.core.errors import DataError
from monitor.core.types import DoubleArray, FloatArray
from monitor.normal_sound.pieces import PIECE_S, Piece
from monitor.selftest.faults import FAULTS, Fault
from monitor.selftest.own_sound import OwnSound, own_sound
from monitor.selftest.stretches import choose, joined, newest, read
from monitor.selftest.trials import first_reports

LEAST_SHARE = 0.8  # of the stretches in which a fault has to be reported
LONGEST_WARM_UP_S = 120.0
SEED = 16


@dataclass(frozen=True, slots=True)
class Extent:
    """What a self-test consists of."""

    faults: tuple[Fault, ...] = FAULTS
    stretches: int = 5  # of normal sound, under each of which every fault is mixed
    fault_s: float = 60.0  # how long a fault lasts; what is reported later does not count


FULL = Extent()


@dataclass(frozen=True, slots=True)
class Trial:
    """A fault at one level."""

    level_db: float
    share: float  # of the stretches in which it was reported
    delay_s: float | None  # from its onset to its report, the median; None: it was not reported


@dataclass(frozen=True, slots=True)
class Detectability:
    """What is known of one fault.

    Attributes:
        fault: its name.
        level_db: the lowest level at which it is reported in `LEAST_SHARE` of the stretches; None: at none.
        delay_s: from its onset to its report at that level, the median.
        trials: the levels that were tried, ascending.
        untested: why it was not tested; empty if it was.
    """

    fault: str
    level_db: float | None = None
    delay_s: float | None = None
    trials: tuple[Trial, ...] = ()
    untested: str = ""


@dataclass(frozen=True, slots=True)
class SelfTest:
    """The result of a self-test of one stream."""

    faults: tuple[Detectability, ...]
    own: OwnSound
    stretches: int  # of normal sound under which the faults were mixed
    left_out: int  # stretches that were reported without any fault
    pieces: int  # of the newest week
    seconds: float  # of computing


def run(
    bundle: Bundle,
    config: Config,
    pieces: Sequence[Piece],
    *,
    reference: Bundle | None = None,
    offsets: Mapping[str, DoubleArray] | None = None,
    extent: Extent | None = None,
    progress: Callable[[str, float], None] = lambda _fault, _done: None,
) -> SelfTest:
    """Mixes each fault under stored normal sound at several levels, and notes what is reported.

    Args:
        bundle: the model in force.
        config: the settings in force.
        pieces: the normal sound of the stream, ordered by time; its newest week is used.
        reference: the configured model, with which the newest sound is compared; None: `bundle`.
        offsets: of the reference distributions, as drift has learnt them.
        extent: what is tested; None: `FULL`.
        progress: receives the fault that is tested next, and the share of all that is done.

    Raises:
        DataError: if there is too little normal sound, or if the monitor reports it without any fault.
    """
    extent = extent or FULL
    began, rate = time.monotonic(), bundle.config.features.sample_rate
    usable = newest(pieces, rate)
    onset_s = warm_up_s(config)
    length_s = onset_s + extent.fault_s
    chosen = choose(usable, extent.stretches, math.ceil(length_s / PIECE_S) + 1)
    sounds = [read(stretch) for stretch in chosen]
    samples = round(length_s * rate)
    all_stretches = np.stack([joined(one, samples, rate) for one in sounds])
    progress("without a fault", 0.0)
    normal = np.isnan(first_reports(bundle, config, all_stretches, offsets))
    if not normal.any():
        raise DataError(
            "the monitor reports its stored normal sound even without a fault, so nothing can be tested: learn again "
            "(`monitor improve`), or see what has changed (`monitor trend`)."
        )
    own = own_sound([sound for one in sounds for sound in one], reference or bundle)
    stretches = all_stretches[normal]
    found = []
    for number, fault in enumerate(extent.faults):
        progress(fault.name, (number + 0.5) / (len(extent.faults) + 0.5))
        if why := fault.missing(own):
            found.append(Detectability(fault.name, untested=why))
            continue

        def trial(level_db: float, fault: Fault = fault) -> Trial:
            mixed = with_fault(stretches, fault, level_db, own, onset_s)
            return _trial(level_db, first_reports(bundle, config, mixed, offsets) - onset_s)

        found.append(lowest_reported(fault, trial))
    return SelfTest(
        tuple(found), own, len(stretches), int(np.count_nonzero(~normal)), len(usable), time.monotonic() - began
    )


def warm_up_s(config: Config) -> float:
    """Normal sound before a fault sets in, in seconds: as long as the alarm needs to decide, and ten seconds more."""
    alarm = config.alarm
    needed = alarm.warm_up_s + config.score.window_s + alarm.n * alarm.block_s
    return float(math.ceil(min(LONGEST_WARM_UP_S, 10.0 + needed)))


def with_fault(stretches: FloatArray, fault: Fault, level_db: float, own: OwnSound, onset_s: float) -> FloatArray:
    """Adds a fault to stretches (n, samples) from its onset on; each stretch has its own seed.

    As in a sound card, nothing is above full scale.
    """
    onset, mixed = round(onset_s * own.sample_rate), stretches.copy()
    for number, stretch in enumerate(mixed):
        normal = stretch[onset:].astype(np.float64)
        stretch[onset:] = np.clip(normal + fault.sound(normal, level_db, own, (SEED, number)), -1, 1)
    return mixed


def lowest_reported(fault: Fault, trial: Callable[[float], Trial]) -> Detectability:
    """Finds the lowest level at which a fault is reported, by bisection.

    Args:
        fault: its levels are tried.
        trial: tries one level. A fault is taken to be reported at all levels above one at which it is reported.
    """
    levels, tried = fault.levels_db, {}
    below, at = -1, len(levels)  # numbers of levels: not reported, reported
    number = len(levels) - 1
    while at - below > 1:
        tried[number] = trial(levels[number])
        if tried[number].share >= LEAST_SHARE - 1e-9:
            at = number
        else:
            below = number
        number = (below + at) // 2
    trials = tuple(tried[number] for number in sorted(tried))
    if at == len(levels):
        return Detectability(fault.name, trials=trials)
    return Detectability(fault.name, levels[at], tried[at].delay_s, trials)


def _trial(level_db: float, delays: DoubleArray) -> Trial:
    """The result of one level from the delays (n,) of the reports in seconds; NaN where there was none."""
    reported = delays[~np.isnan(delays)]
    return Trial(level_db, len(reported) / len(delays), float(np.median(reported)) if len(reported) else None)
