"""Many streams in a table: what state each is in, how its score stands to its threshold, and what happened last."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from rich.cells import cell_len, set_cell_size
from rich.style import Style

from monitor.dashboard.render.binning import column_maximum, minute_slots
from monitor.dashboard.widgets.banner import WIDEST, large_word, word_rows
from monitor.dashboard.render.cells import Line, Part, block, line, rule, runs, spread
from monitor.dashboard.widgets.status import footer, percent, shorten, urgency
from monitor.dashboard.widgets.stream_order import counts, times_threshold, worst
from monitor.dashboard.render.formatting import age, clock, level, name, number, span
from monitor.dashboard.render.theme import Glyphs, Theme
from monitor.dashboard.render.view import View
from monitor.core.snapshot import Event, Snapshot, State

KEYS = (
    ("q", "quit"), ("up down", "choose"), ("enter", "in full"), ("space", "pause"), ("+ -", "threshold"),
    ("s", "save picture"),
)  # fmt: skip
_FULL = 2.0  # times the threshold: the top of a history of one row, so that the threshold is half-way up
_STATE, _LEVEL, _TIMES, _EVIDENCE, _SCORE = 11, 6, 6, 5, 15  # cells of columns
_EVENT = 17  # at least
_SMALL = 48  # cells below which there are only state, name and ratio


@dataclass(frozen=True, slots=True)
class Columns:
    """Cells of the columns that have no width of their own; 0 leaves one out."""

    name: int
    history: int
    event: int
    score: int  # score and threshold in figures
    facts: bool  # level and evidence


def columns(width: int, longest: int) -> Columns:
    """Shares out `width` cells to streams whose longest name has `longest`."""
    fixed = 1 + _STATE + 1 + _TIMES
    if width < _SMALL:
        return Columns(max(width - fixed - 1, 1), 0, 0, 0, False)
    room = width - fixed - 1 - (_LEVEL + 1) - (_EVIDENCE + 1)
    named = min(max(longest, 8), max(room * 2 // 7, 8), 32)
    room -= named
    score = _SCORE + 1 if room >= 60 else 0
    event = min(max((room - score) // 3, _EVENT), 2 * _EVENT) if room >= 2 * _EVENT - 4 else 0
    history = room - score - 2 - (event + 2 if event else 0)
    return Columns(named, max(history, 0), event, score, True)


def table(
    snapshots: Sequence[Snapshot], order: Sequence[int], chosen: int | None, view: View, width: int, height: int,
    theme: Theme, glyphs: Glyphs,
) -> list[Line]:  # fmt: skip
    """`height` lines of exactly `width` cells.

    Args:
        snapshots: one of each stream.
        order: their numbers, the first on top.
        chosen: the number of the stream that a key acts on.
    """
    keys = 1 if height >= 4 else 0
    head = _heading(snapshots, view, width, theme, glyphs)
    names = 1 if height >= 6 else 0
    free = height - 1 - names - keys
    large = word_rows(1)
    if free - len(order) > large and width >= WIDEST + 2 and height >= 16:
        state = worst(snapshots)
        who = ", ".join(snapshots[n].stream for n in order if snapshots[n].state is state)
        says = f"all {len(order)} streams" if len(counts(snapshots)) == 1 else who
        room = max(width - WIDEST - 6, 0)
        says = says if len(says) <= room else says[: max(room - 1, 0)] + glyphs.ellipsis
        says = name(says, glyphs)
        caption = says if cell_len(says) == len(says) else ""  # of which the large word knows only the length
        made = [*large_word(state, width, 1, theme, glyphs, caption), head]
        free -= large
    else:
        made = [head]
    at = columns(width, max((len(shown.stream) for shown in snapshots), default=0))
    if names:
        made.append(_titles(at, width, theme, glyphs))
    made += _rows(snapshots, order, chosen, view, at, width, max(free, 0), theme, glyphs)
    made = block(made, width, height - keys)
    if keys:
        made.append(footer(width, view.message, view.paused, theme, glyphs, KEYS))
    return made


def _heading(snapshots: Sequence[Snapshot], view: View, width: int, theme: Theme, glyphs: Glyphs) -> Line:
    """How many streams are in which state, the time, and how busy the worker is."""
    found: list[Part] = []
    for state, count in counts(snapshots):
        found += [("  " if found else "", theme.frame), (f" {count} {state.value} ", theme.word[state])]
    last: list[Part] = []
    if width >= _SMALL + 20:
        load, uptime = (max(getattr(shown, fact) for shown in snapshots) for fact in ("load", "uptime_s"))
        last = [(f"load {percent(load)} {glyphs.dot} up {span(uptime)}", theme.label)]
    if math.isfinite(view.now):
        last.append((f"{f' {glyphs.dot} ' if last else ''}{clock(view.now)}", theme.label))
    return rule(width, theme, glyphs, [("Streams ", theme.title), *found], last)


def _titles(at: Columns, width: int, theme: Theme, glyphs: Glyphs) -> Line:
    text = f"  {'state':<{_STATE - 1}} {'stream':<{at.name}} {f'{glyphs.times}limit':>{_TIMES}}"
    if at.facts:
        text += f" {'dBFS':>{_LEVEL}} {'evid.':>{_EVIDENCE}}"
    if at.score:
        text += f" {'score / limit':>{_SCORE}}"
    if at.history:
        text += f"  {'score, last minute' if at.history >= 18 else 'last minute':<{at.history}}"[: at.history + 2]
    return line(width, (text + ("  last event" if at.event else ""), theme.label))


def _rows(
    snapshots: Sequence[Snapshot], order: Sequence[int], chosen: int | None, view: View, at: Columns, width: int,
    rows: int, theme: Theme, glyphs: Glyphs,
) -> list[Line]:  # fmt: skip
    """As many streams as there is room for, the chosen one among them, and in words what is not shown."""
    if len(order) <= rows:
        return [_row(snapshots[n], n == chosen, view, at, width, theme, glyphs) for n in order]
    shown = max(rows - 1, 0)
    place = order.index(chosen) if chosen in order else 0
    first = min(max(place - shown + 1, 0), len(order) - shown)
    part = order[first : first + shown]
    made = [_row(snapshots[n], n == chosen, view, at, width, theme, glyphs) for n in part]
    hidden = [snapshots[n] for n in order if n not in part]
    kinds = counts(hidden)
    what = f"all {kinds[0][0].value}" if len(kinds) == 1 else ", ".join(f"{count} {state}" for state, count in kinds)
    return [*made, line(width, (f" + {len(hidden)} more, {what}", theme.label))][:rows]


def _row(shown: Snapshot, chosen: bool, view: View, at: Columns, width: int, theme: Theme, glyphs: Glyphs) -> Line:
    ratio = times_threshold(shown)
    over = ratio > 1
    times = f"{glyphs.times}{ratio:.2f}" if ratio < 9.995 else f"{glyphs.times}{number(ratio)}"
    calm = shown.state in (State.NORMAL, State.OFF)
    mark = Style(reverse=True) if chosen else Style.null()
    shown_name = shorten(name(shown.stream, glyphs), at.name, glyphs)
    style = theme.value if calm and not chosen else theme.title
    parts: list[Part] = [
        (">" if chosen else " ", theme.key),
        (f" {shown.state.value:<{_STATE - 1}}", theme.frame if calm and shown.finished else theme.word[shown.state]),
        (" ", theme.plain),
        (set_cell_size(shown_name, at.name), style + mark),
        (f" {times if math.isfinite(ratio) else '-':>{_TIMES}}", theme.alert if over else theme.value),
    ]
    if at.facts:
        growing = percent(shown.evidence) if shown.evidence >= 0.005 else "-"
        parts += [
            (f" {level(shown.level_dbfs):>{_LEVEL}}", theme.label),
            (f" {growing:>{_EVIDENCE}}", urgency(shown.evidence, theme) if shown.evidence >= 0.5 else theme.label),
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
    """The score of the last minute in one row: the threshold is half-way up, and what is above it stands out."""
    values = column_maximum(shown.score_history, shown.first_slot, minute_slots(shown.slot_s), width)
    steps = len(glyphs.levels)
    with np.errstate(invalid="ignore"):
        share = values / shown.threshold if shown.threshold > 0 else np.full(width, np.nan)
        heights = np.clip(np.nan_to_num(share / _FULL * steps), 0, steps - 1).astype(int)
    known = np.isfinite(share)
    text = "".join(
        glyphs.levels[height] if there else glyphs.rest
        for height, there in zip(heights.tolist(), known.tolist(), strict=True)
    )
    codes = np.where(known, np.where(share > 1, 2, 1), 0).tolist()
    return runs(codes, text, (theme.frame, theme.trace, theme.alert))


def _last_event(shown: Snapshot, now: float, width: int, theme: Theme, glyphs: Glyphs) -> Line:
    """The newest event with its age, or for how long it has lasted."""
    if shown.failure:
        return line(width, (name(shown.failure, glyphs), theme.warn))
    if not shown.events:
        return line(width, ("ended" if shown.finished else "", theme.frame))
    event: Event = shown.events[-1]
    mark = {"anomaly": glyphs.anomaly, "gap": glyphs.gap, "lost": glyphs.lost}.get(event.kind, glyphs.dot)
    lasts = event.end_s is None
    loud = theme.alert if event.kind == "anomaly" else theme.warn
    when = age(now - event.wall_time)
    words = f"for {when}" if lasts else f"{when} ago"
    words = words if len(event.kind) + len(words) + 3 <= width else when
    style = theme.label if not lasts or event.kind == "off" else loud
    return spread(width, [(f"{mark} ", loud if lasts else theme.label), (event.kind, style)], [(words, style)])
