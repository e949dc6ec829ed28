"""When machines are not judged: while they are off, and in a mode that was never heard in training."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np

from monitor.bundle.bundle import Bundle
from monitor.config.schema import Alarm, Features
from monitor.core.types import BoolArray, DoubleArray, FloatArray, IndexArray
from monitor.detection.mode_watch import ModeWatch
from monitor.detection.on_off import FrameFlags, off_level
from monitor.detection.on_off_arrays import OnOffArrays

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
    """Finds out of each window of `count` streams whether the machine is judged.

    Machines that are loud enough, and whose scores are not above the threshold, are running: this is noted for all such
    streams together (`calm`, `push_calm`). The others are looked at one by one (`push_frames`, `push`).

    Args:
        count: number of streams; `begin` gives each its model.
        features: of all models.
        window_rows: number of windows that a score averages over.
    """

    def __init__(self, count: int, features: Features, window_rows: int) -> None:
        self._window_rows = window_rows
        self._on_off = OnOffArrays(count, features.hop_s)
        # Frames whose rows are not scored yet: their number, and the flags of those streams where some are set.
        self._waiting = np.zeros(count, np.int64)
        self._flags: dict[int, FrameFlags] = {}
        self._modes: dict[int, ModeWatch] = {}  # of the streams whose models know several modes
        self._watched = np.zeros(count, bool)  # where something is flagged, or perhaps in an unknown mode
        self.off_windows, self.new_mode_windows = np.zeros(count, np.int64), np.zeros(count, np.int64)

    def begin(self, stream: int, bundle: Bundle, settings: Alarm) -> None:
        """Starts a stream with a model and settings of its alarm."""
        self._modes.pop(stream, None)
        self._on_off.begin(stream, off_level(bundle, settings))
        self._watch_modes(stream, bundle)
        self.reset(stream)
        self.begin_recording(stream)

    def take_over(self, stream: int, other: Pauses, other_stream: int) -> None:
        """Gives a stream the state of a stream of other pauses, which may not be used any more."""
        self._on_off.put(stream, other._on_off.get(other_stream))
        self._modes.pop(stream, None)
        for name in ("_flags", "_modes"):
            if (found := getattr(other, name).pop(other_stream, None)) is not None:
                getattr(self, name)[stream] = found
        for name in ("_waiting", "_watched", "off_windows", "new_mode_windows"):
            getattr(self, name)[stream] = getattr(other, name)[other_stream]

    def begin_recording(self, stream: int) -> None:
        """Starts to count the windows of a new recording."""
        self.off_windows[stream] = self.new_mode_windows[stream] = 0

    def change(self, stream: int, bundle: Bundle, settings: Alarm) -> None:
        """Goes on with another model that can follow the one before, or other settings of the alarm."""
        machine = self._on_off.get(stream)
        machine.change(off_level(bundle, settings))
        self._on_off.put(stream, machine)
        self._watch_modes(stream, bundle)

    def reset(self, stream: int) -> None:
        """Restarts a stream, because a gap follows."""
        machine = self._on_off.get(stream)
        machine.reset()
        self._on_off.put(stream, machine)
        if stream in self._modes:
            self._modes[stream].reset()
        self._flags.pop(stream, None)
        self._waiting[stream], self._watched[stream] = 0, False

    def calm(self, streams: IndexArray, mean_square: DoubleArray) -> BoolArray:
        """Which machines are certainly running as long as their scores are not above the threshold (n,).

        Args:
            streams: (n,) numbers of the streams.
            mean_square: (n, t) levels of their next frames.
        """
        return ~self._watched[streams] & self._on_off.calm(streams, mean_square)

    def push_calm(self, streams: IndexArray, mean_square: DoubleArray, rows: int) -> None:
        """Notes that n machines are running, for which `calm` says so.

        Args:
            streams: (n,) numbers of the streams.
            mean_square: (n, t) levels of their next frames.
            rows: number of scores of each that follow.
        """
        if mean_square.shape[1]:
            self._on_off.push_calm(streams, mean_square)
        self._waiting[streams] += mean_square.shape[1] - rows

    def push_frames(self, stream: int, mean_square: DoubleArray) -> None:
        """Adds the levels (t,) of the next frames of a stream, on which its next windows depend."""
        machine = self._on_off.get(stream)
        off, quiet = machine.push(mean_square)
        self._on_off.put(stream, machine)
        if stream not in self._flags and (off.any() or quiet.any()):
            self._flags[stream] = FrameFlags(int(self._waiting[stream]))
        if stream in self._flags:
            self._flags[stream].push(off, quiet)
        self._waiting[stream] += len(mean_square)
        self._note_watched(stream)

    def push(
        self,
        stream: int,
        score: DoubleArray,
        threshold: float,
        mean_rows: Callable[[IndexArray], FloatArray | DoubleArray],
    ) -> Judged:
        """Judges the next scores (k,) of a stream.

        Args:
            stream: its number.
            score: the scores.
            threshold: of the score.
            mean_rows: returns the mean rows (n, mean_width) of these scores by their indices (n,).
        """
        off, quiet = self._take_flags(stream, len(score))
        self.off_windows[stream] += np.count_nonzero(off)
        if off.any():
            score = np.where(off, np.nan, score)
        kinds, for_alarm = np.where(off, OFF, RUNNING), score
        if stream in self._modes:
            for_alarm, unknown = self._modes[stream].push(score, threshold, mean_rows)
            self.new_mode_windows[stream] += np.count_nonzero(unknown & ~off)
            kinds[unknown & ~off] = NEW_MODE
            for_alarm = np.where(unknown, np.nan, for_alarm)
        held_back = for_alarm < score
        # A machine that is quiet may be about to be off: switching it off must not cause a sudden anomaly.
        if quiet.any():
            for_alarm = np.where(quiet, np.minimum(for_alarm, threshold), for_alarm)
            held_back |= quiet
        self._note_watched(stream)
        return Judged(kinds, score, for_alarm, held_back)

    def _take_flags(self, stream: int, rows: int) -> tuple[BoolArray, BoolArray]:
        """The flags off and quiet of the next rows of a stream: (rows,) each."""
        self._waiting[stream] -= rows
        flags = self._flags.get(stream)
        if flags is None:
            none = np.zeros(rows, bool)
            return none, none
        taken = flags.take(rows)
        if not flags.any_set:
            del self._flags[stream]
        return taken

    def _note_watched(self, stream: int) -> None:
        modes = self._modes.get(stream)
        self._watched[stream] = stream in self._flags or (modes is not None and not modes.settled)

    def _watch_modes(self, stream: int, bundle: Bundle) -> None:
        """Watches for modes that the model does not know, if it knows several."""
        modes, layout = bundle.modes, bundle.layout
        if modes is None or not layout.has_extremes:
            self._modes.pop(stream, None)
        elif stream not in self._modes:
            self._modes[stream] = ModeWatch(modes, layout, self._window_rows)
        else:
            self._modes[stream].use(modes, layout)
        self._note_watched(stream)
