"""How the sound of one day differs from that of others, in level and in octaves."""

from __future__ import annotations

import datetime
import math
from collections import defaultdict
from collections.abc import Iterable, Sequence
from dataclasses import dataclass

import numpy as np

from monitor.core.text import counted
from monitor.core.types import DoubleArray, FloatArray

OCTAVES_HZ = (31.5, 63.0, 125.0, 250.0, 500.0, 1000.0, 2000.0, 4000.0, 8000.0, 16_000.0)
BLOCK_S = 0.125  # of a transform: wide enough to tell the lowest octave, short enough to average
QUIET_POWER = 1e-12  # power below it counts as that, so that digital silence has a level
NOTABLE_DB = 3.0


@dataclass(frozen=True, slots=True)
class PieceLevels:
    """A piece of sound, by its power.

    Attributes:
        began: Unix time of its first sample.
        power: mean square of its samples, of full scale 1.
        octaves: (o,) power in each octave of OCTAVES_HZ that its sample rate has.
    """

    began: float
    power: float
    octaves: DoubleArray


@dataclass(frozen=True, slots=True)
class Day:
    """The sound of one day against the mean of all days.

    Attributes:
        date: in local time.
        pieces: the number of its pieces.
        level_dbfs: level of their mean power.
        level_db: its difference from the mean of the days' levels.
        octaves_db: (o,) the same for each octave.
    """

    date: datetime.date
    pieces: int
    level_dbfs: float
    level_db: float
    octaves_db: DoubleArray

    @property
    def greatest(self) -> tuple[float, float | None]:
        """The greatest difference in dB, and the centre of its octave in Hz; None: it is that of the level."""
        differences = [(self.level_db, None), *zip(self.octaves_db.tolist(), OCTAVES_HZ, strict=False)]
        return max(differences, key=lambda one: abs(one[0]))


@dataclass(frozen=True, slots=True)
class DayDifferences:
    """The days of recordings, oldest first, with the octaves that all pieces have."""

    days: list[Day]

    @property
    def sentence(self) -> str:
        """What is most notable, in one or two sentences."""
        if not self.days:
            return "There are no recordings to compare."
        if len(self.days) == 1:
            only = self.days[0]
            what = counted(only.pieces, "recording")
            return f"All there is, {what}, is of {_named(only)}: there is no other day to compare with."
        ordered = sorted(self.days, key=lambda day: abs(day.greatest[0]), reverse=True)
        most, other = ordered[0], ordered[1]
        difference, octave = most.greatest
        where = "in level" if octave is None else f"around {_hertz(octave)}"
        how = "louder" if difference > 0 else "quieter"
        if len(self.days) == 2:
            found = f"{_named(most)} is at most {2 * abs(difference):.1f} dB {how} than {_named(other)}, {where}."
            return f"{found} {_meaning(2 * abs(difference))}"
        return (
            f"Of {len(self.days)} days {_named(most)} differs most from their mean: it is {abs(difference):.1f} dB "
            f"{how} {where}; the others differ by at most {abs(other.greatest[0]):.1f} dB. {_meaning(abs(difference))}"
        )

    def table(self) -> list[list[str]]:
        """The days as rows of text, with a row of headings first."""
        octaves = OCTAVES_HZ[: len(self.days[0].octaves_db)] if self.days else ()
        rows = [["day", "recordings", "level", *map(_hertz, octaves)]]
        for day in self.days:
            shifts = [f"{difference:+.1f}" for difference in day.octaves_db]
            rows.append([_named(day), str(day.pieces), f"{day.level_dbfs:.1f} dBFS ({day.level_db:+.1f})", *shifts])
        return rows


def levels_of(samples: FloatArray, sample_rate: int, began: float) -> PieceLevels:
    """The power of a piece of sound as a whole, without a constant offset, and in octaves.

    Args:
        samples: (n,) of full scale 1.
        sample_rate: in Hz.
        began: Unix time of the first sample.
    """
    block = round(BLOCK_S * sample_rate)
    steady = samples.astype(np.float64) if len(samples) else np.zeros(block)
    steady -= steady.mean()
    padded = np.pad(steady, (0, -len(steady) % block)).reshape(-1, block) * np.hanning(block)
    power = (np.abs(np.fft.rfft(padded, axis=1)) ** 2).mean(axis=0)
    hertz = np.fft.rfftfreq(block, 1 / sample_rate)
    total = float(np.mean(steady**2))
    shares = power / max(float(power[1:].sum()), np.finfo(np.float64).tiny)
    octaves = [
        total * float(shares[(hertz >= centre / math.sqrt(2)) & (hertz < centre * math.sqrt(2))].sum())
        for centre in OCTAVES_HZ
        if centre * math.sqrt(2) <= sample_rate / 2 * 1.001
    ]
    return PieceLevels(began, total, np.array(octaves))


def day_differences(pieces: Iterable[PieceLevels]) -> DayDifferences:
    """Compares the days of pieces: each with the mean of the days' levels in dB, so that all days count the same.

    Args:
        pieces: in any order; of different sample rates only the octaves that all have are compared.
    """
    by_day: defaultdict[datetime.date, list[PieceLevels]] = defaultdict(list)
    for piece in pieces:
        by_day[datetime.datetime.fromtimestamp(piece.began).date()].append(piece)
    if not by_day:
        return DayDifferences([])
    octaves = min(len(piece.octaves) for day in by_day.values() for piece in day)
    dates = sorted(by_day)
    levels = np.array([_day_levels(by_day[date], octaves) for date in dates])  # (days, 1 + octaves)
    shifts = levels - levels.mean(axis=0)
    return DayDifferences(
        [
            Day(date, len(by_day[date]), float(level[0]), float(shift[0]), shift[1:])
            for date, level, shift in zip(dates, levels, shifts, strict=True)
        ]
    )


def _day_levels(pieces: Sequence[PieceLevels], octaves: int) -> DoubleArray:
    """The level of the mean power of pieces, as a whole and in octaves, in dB of full scale: (1 + octaves,)."""
    power = np.array([[piece.power, *piece.octaves[:octaves]] for piece in pieces]).mean(axis=0)
    levels: DoubleArray = 10 * np.log10(np.maximum(power, QUIET_POWER))
    return levels


def _meaning(difference_db: float) -> str:
    if difference_db < NOTABLE_DB:
        return "The days sound alike."
    return (
        "If the machine was healthy then, it is good that this day is there: a model that never heard it would call it "
        "unusual. If it was not, or the microphone was moved, leave that day out."
    )


def _named(day: Day) -> str:
    return day.date.strftime("%a %Y-%m-%d")


def _hertz(frequency: float) -> str:
    return f"{frequency:g} Hz" if frequency < 1000 else f"{frequency / 1000:g} kHz"
