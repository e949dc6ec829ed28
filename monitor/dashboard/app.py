"""The loop that draws: takes the latest Snapshot some times a second, listens to keys, and fails alone.

rich's own refresh thread is not used: an exception on it ends it silently. Only rows that changed are
written, so that a remote terminal on a thin line keeps up.
"""

from __future__ import annotations

import logging
import time
from collections.abc import Callable, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Protocol

from rich.console import Console
from rich.control import Control
from rich.segment import Segment, Segments

from monitor.dashboard.keyboard import DOWN, ENTER, ESCAPE, PAGE_DOWN, PAGE_UP, UP, Wait, keyboard
from monitor.dashboard.render.cells import Line
from monitor.dashboard.plain_log import PlainLogs
from monitor.dashboard.widgets.stream_order import Ranking, worst
from monitor.dashboard.render.formatting import clock
from monitor.dashboard.render.axis import Scales
from monitor.dashboard.layout import Screen, Streams, save_svg, theme_for
from monitor.dashboard.render.view import View
from monitor.core.snapshot import Snapshot

_STEP = 1.05  # of the threshold, for each key
_MESSAGE_S = 5.0
_REPAINT_S = 3.0  # everything is written anew this often, in case something else wrote on the terminal
_POLL_S = 0.1  # of plain lines
_PAGE = 10  # streams

_log = logging.getLogger(__name__)


class Controls(Protocol):
    """What keys may do to the engine."""

    def quit(self) -> None:
        """Ends the monitoring."""

    def scale_threshold(self, factor: float, number: int) -> None:
        """Multiplies the threshold of the stream of this number, for this run."""


def show(
    latest: Callable[[], Sequence[Snapshot]],
    controls: Controls,
    done: Callable[[], bool],
    *,
    fps: float = 8.0,
    ascii: bool = False,
    colour: bool = True,
    console: Console | None = None,
    snapshot_dir: Path = Path(),
    log_every_s: float = 10.0,
) -> None:
    """Shows the monitor until `done()`, or until q is pressed. Runs in the main thread.

    Where the console is no terminal, or cannot move its cursor, it writes plain lines; so it does after the
    dashboard has failed to draw.

    Args:
        latest: the newest snapshot of each stream.
        controls: what the keys q, + and - act on.
        done: whether there is nothing more to show.
        fps: frames a second.
        ascii: nothing outside ASCII; so it is too where the console cannot encode more.
        colour: False for none; NO_COLOR in the environment does the same.
        console: where to draw, standard output by default.
        snapshot_dir: where the key s saves pictures.
        log_every_s: seconds between plain summary lines.
    """
    console = console or Console(no_color=None if colour else True, highlight=False)
    ascii = ascii or not console.encoding.lower().startswith("utf")
    plain = PlainLogs(lambda text: _write(console, text), log_every_s)
    if console.is_terminal and not console.is_dumb_terminal:
        viewer = Viewer(latest, controls, done, console, View(ascii=ascii, colour=colour), snapshot_dir)
        with console.screen(hide_cursor=True), keyboard() as wait:
            failure = viewer.run(wait, fps)
        if failure is None:
            return
        _log.debug("the dashboard failed to draw", exc_info=failure)
        plain.say(f"the dashboard stopped ({type(failure).__name__}: {failure}); monitoring goes on in plain lines")
    while True:
        over = done()  # asked before the snapshot is taken, so that the last one is told
        plain.update(latest())
        if over:
            return
        time.sleep(_POLL_S)


def _write(console: Console, text: str) -> None:
    console.file.write(text + "\n")
    console.file.flush()


