"""The readings beside the large word, facts about the monitoring, and the row of keys."""

from __future__ import annotations

import math
from collections.abc import Iterable
from textwrap import wrap

from rich.style import Style

from monitor.core.snapshot import Snapshot
from monitor.dashboard.render.cells import Line, Part, bar_of, block, line, rule, spread
from monitor.dashboard.render.formatting import (
    clock,
    duration,
    level,
    method,
    name,
    number,
    of_limit,
    pace,
    share,
    span,
)
from monitor.dashboard.render.theme import Glyphs, Theme

_QUIET_DBFS = -80.0  # where the level meter begins
_NEARLY_FULL_DBFS = -6.0
_FULL_DBFS = -0.5  # as good as clipped
_NEWS_S = 600.0  # for so long a gap is emphasised
_GROWING, _ENOUGH = 0.5, 1.0  # lasting sum, as a share of its limit
_NOTE_ROWS = 4  # of the panel, for where the limit comes from
_BUSY, _FULL_LOAD = 0.8, 0.95  # load from which on sound may soon be missed, and is likely to be missed
_LABEL = 7  # cells for the names of readings
_ROOMY = 110  # cells from which on the status row has room for facts that need no attention
_LEAST_NOTE = 12

Keys = tuple[tuple[str, str], ...]  # of the last row: a key and what it does

KEYS: Keys = (
    ("q", "quit"), ("space", "pause"), ("?", "help"), ("+ -", "limit"), ("s", "save picture"), ("i", "details"),
    ("a", "acknowledge"), ("z", "time"),
)  # fmt: skip


def readings(snapshot: Snapshot, width: int, rows: int, theme: Theme, glyphs: Glyphs, now: float) -> list[Line]:
    """Beside the large word: time, share of the limit, score, error, lasting sum, and level meter."""
    by_error = snapshot.score_kind == "error"
    running: Part = (f"running {span(snapshot.uptime_s)}", theme.label)
    last: Part = ("ended", theme.warn) if snapshot.finished else running
    time = (clock(now), theme.title) if math.isfinite(now) else ("", theme.plain)
    top = [
        spread(width, [time], [last]),
        _share_of_limit(snapshot, width, theme),
        _against_limit("error" if by_error else "score", snapshot.score, snapshot.threshold, width, theme),
    ]
    if not by_error:
        top.append(_against_limit("error", snapshot.error, snapshot.error_threshold, width, theme))
    bar = meter(snapshot.level_dbfs, snapshot.peak_dbfs, width, theme, glyphs)
    if rows < 8:
        return [*block(top, width, rows - 1), bar]
    peak: Part = (f"highest {level(snapshot.peak_dbfs)}", theme.label)
    top.append(lasting(snapshot.lasting_sum, width, theme, glyphs))
    return [*block(top, width, rows - 2), bar, spread(width, [], [peak])]


def _share_of_limit(snapshot: Snapshot, width: int, theme: Theme) -> Line:
    """How near the alarm is, and by which of the two ways to it."""
    value = snapshot.share_of_limit
    by_sum = snapshot.lasting_sum >= _GROWING and snapshot.lasting_sum >= value
    style = theme.alert if value > 1 else theme.title
    way: list[Part] = [("lasting ", theme.label)] if by_sum else []
    return spread(width, [("share of limit", theme.label)], [*way, (share(value), style)])


def _against_limit(label: str, value: float, threshold: float, width: int, theme: Theme) -> Line:
    """A value, and what share of its limit it is."""
    figures = of_limit(value / threshold if threshold > 0 else math.nan)
    first: list[Part] = [(f"{label:<{_LABEL}}", theme.label), (f"{number(value):>6}", theme.value)]
    return spread(width, first, [(figures, theme.alert if value > threshold else theme.title)])


def lasting(lasting_sum: float, width: int, theme: Theme, glyphs: Glyphs, label: int = _LABEL) -> Line:
    """The lasting sum as a bar, and as a share of its limit."""
    figures = f"{share(lasting_sum):>6}"
    cells = max(width - label - 1 - len(figures), 1)
    bar = bar_of(min(max(lasting_sum, 0.0), 1.0) * cells if not math.isnan(lasting_sum) else 0.0, cells, glyphs.thin)
    style = urgency(lasting_sum, theme)
    return line(
        width, (f"{'lasting':<{label}} ", theme.label), (bar, style),
        (glyphs.unlit * (cells - len(bar)), theme.frame), (figures, style if lasting_sum >= _GROWING else theme.value),
    )  # fmt: skip


def urgency(lasting_sum: float, theme: Theme) -> Style:
    """The style of the lasting sum."""
    if lasting_sum >= _ENOUGH:
        return theme.alert
    return theme.warn if lasting_sum >= _GROWING else theme.good


