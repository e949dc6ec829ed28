"""The whole screen: which panels fit at a size, where they stand, and how a Snapshot is drawn into them."""

from __future__ import annotations

import math
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from rich.console import Console, ConsoleOptions, RenderableType
from rich.segment import Segment

from monitor.core.snapshot import Snapshot
from monitor.dashboard.render.binning import minute_slots, unheard_columns
from monitor.dashboard.render.cells import Line, beside, blank, block, line
from monitor.dashboard.render.theme import ASCII, COLOUR, MONO, SIXTEEN, UNICODE, Glyphs, Theme
from monitor.dashboard.render.view import TIME_SPANS, View
from monitor.dashboard.svg_export import svg
from monitor.dashboard.widgets.anomaly_bands import bands
from monitor.dashboard.widgets.banner import WIDEST, large_word, word_rows
from monitor.dashboard.widgets.chart import GUTTER, History, chart, time_axis
from monitor.dashboard.widgets.event_list import events
from monitor.dashboard.widgets.long_term import long_charts
from monitor.dashboard.widgets.overlay import KEYS as OVERLAY_KEYS
from monitor.dashboard.widgets.overlay import stream_details, stream_help
from monitor.dashboard.widgets.reason import is_acknowledged, reason
from monitor.dashboard.widgets.spectrogram import spectrogram
from monitor.dashboard.widgets.status import (
    KEYS,
    Keys,
    below_word,
    details,
    footer,
    one_line,
    readings,
    status,
    troubles,
)
from monitor.dashboard.widgets.stream_table import table

_GAP = 2  # cells between the charts and the side
_MOST_TROUBLES = 2  # rows about outputs that do not work


@dataclass(frozen=True, slots=True)
class Plan:
    """How the cells of a terminal are divided among the panels; 0 leaves a panel out."""

    width: int
    left: int  # columns of the charts
    side: int  # columns beside them: readings, events, what is unusual
    size: int  # of the large word; 0 is a word in a row of text
    top: int  # rows of the word and its reason
    status: int  # rows below the charts, where there are no details
    share: int  # rows of the chart of the share of the limit, without its title
    error: int  # of the reconstruction error
    lasting: int  # of the lasting sum
    spectrogram: int
    axis: int
    events: int  # rows below the charts, where there is no side
    troubles: int  # rows about outputs that do not work
    footer: int
    details: bool  # whether there is a panel with the facts of the status rows

    @property
    def histories(self) -> int:
        """Rows of the charts and the spectrogram with their titles and the time axis."""
        return sum(rows + 1 for rows in (self.share, self.error, self.lasting, self.spectrogram) if rows) + self.axis


