"""When a machine is not judged: while it is off, and in a mode that was never heard in training."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np

from monitor.bundle.bundle import Bundle
from monitor.config.schema import Alarm
from monitor.core.types import BoolArray, DoubleArray, FloatArray, IndexArray
from monitor.scoring.scorer import rolling_length
from support.reference_detection.mode_watch import ModeWatch
from support.reference_detection.on_off import FrameFlags, OnOff, off_level

RUNNING, OFF, NEW_MODE = range(3)  # whether a machine is judged, and why not


@dataclass(frozen=True, slots=True)
class Judged:
    """What is to be made of k scores."""

    kinds: IndexArray  # (k,) RUNNING, OFF or NEW_MODE
    score: DoubleArray  # (k,), NaN where the machine is off
    for_alarm: DoubleArray  # (k,) what the alarm decides on: NaN where the machine is not judged
    held_back: BoolArray  # (k,) whether it is not above the threshold although the score may be

    @property
    def off(self) -> BoolArray:
        """Where the machine is off (k,)."""
        found: BoolArray = self.kinds == OFF
        return found


class Pauses:
    """Finds out of each window whether the machine is judged.

    Args:
        bundle: the model.
        settings: of the alarm.
    """

    def __init__(self, bundle: Bundle, settings: Alarm) -> None:
        features = bundle.config.features
        self._window_rows = rolling_length(bundle.config.score, features)
        self._on_off, self._flags = OnOff(off_level(bundle, settings), features.hop_s), FrameFlags()
        self._modes: ModeWatch | None = None  # None: the model knows only one mode
        self._watch_modes(bundle)
        self.begin()

    def begin(self) -> None:
        """Starts to count the windows of a new recording."""
        self.off_windows = self.new_mode_windows = 0

    def change(self, bundle: Bundle, settings: Alarm) -> None:
        """Goes on with another model that can follow the one before, or other settings of the alarm."""
        self._on_off.change(off_level(bundle, settings))
        self._watch_modes(bundle)

    def reset(self) -> None:
        """Restarts, because a gap follows."""
        self._on_off.reset()
        if self._modes is not None:
            self._modes.reset()
        self._flags = FrameFlags()

    def push_frames(self, mean_square: DoubleArray) -> None:
        """Adds the levels (t,) of the next frames, on which the next windows depend."""
        self._flags.push(*self._on_off.push(mean_square))

    def push(
        self, score: DoubleArray, threshold: float, mean_rows: Callable[[IndexArray], FloatArray | DoubleArray]
    ) -> Judged:
        """Judges the next scores (k,).

        Args:
            score: the scores.
            threshold: of the score.
            mean_rows: returns the mean rows (n, mean_width) of these scores by their indices (n,).
        """
        off, quiet = self._flags.take(len(score))
        self.off_windows += int(np.count_nonzero(off))
        if off.any():
            score = np.where(off, np.nan, score)
        kinds, for_alarm = np.where(off, OFF, RUNNING), score
        if self._modes is not None:
            for_alarm, unknown = self._modes.push(score, threshold, mean_rows)
            self.new_mode_windows += int(np.count_nonzero(unknown & ~off))
            kinds[unknown & ~off] = NEW_MODE
            for_alarm = np.where(unknown, np.nan, for_alarm)
        held_back = for_alarm < score
        # A machine that is quiet may be about to be off: switching it off must not cause a sudden anomaly.
        if quiet.any():
            for_alarm = np.where(quiet, np.minimum(for_alarm, threshold), for_alarm)
            held_back |= quiet
        return Judged(kinds, score, for_alarm, held_back)

    def _watch_modes(self, bundle: Bundle) -> None:
        """Watches for modes that the model does not know, if it knows several."""
        modes, layout = bundle.modes, bundle.layout
        if modes is None or not layout.has_extremes:
            self._modes = None
        elif self._modes is None:
            self._modes = ModeWatch(modes, layout, self._window_rows)
        else:
            self._modes.use(modes, layout)
