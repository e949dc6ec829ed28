"""A week of the simulated motor in a plant: what happens in each hour, and a minute of sound that stands for it.

Two shifts on workdays, of which the second makes another product; idle nights and Saturdays, off on Sundays; a cleaning
crew on the evenings of workdays; warmth and a microphone that are a little different each day; and a bearing that wears
out over the last two days. Times and levels are chosen, not measured in a plant.
"""

from __future__ import annotations

import datetime
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import soundfile
from scipy import signal

from monitor.core.types import DoubleArray
from train.demo.days import Day, day
from train.demo.filters import TOP, Filter, hiss
from train.demo.machine import Machine, MachineSound
from train.demo.modes import IDLE, LOAD, Mode

HOUR_S = 60.0  # of sound that stands for an hour
DAYS, WEAR_DAYS = 7, 2
SECOND_PRODUCT = Mode("second product", 1.07, shaft_db=1.0, mesh_db=4.0, flow_db=3.0)
SEED = 20261127
TRAINING_DAY = 100  # number of the day of training: another one than those of the week
DIFFERENCE = 0.4  # of a day from the day of training, as a share of that between any two days
WARMING = 0.002  # relative change of the resonances from morning to afternoon

CLEANING_S = (12.0, 40.0)  # when the crew is heard in the minute of its hour
VACUUM_HZ, VACUUM_LEVEL = 310.0, 0.035
BANG_LEVEL, BANGS = 0.25, 5


@dataclass(frozen=True, slots=True)
class Hour:
    """What happens in an hour.

    Attributes:
        began: its beginning, local time.
        day: number of the day, from 0.
        running: name of the mode, or "off".
        cleaning: whether the cleaning crew comes.
        wear: of the bearing: 0 none, 1 worn out.
    """

    began: datetime.datetime
    day: int
    running: str
    cleaning: bool
    wear: float

    @property
    def what(self) -> str:
        """In words: late shift, with the cleaning crew."""
        return f"{self.running}{', with the cleaning crew' if self.cleaning else ''}"


MODES = {"early shift": LOAD, "late shift": SECOND_PRODUCT, "idle": IDLE}


def hours(first_day: datetime.date, days: int = DAYS) -> Iterator[Hour]:
    """The hours of the week.

    Args:
        first_day: a Thursday, so that the bearing wears out on workdays.
        days: their number.
    """
    wearing_h = 24 * WEAR_DAYS
    for number in range(24 * days):
        began = datetime.datetime.combine(first_day, datetime.time()) + datetime.timedelta(hours=number)
        into_wear = (number - (24 * days - wearing_h)) / wearing_h
        yield Hour(
            began,
            number // 24,
            _running(began),
            cleaning=began.weekday() < 5 and began.hour == 21,
            wear=max(0.0, into_wear) ** 2,
        )


def _running(at: datetime.datetime) -> str:
    if at.weekday() == 6:
        return "off"
    if at.weekday() == 5 or not 6 <= at.hour < 22:
        return "idle"
    return "early shift" if at.hour < 14 else "late shift"


def hour_sound(hour: Hour, rate: int, number: int) -> DoubleArray:
    """The minute of sound (n,) that stands for an hour.

    Args:
        hour: the hour.
        rate: sample rate in Hz.
        number: of the hour, for the random numbers.
    """
    rng = np.random.default_rng([SEED, number])
    count = round(HOUR_S * rate)
    today = _day(hour)
    if hour.running == "off":
        pink = signal.sosfilt(signal.butter(1, 400, fs=rate, output="sos"), hiss(rng, count, rate))
        sound = 0.003 * 10 ** (today.room_db / 20) * np.asarray(pink)
    else:
        machine = Machine(sample_rate=rate, seed=1000 + number, modes=(MODES[hour.running],), day=today)
        source = MachineSound(machine, fault="bearing", severity=hour.wear) if hour.wear else MachineSound(machine)
        sound = np.asarray(source.read(count), np.float64)
    return sound + cleaning(count, rate, rng) if hour.cleaning else sound


def _day(hour: Hour) -> Day:
    """How the day and the time of day differ from the day of training: by a part of what days can differ by."""
    first, other = day(TRAINING_DAY), day(hour.day)

    def between(a: float, b: float) -> float:
        return a + DIFFERENCE * (b - a)

    # It gets warmer towards the afternoon, and resonances fall.
    warm = 1 - WARMING * float(np.sin(np.pi * (hour.began.hour - 8) / 12))
    return Day(
        between(first.gain_db, other.gain_db),
        tuple(between(*both) for both in zip(first.tilt_db, other.tilt_db, strict=True)),
        warm * between(first.resonance, other.resonance),
        between(first.room_db, other.room_db),
    )


def training_sound(rate: int, seconds: float, number: int) -> DoubleArray:
    """A part of the half hour of a Monday's early shift that the model is trained on."""
    machine = Machine(sample_rate=rate, seed=500 + number, modes=(LOAD,), day=day(TRAINING_DAY))
    return np.asarray(MachineSound(machine).read(round(seconds * rate)), np.float64)


def cleaning(count: int, rate: int, rng: np.random.Generator) -> DoubleArray:
    """A vacuum cleaner that comes and goes, and buckets that are banged (count,)."""
    time = np.arange(count) / rate
    begin, end = CLEANING_S
    near = np.clip((time - begin) / 3, 0, 1) * np.clip((end - time) / 3, 0, 1)
    band = Filter(signal.butter(1, (300, min(4000, TOP * rate)), "bandpass", fs=rate, output="sos"))
    whine = sum(np.sin(2 * np.pi * VACUUM_HZ * k * time) / k for k in (1, 2, 3, 5))
    sound = VACUUM_LEVEL * near * (0.5 * band(2 * hiss(rng, count, rate)) + 0.4 * whine)
    ring = np.exp(-time[: rate // 2] / 0.04) * rng.standard_normal(min(count, rate // 2))
    for at in rng.uniform(begin, end, BANGS):
        first = int(at * rate)
        part = ring[: count - first]
        sound[first : first + len(part)] += BANG_LEVEL * rng.uniform(0.4, 1.0) * part
    return np.asarray(sound)


def write(path: Path, sound: DoubleArray, rate: int, began: datetime.datetime) -> None:
    """Writes sound (n,) as a WAV file of 16 bits, with the time at which it began."""
    path.parent.mkdir(parents=True, exist_ok=True)
    with soundfile.SoundFile(path, "w", rate, 1, "PCM_16") as file:
        file.date = began.astimezone().isoformat()
        file.write(np.clip(sound, -1, 1))
