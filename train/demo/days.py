"""What differs from day to day in the sound of one simulated machine, though nothing about it is broken.

The ranges are chosen, not measured.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from train.demo.filters import TOP, Filter, peak

GAIN_DB, TILT_DB, ROOM_DB = 1.5, 2.0, 3.0  # the largest differences from an ordinary day
WARMTH = 0.02  # largest relative shift of the resonances
TILT_HZ = (150.0, 900.0, 5000.0)  # centres of broad gains, two and a half octaves apart
TILT_Q = 0.5  # a bandwidth of about two and a half octaves
SEED_OF_DAYS = 20260302  # of the random numbers of all days, together with the number of the day


@dataclass(frozen=True)
class Day:
    """The differences of a day from an ordinary one.

    Args:
        gain_db: of the microphone, which was moved.
        tilt_db: gains of the microphone at TILT_HZ, smooth over the frequency.
        resonance: factor of the resonance frequencies, which fall as a machine gets warmer.
        room_db: level of the noise of the room.
    """

    gain_db: float = 0.0
    tilt_db: tuple[float, ...] = (0.0,) * len(TILT_HZ)
    resonance: float = 1.0
    room_db: float = 0.0

    def microphone(self, rate: int) -> Filter:
        """Returns the change of the sound by the place of the microphone, as a filter at the start of a recording."""
        sections = [
            peak(hz, TILT_Q, decibels, rate)
            for hz, decibels in zip(TILT_HZ, self.tilt_db, strict=True)
            if hz < TOP * rate
        ]
        sections[0][:3] *= 10 ** (self.gain_db / 20)
        return Filter(np.array(sections))


def day(number: int) -> Day:
    """Returns the day with this number: always the same one, and unlike those with other numbers.

    Raises:
        ValueError: if the number is negative.
    """
    gain, warmth, room, *tilt = np.random.default_rng([SEED_OF_DAYS, number]).uniform(-1, 1, 3 + len(TILT_HZ)).tolist()
    return Day(GAIN_DB * gain, tuple(TILT_DB * one for one in tilt), 1 + WARMTH * warmth, ROOM_DB * room)
