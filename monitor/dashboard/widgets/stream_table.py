"""Many streams in a table: the state of each, its score as a share of its limit, and its last event."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from rich.cells import cell_len, set_cell_size
from rich.style import Style

from monitor.core.events import State
from monitor.core.snapshot import Snapshot
from monitor.dashboard.render.binning import column_maximum, minute_slots
from monitor.dashboard.render.cells import Line, Part, block, line, rule, runs, spread
from monitor.dashboard.render.formatting import age, clock, event_kind, event_mark, level, name, number, share, span
from monitor.dashboard.render.theme import Glyphs, Theme
from monitor.dashboard.render.view import View
from monitor.dashboard.widgets.banner import WIDEST, large_word, word_rows
from monitor.dashboard.widgets.overlay import KEYS as OVERLAY_KEYS
from monitor.dashboard.widgets.overlay import stream_details, table_help
from monitor.dashboard.widgets.status import Keys, footer, shorten, urgency
from monitor.dashboard.widgets.stream_order import counts, worst

KEYS: Keys = (
    ("q", "quit"), ("space", "pause"), ("?", "help"), ("up down", "choose"), ("enter", "open"), ("+ -", "limit"),
    ("s", "save picture"), ("i", "details"),
)  # fmt: skip
_FULL = 2.0  # shares of the limit at the top of a history of one row, so that the limit is at half its height
_STATE, _LEVEL, _SHARE, _LASTING, _SCORE = 11, 8, 8, 7, 15  # cells of columns
_EVENT = 17  # at least
_SMALL = 48  # cells below which there are only the state, the name and the share of the limit
_LOAD_ROOM = 68  # cells from which on the heading may say how busy the computer is


@dataclass(frozen=True, slots=True)
class Columns:
    """Cells of the columns whose width varies; 0 leaves one out."""

    name: int
    history: int
    event: int
    score: int  # score and limit in figures
    facts: bool  # level and lasting sum


def columns(width: int, longest: int) -> Columns:
    """Divides `width` cells among the columns; `longest` is the length of the longest name."""
    fixed = 1 + _STATE + 1 + _SHARE
    if width < _SMALL:
        return Columns(max(width - fixed - 1, 1), 0, 0, 0, False)
    room = width - fixed - 1 - (_LEVEL + 1) - (_LASTING + 1)
    named = min(max(longest, 8), max(room * 2 // 7, 8), 32)
    room -= named
    score = _SCORE + 1 if room >= 60 else 0
    event = min(max((room - score) // 3, _EVENT), 2 * _EVENT) if room >= _EVENT + 10 else 0
    history = room - score - 2 - (event + 2 if event else 0)
    return Columns(named, max(history, 0), event, score, True)


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
    free = height - 1 - title_rows - footer_rows
    made: list[Line] = []
    if free - len(order) > word_rows(1) and width >= WIDEST + 2 and height >= 16:
        made = _large_word(snapshots, order, width, theme, glyphs)
        free -= len(made)
    made.append(_heading(snapshots, view, width, theme, glyphs))
    keys: Keys = KEYS
    if view.overlay:
        keys = OVERLAY_KEYS
        rows = height - footer_rows - len(made)
        if view.overlay == "help":
            made += table_help(width, rows, theme, glyphs)
        else:
            shown = snapshots[order[0] if chosen is None else chosen]
            made += stream_details(shown, width, rows, theme, glyphs, view.now)
    else:
        at = columns(width, max((len(shown.stream) for shown in snapshots), default=0))
        if title_rows:
            made.append(_titles(at, width, theme))
        made += _rows(snapshots, order, chosen, view, at, width, max(free, 0), theme, glyphs)
    made = block(made, width, height - footer_rows)
    if footer_rows:
        made.append(footer(width, view.message, view.paused, theme, glyphs, keys))
    return made


def _large_word(
    snapshots: Sequence[Snapshot], order: Sequence[int], width: int, theme: Theme, glyphs: Glyphs
) -> list[Line]:
    """The worst state, with the names of the streams that are in it."""
    state = worst(snapshots)
    names = ", ".join(snapshots[n].stream for n in order if snapshots[n].state is state)
    caption = f"all {len(order)} streams" if len(counts(snapshots)) == 1 else names
    room = max(width - WIDEST - 6, 0)
    caption = name(caption if len(caption) <= room else caption[: max(room - 1, 0)] + glyphs.ellipsis, glyphs)
    one_cell_each = cell_len(caption) == len(caption)  # the large word needs that
    return large_word(state, width, 1, theme, glyphs, caption if one_cell_each else "")


def _heading(snapshots: Sequence[Snapshot], view: View, width: int, theme: Theme, glyphs: Glyphs) -> Line:
    """How many streams are in which state, how busy the computer is, and the time."""
    found: list[Part] = []
    for state, count in counts(snapshots):
        found.append((f" {count} {state.value} ", theme.word[state]))
    first: list[Part] = [("Streams ", theme.title), *found]
    last: list[Part] = []
    if math.isfinite(view.now):
        last = [(clock(view.now), theme.label)]
    load, uptime = (max(getattr(shown, fact) for shown in snapshots) for fact in ("load", "uptime_s"))
    facts = f"computer {share(load)} busy {glyphs.dot} running {span(uptime)}{f' {glyphs.dot} ' if last else ''}"
    used = sum(cell_len(text) for text, _ in [*first, *last])
    if width >= max(_LOAD_ROOM, used + len(facts) + 8):
        last.insert(0, (facts, theme.label))
    return rule(width, theme, glyphs, first, last)


def _titles(at: Columns, width: int, theme: Theme) -> Line:
    text = f"  {'state':<{_STATE - 1}} {'stream':<{at.name}} {'of limit':>{_SHARE}}"
    if at.facts:
        text += f" {'level':>{_LEVEL}} {'lasting':>{_LASTING}}"
    if at.score:
        text += f" {'score / limit':>{_SCORE}}"
    if at.history:
        text += f"  {'score, last minute' if at.history >= 18 else 'last minute':<{at.history}}"[: at.history + 2]
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
    parts: list[Part] = [
        (">" if chosen else " ", theme.key),
        (f" {shown.state.value:<{_STATE - 1}}", theme.frame if calm and shown.finished else theme.word[shown.state]),
        (" ", theme.plain),
        (set_cell_size(shown_name, at.name), style + mark),
        (f" {share(of_limit):>{_SHARE}}", theme.alert if of_limit > 1 else theme.value),
    ]
    if at.facts:
        lasting = share(shown.lasting_sum) if shown.lasting_sum >= 0.005 else "-"
        parts += [
            (f" {level(shown.level_dbfs, digits=0):>{_LEVEL}}", theme.label),
            (f" {lasting:>{_LASTING}}", urgency(shown.lasting_sum, theme) if shown.lasting_sum >= 0.5 else theme.label),
        ]
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
    """The score of the last minute in one row: the limit is at half its height, and values above it stand out."""
    values = column_maximum(shown.score_history, shown.first_slot, minute_slots(shown.slot_s), width)
    steps = len(glyphs.levels)
    with np.errstate(invalid="ignore"):
        shares = values / shown.threshold if shown.threshold > 0 else np.full(width, np.nan)
        heights = np.clip(np.nan_to_num(shares / _FULL * steps), 0, steps - 1).astype(int)
    known = np.isfinite(shares)
    text = "".join(
        glyphs.levels[height] if there else glyphs.unlit
        for height, there in zip(heights.tolist(), known.tolist(), strict=True)
    )
    codes = np.where(known, np.where(shares > 1, 2, 1), 0).tolist()
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
    style = theme.label if not lasts or event.kind == "off" else loud
    mark: Part = (f"{event_mark(event, glyphs)} ", loud if lasts else theme.label)
    return spread(width, [mark, (kind, style)], [(words, style)])