class Viewer:
    """Draws on a terminal and does what the keys say: one stream in full, or several in a table."""

    def __init__(
        self,
        latest: Callable[[], Sequence[Snapshot]],
        controls: Controls,
        done: Callable[[], bool],
        console: Console,
        view: View,
        snapshot_dir: Path,
    ) -> None:
        self._latest, self._controls, self._done = latest, controls, done
        self._console, self._view, self._dir = console, view, snapshot_dir
        self._held: tuple[Snapshot, ...] | None = None  # what is shown while paused
        self._held_at = 0.0
        self._ranking = Ranking()
        self._order: list[int] = []  # of the streams in the table
        self._chosen: int | None = None  # the number of one of them
        self._full: int | None = None  # of the one that is shown in full
        self._message, self._message_end = "", 0.0
        self._quit = False
        self._painted: list[Line] = []
        self._size = (0, 0)
        self._repaint = 0.0

    def run(self, wait: Wait, fps: float) -> Exception | None:
        """Draws until done or q; the exception if drawing failed."""
        period = 1.0 / max(fps, 0.1)
        due = time.monotonic()
        while not self._quit and not self._done():
            newest = tuple(self._latest())
            try:
                self._draw(newest)
            except Exception as failure:  # noqa: BLE001 - whatever it is, the monitoring must go on
                return failure
            due = max(due + period, time.monotonic())
            while not self._quit and (left := due - time.monotonic()) > 0:
                keys = wait(left)
                for key in keys:
                    try:
                        self._press(key, newest)
                    except OSError as failure:
                        self._say(f"not saved: {failure.strerror or failure}")
                if keys:
                    break  # so that it is seen at once
        return None

    def _press(self, key: str, newest: tuple[Snapshot, ...]) -> None:
        if key in "qQ":
            self._quit = True
            self._controls.quit()
        elif key == " ":
            self._held = newest if self._held is None else None
            self._held_at = time.time()
        elif key in "+=":
            self._scale(_STEP, "up", newest)
        elif key in "-_":
            self._scale(1 / _STEP, "down", newest)
        elif key in "sS":
            self._save(newest)
        elif key == "\x0c":
            self._repaint = 0.0
        elif len(newest) > 1:
            self._move(key)

    def _move(self, key: str) -> None:
        """From stream to stream, and between the table and one of them in full."""
        if key in (ESCAPE, "t"):
            self._full = None
        elif key == ENTER:
            self._chosen = self._full = self._meant
            self._view = replace(self._view, scales=Scales())
        elif self._full is None and key in (UP, DOWN, PAGE_UP, PAGE_DOWN):
            step = {UP: -1, DOWN: 1, PAGE_UP: -_PAGE, PAGE_DOWN: _PAGE}[key]
            place = self._order.index(self._meant) + (step if self._chosen is not None else 0)
            self._chosen = self._order[min(max(place, 0), len(self._order) - 1)]

    @property
    def _meant(self) -> int:
        """The number of the stream that keys act on: the chosen one, else the one on top."""
        chosen = self._full if self._full is not None else self._chosen
        return chosen if chosen is not None else self._order[0]

    def _scale(self, factor: float, how: str, newest: tuple[Snapshot, ...]) -> None:
        number = self._meant
        self._controls.scale_threshold(factor, number)
        of = f" of {newest[number].stream}" if len(newest) > 1 else ""
        self._say(f"threshold{of} {how} 5 % for this run")

    def _say(self, message: str) -> None:
        self._message, self._message_end = message, time.monotonic() + _MESSAGE_S

    def _save(self, newest: tuple[Snapshot, ...]) -> None:
        path = self._dir / time.strftime("monitor-%Y%m%d-%H%M%S.svg")
        width, height = self._console.size
        view = replace(self._view, now=time.time() if self._held is None else self._held_at)
        save_svg(self._shown(self._held or newest), view, path, width=width, height=height)
        self._say(f"saved {path.name}")

    def _shown(self, snapshots: tuple[Snapshot, ...]) -> Snapshot | Streams:
        if len(snapshots) == 1:
            return snapshots[0]
        if self._full is not None:
            return snapshots[self._full]
        return Streams(snapshots, tuple(self._order), self._chosen)

    def _draw(self, newest: tuple[Snapshot, ...]) -> None:
        message = self._message if time.monotonic() < self._message_end else ""
        paused = self._held is not None
        if paused and not message:
            message = f"paused at {clock(self._held_at)}, now {worst(newest)}"
        now = self._held_at if paused else time.time()
        view = replace(self._view, paused=paused, message=message, now=now)
        width, height = self._console.size
        if not paused or not self._order:
            self._order = self._ranking.order(newest)
        lines = Screen(self._shown(self._held or newest), view).lines(
            width, height, theme_for(self._console, view.colour)
        )
        self._paint(lines, (width, height))

    def _paint(self, lines: list[Line], size: tuple[int, int]) -> None:
        """Writes the rows that differ from those on the terminal."""
        now = time.monotonic()
        if size != self._size or now >= self._repaint:
            self._painted, self._repaint = [], now + _REPAINT_S
        segments: list[Segment] = []
        if size != self._size:
            segments.append(Control.clear().segment)
            self._size = size
        for row, line in enumerate(lines):
            if row >= len(self._painted) or self._painted[row] != line:
                segments.append(Control.move_to(0, row).segment)
                segments += line
        self._painted = lines
        if segments:
            self._console.print(Segments(segments), end="", crop=False, highlight=False)
