"""The loop that draws the latest Snapshot some times a second and acts on keys. A failure to draw ends only the loop.

rich's own refresh thread is not used: an exception on it ends it silently. Only rows that changed are
written, so that a remote terminal on a slow line keeps up.
"""

from __future__ import annotations

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
from monitor.dashboard.history import History
from monitor.dashboard.keyboard import Wait
from monitor.dashboard.layout import Screen, Streams, save_svg, theme_for
from monitor.dashboard.render.axis import Scales
from monitor.dashboard.render.cells import Line
from monitor.dashboard.render.formatting import clock
from monitor.dashboard.render.view import TIME_SPANS, View
from monitor.dashboard.selection import Selection
from monitor.dashboard.widgets.reason import ongoing
from monitor.dashboard.widgets.stream_order import worst

_STEP = 1.05  # factor of the threshold for each press of + or -
_MESSAGE_S = 5.0
_LIMIT_MESSAGE_S = 10.0  # for the message that has a setting to copy
_REPAINT_S = 3.0  # all rows are written again this often, in case something else wrote on the terminal


class Controls(Protocol):
    """What keys can do to the monitoring."""

    def end(self) -> None:
        """Ends the monitoring."""

    def scale_threshold(self, factor: float, name: str) -> None:
        """Multiplies the threshold of the stream of this name for this run."""


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
        history: History | None = None,
        acknowledge: Callable[[str], None] | None = None,
    ) -> None:
        self._latest, self._controls, self._done = latest, controls, done
        self._history, self._tell_acknowledged = history, acknowledge
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
            while not self._quit:
                keys = wait(max(0.0, due - time.monotonic()))  # also where drawing takes longer than a period
                for key in keys:
                    try:
                        self._press(key, newest)
                    except OSError as failure:
                        self._not_saved(failure)
                if keys or time.monotonic() >= due:
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
            self._selection.update(self._paused or newest, self._acknowledged)
        elif key in "+=":
            self._scale(_STEP, newest)
        elif key in "-_":
            self._scale(1 / _STEP, newest)
        elif key in "aA":
            self._acknowledge(newest)
        elif key in "sS":
            self._save(newest)
        elif key in "?hH":
            self._view = replace(self._view, overlay="help")
        elif key in "iI":
            self._view = replace(self._view, overlay="details")
        elif key in "zZ":
            self._change_time_span(newest)
        elif len(newest) > 1 and self._selection.press(key):
            self._view = replace(self._view, scales=Scales())

    def _change_time_span(self, newest: tuple[Snapshot, ...]) -> None:
        """Shows the next longer time span in the charts of a stream, after the longest the last minute again."""
        if self._history is None:
            self._show_message(lambda _: "only the last minute is kept: this run writes no store")
        elif len(newest) > 1 and self._selection.open is None:
            self._show_message(lambda _: "open a stream first: arrows, Enter")
        else:
            number = TIME_SPANS.index(self._view.time_span) + 1
            self._view = replace(self._view, time_span=TIME_SPANS[number % len(TIME_SPANS)])

    def _with_stored(self, view: View, shown: Snapshot | Streams) -> View:
        """The view with the values of hours and days, where they are shown."""
        if self._history is None or isinstance(shown, Streams) or view.time_span == TIME_SPANS[0]:
            return view
        stored = self._history.request(shown.stream, view.time_span.seconds)
        waiting = f"reading the last {view.time_span.name} from the store" if stored is None else ""
        return replace(view, stored=stored, stored_note=self._history.trouble or waiting)

    def _acting(self, newest: tuple[Snapshot, ...]) -> Snapshot | None:
        """The newest snapshot of the stream that keys act on; it is found by name, as streams come and go."""
        shown, number = self._paused or newest, self._selection.acting
        return None if number is None else _named(shown[number].stream, newest)

    def _scale(self, factor: float, newest: tuple[Snapshot, ...]) -> None:
        """Changes the limit of a stream, and says what that means and how to keep it."""
        if (acting := self._acting(newest)) is None:
            return
        self._controls.scale_threshold(factor, acting.stream)
        direction = "up" if factor > 1 else "down"

        def message(snapshots: tuple[Snapshot, ...]) -> str:
            shown = _named(acting.stream, snapshots) or acting
            means = shown.false_alarms or "false alarms unknown"
            limit = f"limit {f'of {shown.stream} ' if len(snapshots) > 1 else ''}{direction} 5 %"
            return f"{limit}: {means}; to keep: alarm.threshold: {shown.threshold:.4g}"

        self._show_message(message, _LIMIT_MESSAGE_S)

    def _acknowledge(self, newest: tuple[Snapshot, ...]) -> None:
        acting = self._acting(newest)
        event = None if acting is None else ongoing(acting)
        if acting is None or event is None:
            self._show_message(lambda _: "there is no anomaly to acknowledge")
            return
        lasting = {one.id for shown in newest if (one := ongoing(shown))}
        self._acknowledged = (self._acknowledged & lasting) | {event.id}
        if self._tell_acknowledged is not None:
            self._tell_acknowledged(event.id)
        of_stream = f" of {acting.stream}" if len(newest) > 1 else ""
        self._show_message(lambda _: f"anomaly{of_stream} acknowledged until it ends")

    def _show_message(self, message: Callable[[tuple[Snapshot, ...]], str], seconds: float = _MESSAGE_S) -> None:
        self._message, self._message_end = message, time.monotonic() + seconds

    def _save(self, newest: tuple[Snapshot, ...]) -> None:
        path = self._picture_dir / time.strftime("monitor-%Y%m%d-%H%M%S.svg")
        width, height = self._console.size
        now = time.time() if self._paused is None else self._paused_at
        shown = self._shown(self._paused or newest)
        save_svg(shown, self._with_stored(self._view_at(now), shown), path, width=width, height=height)
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
        shown = self._shown(self._paused or newest)
        view = self._with_stored(view, shown)
        lines = Screen(shown, view).lines(width, height, theme_for(self._console, view.colour))
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


def _named(name: str, snapshots: Sequence[Snapshot]) -> Snapshot | None:
    """The snapshot of the stream of this name; None if it was removed."""
    return next((shown for shown in snapshots if shown.stream == name), None)