def meter(level_dbfs: float, peak_dbfs: float, width: int, theme: Theme, glyphs: Glyphs) -> Line:
    """A level meter from -80 to 0 dBFS with a mark at the held peak, and the level in figures."""
    figures = f"{level(level_dbfs):>8}"
    cells = max(width - _LABEL - len(figures) - 2, 1)
    lit = bar_of(_share_of_meter(level_dbfs) * cells, cells, glyphs.bar)
    rest = cells - len(lit)
    style = _loudness(max(level_dbfs, peak_dbfs), theme)
    held: list[Part] = [(glyphs.unlit * rest, theme.frame)]
    at = min(int(_share_of_meter(peak_dbfs) * cells), cells - 1) - len(lit)
    if math.isfinite(peak_dbfs) and at >= 0:
        held = [
            (glyphs.unlit * at, theme.frame), (glyphs.peak, style), (glyphs.unlit * (rest - at - 1), theme.frame),
        ]  # fmt: skip
    label: Part = (f"{'level':<{_LABEL}} ", theme.label)
    return line(width, label, (lit, style), *held, (" ", theme.plain), (figures, theme.value))


def _share_of_meter(dbfs: float) -> float:
    if math.isnan(dbfs):
        return 0.0
    return min(max((dbfs - _QUIET_DBFS) / -_QUIET_DBFS, 0.0), 1.0)


def _loudness(dbfs: float, theme: Theme) -> Style:
    if dbfs >= _FULL_DBFS:
        return theme.alert
    return theme.warn if dbfs >= _NEARLY_FULL_DBFS else theme.good


def one_line(snapshot: Snapshot, width: int, theme: Theme, glyphs: Glyphs, now: float) -> Line:
    """State, share of the limit and time in one row, for terminals too small for the large word."""
    word: Part = (f" {snapshot.state.value} ", theme.word[snapshot.state] + Style(bold=True))
    return _readings_row(snapshot, [word, (" ", theme.plain)], width, theme, glyphs, now)


def below_word(snapshot: Snapshot, width: int, theme: Theme, glyphs: Glyphs, now: float) -> Line:
    """Share of the limit, level and time in one row below the large word, for terminals that have no room beside it."""
    return _readings_row(snapshot, [], width, theme, glyphs, now)


def _readings_row(snapshot: Snapshot, first: list[Part], width: int, theme: Theme, glyphs: Glyphs, now: float) -> Line:
    value = snapshot.share_of_limit
    figures = "no score" if math.isnan(value) else of_limit(value)
    score: Part = (figures, theme.alert if value > 1 else theme.title)
    time: Part = (clock(now) if math.isfinite(now) else span(snapshot.position_s), theme.value)
    loud: Part = (f"{level(snapshot.level_dbfs)} {glyphs.dot} ", theme.label)
    return spread(width, [*first, score], [loud, time] if width >= 48 else [time])


def status(snapshot: Snapshot, width: int, rows: int, theme: Theme, glyphs: Glyphs, now: float) -> list[Line]:
    """Where the sound comes from, and the facts that need attention, in one or two rows."""
    dot: Part = (f" {glyphs.dot} ", theme.frame)
    source = (name(snapshot.source, glyphs), theme.value)
    model = (name(snapshot.model, glyphs), theme.value)
    heard: Part = (f"heard {_heard(snapshot)}", theme.value)
    stream: list[Part] = [(name(snapshot.stream, glyphs), theme.title), dot] if snapshot.stream else []
    first = spread(width, [*stream, ("source ", theme.label), source, dot, ("model ", theme.label), model], [heard])
    parts: list[Part] = []
    if snapshot.lasting_sum >= _GROWING or width >= _ROOMY:
        style = urgency(snapshot.lasting_sum, theme) if snapshot.lasting_sum >= _GROWING else theme.value
        parts += [("lasting ", theme.label), (share(snapshot.lasting_sum), style), dot]
    parts += [("computer ", theme.label), _busy(snapshot, theme), dot]
    if snapshot.lost_s > 0:
        parts += [(f"{duration(snapshot.lost_s)} not heard", _not_heard(snapshot, theme, now)), dot]
    if snapshot.note:
        parts += [(name(snapshot.note, glyphs), theme.value), dot]
    if width >= _ROOMY and math.isfinite(snapshot.processing_s):
        parts += [("delay ", theme.label), (duration(_delay_s(snapshot)), theme.value), dot]
    room = width - sum(len(text) for text, _ in parts)
    note = _fitting(f"limit: {name(snapshot.threshold_note, glyphs)}", room, glyphs)
    return [first, line(width, *parts, (note, theme.label))][:rows]


def _fitting(note: str, room: int, glyphs: Glyphs) -> str:
    """Where the limit comes from, shortened to `room` cells, but not at its end: there is how old the limit is."""
    if len(note) <= room:
        return note
    parts = note.split(", ")
    cut = f"{parts[0]}, {glyphs.ellipsis}, {parts[-1]}"
    if len(parts) > 2 and len(cut) <= room:
        return cut
    return shorten(note, room, glyphs) if room >= _LEAST_NOTE else ""


