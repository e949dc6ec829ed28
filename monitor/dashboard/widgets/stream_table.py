"""Many streams in a table: the state of each, how near its alarm is, and its last event."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from rich.cells import cell_len, set_cell_size
from rich.style import Style

from monitor.core.events import State
from monitor.core.snapshot import Snapshot
from monitor.core.text import counted
from monitor.dashboard.render.binning import column_maximum, minute_slots, unheard_columns
from monitor.dashboard.render.cells import Line, Part, block, line, rule, runs, spread
from monitor.dashboard.render.formatting import (
    age,
    clock,
    duration,
    event_kind,
    event_mark,
    level,
    name,
    number,
    share,
    span,
)
from monitor.dashboard.render.theme import Glyphs, Theme
from monitor.dashboard.render.view import View
from monitor.dashboard.widgets.banner import WIDEST, large_word, word_rows
from monitor.dashboard.widgets.overlay import KEYS as OVERLAY_KEYS
from monitor.dashboard.widgets.overlay import stream_details, table_help
from monitor.dashboard.widgets.reason import is_acknowledged
from monitor.dashboard.widgets.status import Keys, footer, shorten, strain, troubles, urgency
from monitor.dashboard.widgets.stream_order import counts, worst

KEYS: Keys = (
    ("q", "quit"), ("?", "help"), ("/", "filter"), ("o", "order"), ("a", "acknowledge"), ("enter", "open"),
    ("up down", "choose"), ("space", "pause"), ("+ -", "limit"), ("s", "save picture"), ("i", "details"),
)  # fmt: skip
_FULL = 2.0  # shares of the limit at the top of a history of one row, so that the limit is at half its height
_STATE, _LEVEL, _SHARE, _LASTING, _SCORE = 11, 8, 8, 7, 15  # cells of columns
_LONGEST_NAME = 32
_EVENT = 17  # at least
_HISTORY = 10  # at least
FILTER_KEYS: Keys = (("enter", "done"), ("esc", "all streams"))  # while a filter is typed
_MOST_TROUBLES = 2  # rows about outputs that do not work
_SMALL = 48  # cells below which there are only the state, the name and the share of the limit


@dataclass(frozen=True, slots=True)
class Columns:
    """Cells of the columns; 0 leaves one out."""

    name: int
    event: int = 0
    level: int = 0
    history: int = 0
    lasting: int = 0
    score: int = 0  # score and limit in figures


def columns(width: int, longest: int) -> Columns:
    """Divides `width` cells among the columns; `longest` is the length of the longest name.

    Names are shown in full before any other column is; then the others come in the order of their importance.
    """
    room = width - 1 - _STATE - 1 - _SHARE - 1
    if width < _SMALL:
        return Columns(max(room, 1))
    named = min(max(longest, 8), _LONGEST_NAME, room)
    room -= named
    cells: dict[str, int] = {}
    for column, least, before in (
        ("event", _EVENT, 2), ("level", _LEVEL, 1), ("history", _HISTORY, 2), ("lasting", _LASTING, 1),
    ):  # fmt: skip
        if room >= least + before:
            cells[column] = least
            room -= least + before
    if "history" in cells and room >= 50:
        cells["score"] = _SCORE
        room -= _SCORE + 1
    if "event" in cells:
        wider = min(room // 3 if "history" in cells else room, _EVENT)
        cells["event"] += wider
        room -= wider
    if "history" in cells:
        cells["history"] += room
    return Columns(named, **cells)


def table(
    snapshots: Sequence[Snapshot], order: Sequence[int], chosen: int | None, view: View, width: int, height: int,
    theme: Theme, glyphs: Glyphs,
) -> list[Line]:  # fmt: skip
    """`height` lines of exactly `width` cells.

    Args:
        snapshots: one of each stream.
        order: their numbers, that of the top row first.
        chosen: the number of the stream that keys act on.
    """
    footer_rows = 1 if height >= 4 else 0
    title_rows = 1 if height >= 6 else 0
    totals_rows = 1 if height >= 8 else 0
    wrong = list(dict.fromkeys(text for shown in snapshots for text in shown.outputs))
    trouble_rows = min(len(wrong), _MOST_TROUBLES if height >= 20 else 1) if height >= 8 else 0
    free = height - 1 - title_rows - totals_rows - trouble_rows - footer_rows
    made: list[Line] = []
    if free - len(order) > word_rows(1) and width >= WIDEST + 2 and height >= 16:
        made = _large_word(snapshots, view, width, theme, glyphs)
        free -= len(made)
    made.append(_heading(snapshots, view, width, theme, glyphs))
    if totals_rows:
        made.append(_totals(snapshots, order, view, width, theme, glyphs))
    keys: Keys = KEYS
    shown_one = chosen if chosen is not None else order[0] if order else None
    if view.overlay == "help" or (view.overlay and shown_one is not None):
        keys = OVERLAY_KEYS
        rows = height - footer_rows - trouble_rows - len(made)
        if view.overlay == "help" or shown_one is None:
            made += table_help(width, rows, theme, glyphs)
        else:
            made += stream_details(snapshots[shown_one], width, rows, theme, glyphs, view.now)
    else:
        at = columns(width, max((cell_len(shown.stream) for shown in snapshots), default=0))
        if title_rows:
            made.append(_titles(at, width, theme))
        made += _rows(snapshots, order, chosen, view, at, width, max(free, 0), theme, glyphs)
    made = block(made, width, height - footer_rows - trouble_rows)
    made += troubles(wrong, width, trouble_rows, theme, glyphs) if trouble_rows else []
    if footer_rows:
        message = view.message
        if view.typing:
            keys, message = FILTER_KEYS, f"show names with: {view.filter}_"
        made.append(footer(width, message, view.paused, theme, glyphs, keys))
    return made


def _large_word(snapshots: Sequence[Snapshot], view: View, width: int, theme: Theme, glyphs: Glyphs) -> list[Line]:
    """The worst state, with the names of the streams that are in it."""
    state = worst(snapshots, view.acknowledged)
    those = [shown for shown in snapshots if shown.state is state]
    fresh = [shown for shown in those if not is_acknowledged(shown, view.acknowledged)]
    caption = ", ".join(shown.stream for shown in fresh or those)
    if len(counts(snapshots)) == 1:
        caption = f"all {len(snapshots)} streams"
    room = max(width - WIDEST - 6, 0)
    caption = name(caption if len(caption) <= room else caption[: max(room - 1, 0)] + glyphs.ellipsis, glyphs)
    one_cell_each = cell_len(caption) == len(caption)  # the large word needs that
    return large_word(state, width, 1, theme, glyphs, caption if one_cell_each else "", loud=bool(fresh))


def _heading(snapshots: Sequence[Snapshot], view: View, width: int, theme: Theme, glyphs: Glyphs) -> Line:
    """How many streams are in which state, and the time."""
    found: list[Part] = []
    for state, count in counts(snapshots):
        found.append((f" {count} {state.value} ", theme.word[state]))
    first: list[Part] = [("Streams ", theme.title), *found]
    last: list[Part] = [(clock(view.now), theme.label)] if math.isfinite(view.now) else []
    return rule(width, theme, glyphs, first, last)


def _totals(
    snapshots: Sequence[Snapshot], order: Sequence[int], view: View, width: int, theme: Theme, glyphs: Glyphs
) -> Line:
    """What has happened today, how busy the computer is, and which streams are shown in which order."""
    today = view.today or [(shown.anomalies, shown.lost_s) for shown in snapshots]
    anomalies, lost_s = sum(count for count, _ in today), sum(seconds for _, seconds in today)
    load, uptime = (max(getattr(shown, fact) for shown in snapshots) for fact in ("load", "uptime_s"))
    dot: Part = (f" {glyphs.dot} ", theme.frame)
    shown: list[Part] = [(f"sorted by {view.sort}", theme.label)]
    if view.filter and not view.typing:
        names = name(view.filter, glyphs)
        shown = [(f'{len(order)} of {len(snapshots)} with "{names}"', theme.warn), dot, *shown]
    first: list[Part] = [
        ("  today ", theme.label),
        (counted(anomalies, "anomaly", "anomalies"), theme.value),
        (f", {duration(lost_s)} not heard", theme.value),
        dot,
        ("computer ", theme.label),
        (f"{share(load)} busy", strain(load, theme)),
    ]
    running: list[Part] = [dot, (f"running {span(uptime)}", theme.label)]
    used = sum(cell_len(text) for text, _ in [*first, *running, *shown])
    return spread(width, [*first, *(running if used + 2 <= width else [])], shown)


def _titles(at: Columns, width: int, theme: Theme) -> Line:
    text = f"  {'state':<{_STATE - 1}} {'stream':<{at.name}} {'of limit':>{_SHARE}}"
    text += f" {'level':>{_LEVEL}}" if at.level else ""
    text += f" {'lasting':>{_LASTING}}" if at.lasting else ""
    text += f" {'score / limit':>{_SCORE}}" if at.score else ""
    if at.history:
        title = "share of limit, last minute" if at.history >= 27 else "last minute"
        text += f"  {title:<{at.history}}"[: at.history + 2]
    return line(width, (text + ("  last event" if at.event else ""), theme.label))


def _rows(
    snapshots: Sequence[Snapshot], order: Sequence[int], chosen: int | None, view: View, at: Columns, width: int,
    rows: int, theme: Theme, glyphs: Glyphs,
) -> list[Line]:  # fmt: skip
    """As many streams as fit, the chosen one among them, and a line that says what is not shown."""
    if len(order) <= rows:
        return [_row(snapshots[n], n == chosen, view, at, width, theme, glyphs) for n in order]
    shown = max(rows - 1, 0)
    place = order.index(chosen) if chosen in order else 0
    first = min(max(place - shown + 1, 0), len(order) - shown)
    part = order[first : first + shown]
    made = [_row(snapshots[n], n == chosen, view, at, width, theme, glyphs) for n in part]
    hidden = [snapshots[n] for n in order if n not in part]
    states = counts(hidden)
    what = f"all {states[0][0]}" if len(states) == 1 else ", ".join(f"{count} {state}" for state, count in states)
    return [*made, line(width, (f" + {len(hidden)} more, {what}", theme.label))][:rows]


def _row(shown: Snapshot, chosen: bool, view: View, at: Columns, width: int, theme: Theme, glyphs: Glyphs) -> Line:
    of_limit = shown.share_of_limit
    calm = shown.state in (State.NORMAL, State.OFF)
    mark = Style(reverse=True) if chosen else Style.null()
    shown_name = shorten(name(shown.stream, glyphs), at.name, glyphs)
    style = theme.value if calm and not chosen else theme.title
    word, word_style = shown.state.value, theme.frame if calm and shown.finished else theme.word[shown.state]
    if is_acknowledged(shown, view.acknowledged):
        word, word_style = f"{word} {glyphs.acknowledged}", theme.alert
    parts: list[Part] = [
        (">" if chosen else " ", theme.key),
        (f" {word:<{_STATE - 1}}", word_style),
        (" ", theme.plain),
        (set_cell_size(shown_name, at.name), style + mark),
        (f" {share(of_limit):>{_SHARE}}", theme.alert if of_limit > 1 else theme.value),
    ]
    if at.level:
        parts.append((f" {level(shown.level_dbfs, digits=0):>{_LEVEL}}", theme.label))
    if at.lasting:
        lasting = share(shown.lasting_sum) if shown.lasting_sum >= 0.005 else "-"
        urgent = urgency(shown.lasting_sum, theme) if shown.lasting_sum >= 0.5 else theme.label
        parts.append((f" {lasting:>{_LASTING}}", urgent))
    if at.score:
        figures = f"{number(shown.score)} / {number(shown.threshold)}"
        parts.append((f" {figures:>{_SCORE}}", theme.label))
    made = line(sum(cell_len(text) for text, _ in parts), *parts)
    if at.history:
        made += [*line(2), *_history(shown, at.history, theme, glyphs)]
    if at.event:
        made += [*line(2), *_last_event(shown, view.now, at.event, theme, glyphs)]
    return line(width, *((segment.text, segment.style or theme.plain) for segment in made))


def _history(shown: Snapshot, width: int, theme: Theme, glyphs: Glyphs) -> Line:
    """The share of the limit of the last minute in one row: the limit is at half its height, what is above stands out.

    Columns in which no sound was heard are hatched.
    """
    slots = minute_slots(shown.slot_s)
    shares = column_maximum(shown.share_history, shown.first_slot, slots, width)
    unheard = unheard_columns(shown.spectrogram, shown.first_slot, slots, width)
    steps = len(glyphs.levels)
    with np.errstate(invalid="ignore"):
        heights = np.clip(np.nan_to_num(shares / _FULL * steps), 0, steps - 1).astype(int)
    known = np.isfinite(shares)
    text = "".join(
        glyphs.unheard if none else glyphs.levels[height] if there else glyphs.unlit
        for height, there, none in zip(heights.tolist(), known.tolist(), unheard.tolist(), strict=True)
    )
    codes = np.where(known & ~unheard, np.where(shares > 1, 2, 1), 0).tolist()
    return runs(codes, text, (theme.frame, theme.trace, theme.alert))


def _last_event(shown: Snapshot, now: float, width: int, theme: Theme, glyphs: Glyphs) -> Line:
    """The newest event, and how long ago it began or for how long it has lasted; or why the stream failed."""
    if shown.failure:
        return line(width, (name(shown.failure, glyphs), theme.warn))
    if not shown.events:
        return line(width, ("ended" if shown.finished else "", theme.frame))
    event = shown.events[-1]
    kind = name(event_kind(event), glyphs)
    lasts = event.end_s is None
    loud = theme.alert if event.kind == "anomaly" else theme.warn
    when = age(now - event.wall_time)
    words = f"for {when}" if lasts else f"{when} ago"
    words = words if len(kind) + len(words) + 3 <= width else when
    style = theme.label if not lasts or event.kind in ("off", "new mode") else loud
    mark: Part = (f"{event_mark(event, glyphs)} ", loud if lasts else theme.label)
    return spread(width, [mark, (kind, style)], [(words, style)])
