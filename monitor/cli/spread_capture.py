"""`monitor record --over`: what is shown while pieces are recorded over days, and at the end."""

from __future__ import annotations

import logging
import sys
import time
from pathlib import Path

from rich.console import Console
from rich.table import Table

from monitor.audio.level import LevelMeter
from monitor.cli.output import say
from monitor.config.schema import Config
from monitor.config.setting_types import Channel
from monitor.core.errors import ConfigError, DataError
from monitor.core.text import counted, printable
from monitor.normal_sound.recorded_days import compare_days, named_time
from monitor.sources.recording_plan import PLAN, RecordingPlan
from monitor.sources.recording_session import PIECE_S, capture_pieces
from monitor.sources.spread_recording import SpreadRecorder, local_time

LEAD_S = 1.0  # not recorded after the microphone was opened: many begin with a click


def record_over(config: Config, channel: Channel, minutes: float, over_s: float, out: Path, suffix: str) -> None:
    """Records pieces that are spread over a period, or goes on with it; compares days as each ends, and at the end.

    Raises:
        ConfigError: if the period is too short, or another one is under way in the folder.
        MonitorError: if the first piece cannot be recorded.
    """
    if over_s < max(minutes * 60, PIECE_S):
        raise ConfigError(
            f"--over is shorter than --minutes {minutes:g}: give a longer period, such as --over 3d, or leave it out "
            "to record in one stretch."
        )
    pieces = max(1, round(minutes * 60 / PIECE_S))
    plan = RecordingPlan.load(out)
    if plan is not None:
        plan.require_same(out, pieces, over_s)
    plan = plan or RecordingPlan.new(pieces, over_s, PIECE_S, time.time())
    if plan.complete:
        say(
            f"{printable(str(out))}: this recording is complete: to record again, choose another --out, or delete "
            f"{PLAN} there."
        )
        show_days(out)
        return
    shown = _Progress(plan)
    recorder = SpreadRecorder(
        plan, out,
        lambda count: capture_pieces(
            config.audio, config.features.sample_rate, channel, count * PIECE_S / 60, shown.level, lead_s=LEAD_S
        ),
        sample_rate=config.features.sample_rate, suffix=suffix, waiting=shown.waiting,
    )  # fmt: skip
    shown.begin()
    microphone = logging.getLogger("monitor.sources.device.microphone")
    microphone.addFilter(once := _Once())
    try:
        day = ""
        for path in recorder.record():
            began = named_time(path) or time.time()
            today = time.strftime("%Y-%m-%d", time.localtime(began))
            if day and today != day:
                shown.line(_comparison(out))
            day = today
            shown.recorded(began)
    finally:
        microphone.removeFilter(once)
        shown.end()
        if plan.complete:
            say(f"All {counted(plan.pieces, 'recording')} of {PIECE_S:g} s are in {printable(str(out))}.")
        elif plan.done:
            say(
                f"{plan.done} of {counted(plan.pieces, 'recording')} of {PIECE_S:g} s are in {printable(str(out))}. "
                "The same command goes on."
            )
    show_days(out)
    say(f"Next: monitor train {printable(str(out))} --out runs/mine")


def show_days(folder: Path) -> None:
    """Shows how the days of the recordings in a folder differ: a table, and the most notable in a sentence.

    Raises:
        DataError: if there are none.
    """
    found = compare_days(folder)
    head, *rows = found.table()
    if len(rows) > 1:
        table = Table(box=None, pad_edge=False, header_style="bold")
        for number, name in enumerate(head):
            table.add_column(name, justify="right" if number else "left", no_wrap=True)
        for row in rows:
            table.add_row(*row)
        console = Console(highlight=False, soft_wrap=True)
        console.print("Level of each day and its octaves, in dB against the mean of the days:")
        console.print(table)
    say(found.sentence)


def _comparison(folder: Path) -> str:
    try:
        return compare_days(folder).sentence
    except DataError as error:  # the recordings were moved away meanwhile
        return str(error)


class _Once(logging.Filter):
    """Lets a message pass only if it is not the one before: the microphone is opened hundreds of times."""

    _before = ""

    def filter(self, record: logging.LogRecord) -> bool:
        before, self._before = self._before, record.getMessage()
        return before != self._before


class _Progress:
    """One line on standard error that changes on a terminal, else a line for each piece."""

    def __init__(self, plan: RecordingPlan) -> None:
        self._plan = plan
        self._console = Console(stderr=True, highlight=False)
        self._status = self._console.status("", refresh_per_second=2) if self._console.is_terminal else None
        self._level = -float("inf")
        self._next = ""

    def begin(self) -> None:
        if self._status is not None:
            self._status.start()
        if self._plan.done and not self._plan.complete:
            self.line(f"Goes on: {self._done()}, until {local_time(self._plan.until)}.")

    def end(self) -> None:
        if self._status is not None:
            self._status.stop()

    def level(self, _seconds: float, meter: LevelMeter) -> None:
        """Shows that a piece is being recorded."""
        self._level = meter.rms_dbfs
        if self._status is not None:
            self._status.update(f"{self._done()}; recording, {self._level:.0f} dBFS")

    def waiting(self, at: float) -> None:
        """Shows when the next piece is due."""
        self._next = f"the next one at {local_time(at)}"
        if self._status is not None:
            self._status.update(f"{self._done()}; {self._next}")
        else:
            sys.stderr.write(f"{self._done()}; {self._next}\n")

    def recorded(self, began: float) -> None:
        """Says that a piece was recorded."""
        if self._status is None:
            sys.stderr.write(f"recorded at {local_time(began)}, level {self._level:.0f} dBFS\n")

    def line(self, text: str) -> None:
        """A line that stays."""
        self._console.print(printable(text), soft_wrap=True, markup=False)

    def _done(self) -> str:
        return f"{self._plan.done} of {self._plan.pieces} pieces"