def _heard(snapshot: Snapshot) -> str:
    if snapshot.duration_s is None:
        return span(snapshot.position_s)
    return f"{span(snapshot.position_s)} of {span(snapshot.duration_s)}"


def _busy(snapshot: Snapshot, theme: Theme) -> Part:
    return f"{share(snapshot.load)} busy", strain(snapshot.load, theme)


def strain(load: float, theme: Theme) -> Style:
    """The style of how busy the computer is."""
    if load > _FULL_LOAD:
        return theme.alert
    return theme.warn if load > _BUSY else theme.value


def troubles(outputs: Iterable[str], width: int, rows: int, theme: Theme, glyphs: Glyphs) -> list[Line]:
    """`rows` lines with what is wrong with outputs, the last one with how many more there are."""
    texts = [name(text, glyphs) for text in dict.fromkeys(outputs)]
    if len(texts) > rows:
        texts[rows - 1 :] = [f"{texts[rows - 1]} (and {len(texts) - rows} more)"]
    return [line(width, (f"{glyphs.lost} {shorten(text, width - 2, glyphs)}", theme.alert)) for text in texts]


def _not_heard(snapshot: Snapshot, theme: Theme, now: float) -> Style:
    """The style of how much was not heard: emphasised only after a gap that is recent."""
    recent = any(event.kind == "gap" and not now - event.wall_time > _NEWS_S for event in snapshot.events)
    return theme.warn if recent else theme.value


def _delay_s(snapshot: Snapshot) -> float:
    """Seconds from a sound to its score."""
    return snapshot.algorithmic_delay_s + snapshot.processing_s


def facts(snapshot: Snapshot, theme: Theme, glyphs: Glyphs, now: float) -> list[tuple[str, str, Style]]:
    """What is known about the monitoring: label, text and style of each fact, in the order in which they are shown."""
    found: list[tuple[str, str, Style]] = []
    if snapshot.stream:
        found.append(("stream", name(snapshot.stream, glyphs), theme.title))
    found += [
        ("source", name(snapshot.source, glyphs), theme.value),
        ("model", name(snapshot.model, glyphs), theme.value),
        *([("", name(snapshot.note, glyphs), theme.label)] if snapshot.note else []),
        ("method", name(method(snapshot.score_kind), glyphs), theme.value),
        ("limit", number(snapshot.threshold), theme.line),
        ("", name(snapshot.threshold_note, glyphs), theme.label),
        ("heard", _heard(snapshot), theme.value),
        ("not heard", duration(snapshot.lost_s), _not_heard(snapshot, theme, now)),
    ]
    if snapshot.speed != 1.0:
        found.append(("speed", pace(snapshot.speed), theme.value))
    found.append(("computer", *_busy(snapshot, theme)))
    if math.isfinite(snapshot.processing_s):
        found.append(("delay", duration(_delay_s(snapshot)), theme.value))
    if math.isfinite(snapshot.clock_ppm):
        found.append(("sender", f"clock {snapshot.clock_ppm:+.0f} ppm", theme.value))
    return found


def details(snapshot: Snapshot, width: int, theme: Theme, glyphs: Glyphs, now: float, *, gauge: bool) -> list[Line]:
    """A panel with one fact a row; with `gauge` also the lasting sum."""
    room = width - 11
    made = [rule(width, theme, glyphs, [("Monitor", theme.title)])]
    if gauge:
        made.append(lasting(snapshot.lasting_sum, width, theme, glyphs, label=10))
    for label, text, style in facts(snapshot, theme, glyphs, now):
        texts = [text]
        if not label:
            texts = wrap(text, max(room, 1))
            if len(texts) > _NOTE_ROWS:
                texts = [*texts[: _NOTE_ROWS - 1], " ".join(texts[_NOTE_ROWS - 1 :])]
        made += [line(width, (f"{label:<10} ", theme.label), (shorten(one, room, glyphs), style)) for one in texts]
    return made


def shorten(text: str, width: int, glyphs: Glyphs) -> str:
    """The text without its middle if it is longer than `width`: the two ends of a path say most."""
    if len(text) <= width or width < 5:
        return text
    head = (width - 1) // 2
    return text[:head] + glyphs.ellipsis + text[len(text) - (width - 1 - head) :]


def footer(width: int, message: str, paused: bool, theme: Theme, glyphs: Glyphs, keys: Keys = KEYS) -> Line:
    """What the keys do, as many of them as fit, and a message."""
    note: list[Part] = []
    if message:
        note = [(f" {name(message, glyphs)} ", theme.note)]
    elif paused:
        note = [(" display paused, monitoring goes on ", theme.note)]
    shown: list[Part] = []
    for key, meaning in keys:
        shown += [(key, theme.key), (f" {'resume' if paused and key == 'space' else meaning}   ", theme.label)]
    room = width - sum(len(text) for text, _ in note) - 1
    while shown and sum(len(text) for text, _ in shown) > room:
        del shown[-2:]
    return spread(width, shown, note) if shown else line(width, *note)
