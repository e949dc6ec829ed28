"""The loop that draws the latest Snapshot some times a second and acts on keys. A failure to draw ends only the loop.

rich's own refresh thread is not used: an exception on it ends it silently. Only rows that changed are
written, so that a remote terminal on a slow line keeps up.
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

from monitor.core.snapshot import Snapshot
from monitor.dashboard.day_totals import DayTotals, Totals
from monitor.dashboard.keyboard import Wait, keyboard
from monitor.dashboard.layout import Screen, Streams, save_svg, theme_for
from monitor.dashboard.plain_log import PlainLogs, WriteLog
from monitor.dashboard.render.axis import Scales
from monitor.dashboard.render.cells import Line
from monitor.dashboard.render.formatting import clock
from monitor.dashboard.render.view import View
from monitor.dashboard.selection import Selection
from monitor.dashboard.widgets.reason import ongoing
from monitor.dashboard.widgets.stream_order import worst

_STEP = 1.05  # factor of the threshold for each press of + or -
_MESSAGE_S = 5.0
_LIMIT_MESSAGE_S = 10.0  # for the message that has a setting to copy
_REPAINT_S = 3.0  # all rows are written again this often, in case something else wrote on the terminal
_POLL_S = 0.1  # between looks for new log lines

_log = logging.getLogger(__name__)


class Controls(Protocol):
    """What keys can do to the monitoring."""

    def end(self) -> None:
        """Ends the monitoring."""

    def scale_threshold(self, factor: float, number: int) -> None:
        """Multiplies the threshold of stream `number` for this run."""


def show(
    latest: Callable[[], Sequence[Snapshot]],
    controls: Controls,
    done: Callable[[], bool],
    *,
    fps: float = 8.0,
    ascii: bool = False,
    colour: bool = True,
    console: Console | None = None,
    log: WriteLog | None = None,
    snapshot_dir: Path = Path(),
    log_every_s: float = 10.0,
) -> None:
    """Shows the monitoring until `done()`, or until q is pressed. Runs in the main thread.

    It writes plain log lines instead if the console is no terminal or cannot move its cursor, and after a failure
    to draw.

    Args:
        latest: returns the newest snapshot of each stream.
        controls: is called by the keys q, + and -.
        done: returns whether there is nothing more to show.
        fps: frames a second.
        ascii: use no characters outside ASCII, as where the console cannot encode them.
        colour: False for no colours; NO_COLOR in the environment does the same.
        console: where to draw, standard output by default.
        log: takes a log line as a text and its facts; None writes the text on the console.
        snapshot_dir: where the key s saves pictures.
        log_every_s: seconds between log lines that summarise.
    """
    console = console or Console(no_color=None if colour else True, highlight=False)
    ascii = ascii or not console.encoding.lower().startswith("utf")
    plain = PlainLogs(log or (lambda text, _: _write(console, text)), log_every_s)
    if console.is_terminal and not console.is_dumb_terminal:
        viewer = Viewer(latest, controls, done, console, View(ascii=ascii, colour=colour), snapshot_dir)
        with console.screen(hide_cursor=True), keyboard() as wait:
            failure = viewer.run(wait, fps)
        if failure is None:
            return
        _log.debug("the dashboard failed to draw", exc_info=failure)
        plain.say(f"the dashboard stopped ({type(failure).__name__}: {failure}); monitoring goes on, with log lines")
    while True:
        over = done()  # asked before the snapshot is taken, so that the last one is logged
        plain.update(latest())
        if over:
            return
        time.sleep(_POLL_S)


def _write(console: Console, text: str) -> None:
    console.file.write(text + "\n")
    console.file.flush()


class Viewer:
    """Draws on a terminal and acts on keys. Shows one stream, or several in a table."""

    def __init__(
        self,
        latest: Callable[[], Sequence[Snapshot]],
        controls: Controls,
        done: Callable[[], bool],
        console: Console,
        view: View,
        picture_dir: Path,
    ) -> None:
        self._latest, self._controls, self._done = latest, controls, done
        self._console, self._view, self._picture_dir = console, view, picture_dir
        self._paused: tuple[Snapshot, ...] | None = None  # the snapshots that are shown while the display is paused
        self._paused_at = 0.0
        self._selection = Selection()
        self._acknowledged: frozenset[str] = frozenset()  # ids of anomalies
        self._day_totals = DayTotals()
        self._today: tuple[Totals, ...] = ()  # of each stream
        self._message: Callable[[tuple[Snapshot, ...]], str] = lambda _: ""  # from the newest snapshots
        self._message_end = 0.0
        self._quit = False
        self._painted: list[Line] = []
        self._size = (0, 0)
        self._repaint = 0.0

    def run(self, wait: Wait, fps: float) -> Exception | None:
        """Draws until done or until q is pressed. Returns the exception if drawing failed."""
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
                        self._not_saved(failure)
                if keys:
                    break  # to draw the effect at once
        return None

    def _press(self, key: str, newest: tuple[Snapshot, ...]) -> None:
        if self._view.overlay:
            self._view = replace(self._view, overlay="")
        elif key == "\x0c":
            self._repaint = 0.0
        elif self._selection.typing:
            self._selection.type(key)
        elif key in "qQ":
            self._quit = True
            self._controls.end()
        elif key == " ":
            self._paused = newest if self._paused is None else None
            self._paused_at = time.time()
        elif key in "+=":
            self._scale(_STEP)
        elif key in "-_":
            self._scale(1 / _STEP)
        elif key in "aA":
            self._acknowledge(newest)
        elif key in "sS":
            self._save(newest)
        elif key in "?hH":
            self._view = replace(self._view, overlay="help")
        elif key in "iI":
            self._view = replace(self._view, overlay="details")
        elif len(newest) > 1 and self._selection.press(key):
            self._view = replace(self._view, scales=Scales())

    def _scale(self, factor: float) -> None:
        """Changes the limit of a stream, and says what that means and how to keep it."""
        if (stream := self._selection.acting) is None:
            return
        self._controls.scale_threshold(factor, stream)
        direction = "up" if factor > 1 else "down"

        def message(snapshots: tuple[Snapshot, ...]) -> str:
            shown = snapshots[stream]
            means = shown.false_alarms or "false alarms unknown"
            limit = f"limit {f'of {shown.stream} ' if len(snapshots) > 1 else ''}{direction} 5 %"
            return f"{limit}: {means}; to keep: alarm.threshold: {shown.threshold:.4g}"

        self._show_message(message, _LIMIT_MESSAGE_S)

    def _acknowledge(self, newest: tuple[Snapshot, ...]) -> None:
        stream = self._selection.acting
        event = None if stream is None else ongoing(newest[stream])
        if stream is None or event is None:
            self._show_message(lambda _: "there is no anomaly to acknowledge")
            return
        lasting = {one.id for shown in newest if (one := ongoing(shown))}
        self._acknowledged = (self._acknowledged & lasting) | {event.id}
        of_stream = f" of {newest[stream].stream}" if len(newest) > 1 else ""
        self._show_message(lambda _: f"anomaly{of_stream} acknowledged until it ends")

    def _show_message(self, message: Callable[[tuple[Snapshot, ...]], str], seconds: float = _MESSAGE_S) -> None:
        self._message, self._message_end = message, time.monotonic() + seconds

    def _save(self, newest: tuple[Snapshot, ...]) -> None:
        path = self._picture_dir / time.strftime("monitor-%Y%m%d-%H%M%S.svg")
        width, height = self._console.size
        now = time.time() if self._paused is None else self._paused_at
        save_svg(self._shown(self._paused or newest), self._view_at(now), path, width=width, height=height)
        self._show_message(lambda _: f"saved {path.name}")

    def _not_saved(self, failure: OSError) -> None:
        self._show_message(lambda _: f"not saved: {failure.strerror or failure}")

    def _view_at(self, now: float) -> View:
        selection = self._selection
        return replace(
            self._view,
            now=now,
            sort=selection.sort,
            filter=selection.filter,
            typing=selection.typing,
            today=self._today,
            acknowledged=self._acknowledged,
        )

    def _shown(self, snapshots: tuple[Snapshot, ...]) -> Snapshot | Streams:
        if len(snapshots) == 1:
            return snapshots[0]
        if self._selection.open is not None:
            return snapshots[self._selection.open]
        return Streams(snapshots, tuple(self._selection.order), self._selection.chosen)

    def _draw(self, newest: tuple[Snapshot, ...]) -> None:
        message = self._message(newest) if time.monotonic() < self._message_end else ""
        paused = self._paused is not None
        if paused and not message:
            message = f"paused at {clock(self._paused_at)}, state now {worst(newest)}"
        self._today = self._day_totals.update(newest, time.time())
        now = self._paused_at if paused else time.time()
        view = replace(self._view_at(now), paused=paused, message=message)
        width, height = self._console.size
        self._selection.update(self._paused or newest, self._acknowledged)
        lines = Screen(self._shown(self._paused or newest), view).lines(
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
