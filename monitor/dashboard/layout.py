"""The whole screen: which panels fit at a size, where they stand, and how a Snapshot is drawn into them."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from rich.console import Console, ConsoleOptions, RenderableType
from rich.segment import Segment

from monitor.core.snapshot import Snapshot
from monitor.dashboard.render.cells import Line, beside, blank, block
from monitor.dashboard.render.theme import ASCII, COLOUR, MONO, SIXTEEN, UNICODE, Glyphs, Theme
from monitor.dashboard.render.view import View
from monitor.dashboard.svg_export import svg
from monitor.dashboard.widgets.anomaly_bands import bands
from monitor.dashboard.widgets.banner import WIDEST, large_word, word_rows
from monitor.dashboard.widgets.chart import History, chart, time_axis
from monitor.dashboard.widgets.event_list import events
from monitor.dashboard.widgets.overlay import KEYS as OVERLAY_KEYS
from monitor.dashboard.widgets.overlay import stream_details, stream_help
from monitor.dashboard.widgets.spectrogram import spectrogram
from monitor.dashboard.widgets.status import (
    KEYS,
    Keys,
    below_word,
    caption,
    details,
    footer,
    one_line,
    readings,
    status,
)
from monitor.dashboard.widgets.stream_table import table

_GAP = 2  # cells between the charts and the side


@dataclass(frozen=True, slots=True)
class Plan:
    """How the cells of a terminal are divided among the panels; 0 leaves a panel out."""

    width: int
    left: int  # columns of the charts
    side: int  # columns beside them: readings, events, what is unusual
    size: int  # of the large word; 0 is a word in a row of text
    top: int  # rows of the word
    status: int  # rows below the charts, where there are no details
    first: int  # rows of the first chart without its title
    second: int  # of the second chart
    spectrogram: int
    axis: int
    events: int  # rows below the charts, where there is no side
    footer: int
    details: bool  # whether there is a panel with the facts of the status rows

    @property
    def histories(self) -> int:
        """Rows of the charts and the spectrogram with their titles and the time axis."""
        return sum(rows + 1 for rows in (self.first, self.second, self.spectrogram) if rows) + self.axis


def plan(width: int, height: int, charts: int) -> Plan:
    """Divides a terminal among the panels. The state has priority, then the chart that decides it, then the others.

    Args:
        width: columns of the terminal.
        height: its rows.
        charts: 1, or 2 where the anomaly score is not the reconstruction error.
    """
    side = min(max(30, width * 31 // 100), 64) if width >= 78 and height >= 16 else 0
    left = width - side - (_GAP if side else 0)
    size = 0
    if height >= 16 and left >= WIDEST + 2:
        size = 2 if height >= 38 and left >= 2 * WIDEST + 2 else 1
    roomy = side > 0 and height >= 34
    top = word_rows(size) if size else 1
    if size and not side:
        top += 1  # the readings below the word
    keys = 1 if height >= 4 else 0
    facts = 0 if roomy or height < 14 else 2 if height >= 20 else 1
    body = height - top - keys - facts
    axis = 1 if body >= 5 else 0
    body -= axis
    below = 0
    if not side and body >= 20:
        below = min(max(body // 6, 3), 10)
        body -= below + 1
    rows = [0, 0, 0]
    if charts == 2 and body >= 14:
        body -= 3
        rows[2] = max(4, body * 46 // 100)
        rows[1] = (body - rows[2]) // 2
        rows[0] = body - rows[2] - rows[1]
    elif body >= 10:
        body -= 2
        rows[2] = max(3, body * 46 // 100)
        rows[0] = body - rows[2]
    elif body >= 2:
        rows[0] = body - 1
    return Plan(width, left, side, size, top, facts, rows[0], rows[1], rows[2], axis, below, keys, roomy)


def render(snapshot: Snapshot | Streams, view: View) -> RenderableType:
    """The screen for a snapshot, as large as the console it is printed on. It changes nothing but `view.scales`."""
    return Screen(snapshot, view)


@dataclass(frozen=True)
class Streams:
    """Several streams, to be shown in a table."""

    snapshots: tuple[Snapshot, ...]
    order: tuple[int, ...]  # their numbers, that of the top row first
    chosen: int | None = None  # the number of the stream that keys act on


@dataclass(frozen=True)
class Screen:
    """A rich renderable of a snapshot, or of several in a table, that fills the console exactly."""

    snapshot: Snapshot | Streams
    view: View

    def lines(self, width: int, height: int, theme: Theme) -> list[Line]:
        """`height` lines of exactly `width` cells."""
        if isinstance(self.snapshot, Streams):
            shown = self.snapshot
            glyphs = ASCII if self.view.ascii else UNICODE
            return table(shown.snapshots, shown.order, shown.chosen, self.view, width, height, theme, glyphs)
        return _lines(self.snapshot, self.view, width, height, theme)

    def __rich_console__(self, console: Console, options: ConsoleOptions) -> Iterator[Segment]:
        made = self.lines(options.max_width, options.height or console.height, theme_for(console, self.view.colour))
        for number, row in enumerate(made):
            if number:
                yield Segment.line()
            yield from row


def theme_for(console: Console, colour: bool) -> Theme:
    """The styles for the colours that a console can show and its user wants."""
    if not colour or console.no_color or console.color_system is None:
        return MONO
    return COLOUR if console.color_system in ("256", "truecolor") else SIXTEEN


def _lines(snapshot: Snapshot, view: View, width: int, height: int, theme: Theme) -> list[Line]:
    glyphs = ASCII if view.ascii else UNICODE
    at = plan(width, height, 1 if snapshot.score_kind == "error" else 2)
    made = _top(snapshot, view, at, theme, glyphs)
    keys: Keys = (KEYS[0], ("esc", "table"), *KEYS[1:]) if snapshot.stream else KEYS
    if view.overlay:
        keys = OVERLAY_KEYS
        rows = height - at.footer - len(made)
        if view.overlay == "help":
            made += stream_help(snapshot.score_kind, bool(snapshot.stream), width, rows, theme, glyphs)
        else:
            made += stream_details(snapshot, width, rows, theme, glyphs, view.now)
    else:
        made += _panels(snapshot, view, at, theme, glyphs)
    made = block(made, width, height - at.footer)
    if at.footer:
        made.append(footer(width, view.message or snapshot.failure, view.paused, theme, glyphs, keys))
    return made


def _top(snapshot: Snapshot, view: View, at: Plan, theme: Theme, glyphs: Glyphs) -> list[Line]:
    """The state and the readings."""
    if not at.size:
        word = [one_line(snapshot, at.left, theme, glyphs, view.now)]
    else:
        word = large_word(snapshot.state, at.left, at.size, theme, glyphs, caption(snapshot))
        if not at.side:
            word.append(below_word(snapshot, at.left, theme, glyphs, view.now))
    if not at.side:
        return word
    return beside(word, readings(snapshot, at.side, at.top, theme, glyphs, view.now), _GAP)


def _panels(snapshot: Snapshot, view: View, at: Plan, theme: Theme, glyphs: Glyphs) -> list[Line]:
    """All that stands below the state."""
    left = _charts(snapshot, view, at, theme, glyphs)
    if at.side:
        side: list[Line] = []
        bottom: list[Line] = []
        if at.details:
            side += details(snapshot, at.side, theme, glyphs, view.now, gauge=at.size < 2)
            side += blank(at.side, 1)
        if at.spectrogram:
            bottom = bands(snapshot, at.side, at.spectrogram, theme, glyphs, view.scales)
        free = at.histories - len(side) - len(bottom) - 1
        side += events(snapshot, at.side, free, theme, glyphs, view.now)
        made = beside(left, side + bottom, _GAP)
    else:
        made = left
        if at.events:
            made += events(snapshot, at.width, at.events, theme, glyphs, view.now)
    if at.status:
        made += status(snapshot, at.width, at.status, theme, glyphs, view.now)
    return made


def _charts(snapshot: Snapshot, view: View, at: Plan, theme: Theme, glyphs: Glyphs) -> list[Line]:
    """The histories and their time axis."""
    first_slot, slot_s = snapshot.first_slot, snapshot.slot_s
    error = History(
        "Reconstruction error", snapshot.error_history, first_slot, slot_s, snapshot.error, snapshot.error_threshold
    )
    score = History("Anomaly score", snapshot.score_history, first_slot, slot_s, snapshot.score, snapshot.threshold)
    made: list[Line] = []
    if at.first:
        first = error if snapshot.score_kind == "error" else score
        made += chart(first, at.left, at.first, theme, glyphs, view.scales.axes)
    if at.second:
        made += chart(error, at.left, at.second, theme, glyphs, view.scales.axes)
    if at.spectrogram:
        made += spectrogram(snapshot, at.left, at.spectrogram, theme, glyphs, view.scales)
    if at.axis:
        made.append(time_axis(at.left, theme, glyphs))
    return made


def save_svg(snapshot: Snapshot | Streams, view: View, path: Path, *, width: int = 120, height: int = 36) -> None:
    """Writes a picture of the screen at `width` × `height` cells.

    Raises:
        OSError: if the file cannot be written.
    """
    theme = COLOUR if view.colour else MONO
    lines = Screen(snapshot, view).lines(width, height, theme)
    path.write_text(svg(lines, width), encoding="utf-8")