def plan(width: int, height: int, outputs: int = 0) -> Plan:
    """Divides a terminal among the panels. The state has priority, then the share of the limit, then the others.

    Args:
        width: columns of the terminal.
        height: its rows.
        outputs: the number of outputs that do not work.
    """
    side = min(max(30, width * 31 // 100), 64) if width >= 78 and height >= 16 else 0
    left = width - side - (_GAP if side else 0)
    size = 0
    if height >= 16 and left >= WIDEST + 2:
        size = 2 if height >= 38 and left >= 2 * WIDEST + 2 else 1
    roomy = side > 0 and height >= 34
    top = word_rows(size) + 1 if size else 1
    if size and not side:
        top += 1  # the readings below the word
    keys = 1 if height >= 4 else 0
    wrong = min(outputs, _MOST_TROUBLES if height >= 20 else 1) if height >= 8 else 0
    facts = 0 if roomy or height < 14 else 2 if height >= 20 else 1
    body = height - top - keys - facts - wrong
    axis = 1 if body >= 5 else 0
    body -= axis
    below = 0
    if not side and body >= 20:
        below = min(max(body // 6, 3), 10)
        body -= below + 1
    share, error, lasting, spectrum = _divide(body)
    return Plan(
        width, left, side, size, top, facts, share, error, lasting, spectrum, axis, below, wrong, keys, roomy
    )  # fmt: skip


def _divide(body: int) -> tuple[int, int, int, int]:
    """The rows of the charts of share, error and lasting sum and of the spectrogram, which have a title each."""
    if body >= 26:
        body -= 4
        spectrum, lasting = body * 42 // 100, max(body // 7, 3)
    elif body >= 13:
        body -= 3
        spectrum, lasting = max(4, body * 42 // 100), 0
    elif body >= 10:
        body -= 2
        spectrum = max(3, body * 46 // 100)
        return body - spectrum, 0, 0, spectrum
    else:
        return max(body - 1, 0), 0, 0, 0
    error = (body - spectrum - lasting) // 2
    return body - spectrum - lasting - error, error, lasting, spectrum


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
    at = plan(width, height, len(set(snapshot.outputs)))
    made = _top(snapshot, view, at, theme, glyphs)
    keys: Keys = (KEYS[0], ("esc", "table"), *KEYS[1:]) if snapshot.stream else KEYS
    if view.overlay:
        keys = OVERLAY_KEYS
        rows = height - at.footer - at.troubles - len(made)
        if view.overlay == "help":
            long = view.time_span != TIME_SPANS[0]
            made += stream_help(snapshot.score_kind, bool(snapshot.stream), width, rows, theme, glyphs, long=long)
        else:
            made += stream_details(snapshot, width, rows, theme, glyphs, view.now)
    else:
        made += _panels(snapshot, view, at, theme, glyphs)
    made = block(made, width, height - at.footer - at.troubles)
    made += troubles(snapshot.outputs, width, at.troubles, theme, glyphs) if at.troubles else []
    if at.footer:
        made.append(footer(width, view.message or snapshot.failure, view.paused, theme, glyphs, keys))
    return made


def _top(snapshot: Snapshot, view: View, at: Plan, theme: Theme, glyphs: Glyphs) -> list[Line]:
    """The state and the readings."""
    if not at.size:
        word = [one_line(snapshot, at.left, theme, glyphs, view.now)]
    else:
        loud = not is_acknowledged(snapshot, view.acknowledged)
        word = large_word(snapshot.state, at.left, at.size, theme, glyphs, loud=loud)
        word.append(_reason(snapshot, view, at.left, theme))
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


def _reason(snapshot: Snapshot, view: View, width: int, theme: Theme) -> Line:
    """Why the state is what it is; on the coloured field of a loud state, unless the anomaly is acknowledged."""
    text = reason(snapshot, width - 2, view.now, view.acknowledged)
    style = theme.title
    if snapshot.state in theme.loud and not is_acknowledged(snapshot, view.acknowledged):
        style = theme.word[snapshot.state]
    return line(width, (f" {text}", style), fill=style)


def _charts(snapshot: Snapshot, view: View, at: Plan, theme: Theme, glyphs: Glyphs) -> list[Line]:
    """The histories and their time axis: of the last minute, or of hours and days from the store."""
    span = view.time_span
    if span != TIME_SPANS[0] and math.isfinite(view.now):
        return long_charts(
            view.stored, view.stored_note, span.name, span.seconds, view.now, at.left, at.histories, theme, glyphs
        )
    first_slot, slot_s = snapshot.first_slot, snapshot.slot_s
    share = History(
        "Share of limit", snapshot.share_history, first_slot, slot_s, snapshot.share_of_limit, 1.0, is_share=True
    )
    error = History(
        "Reconstruction error", snapshot.error_history, first_slot, slot_s, snapshot.error, snapshot.error_threshold
    )
    lasting = History(
        "Lasting", snapshot.lasting_history, first_slot, slot_s, snapshot.lasting_sum, 1.0, is_share=True
    )  # fmt: skip
    unheard = unheard_columns(snapshot.spectrogram, first_slot, minute_slots(slot_s), max(at.left - GUTTER, 1))
    made: list[Line] = []
    for history, rows in ((share, at.share), (error, at.error), (lasting, at.lasting)):
        if rows:
            made += chart(history, unheard, at.left, rows, theme, glyphs, view.scales)
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
