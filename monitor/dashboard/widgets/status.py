"""What is measured now, where it comes from, and what the keys do. Lines of exactly the width asked for."""

from __future__ import annotations

import math
from collections.abc import Sequence
from textwrap import wrap

from rich.style import Style

from monitor.dashboard.render.cells import Line, Part, bar_of, block, line, rule, spread
from monitor.dashboard.render.formatting import clock, level, name, number, pace, span
from monitor.dashboard.render.theme import Glyphs, Theme
from monitor.core.snapshot import Snapshot, State

_QUIET_DBFS = -80.0  # where the meter begins
_NEARLY_FULL_DBFS = -6.0
_FULL_DBFS = -0.5  # as good as clipped
_NEWS_S = 600.0
_GROWING, _ENOUGH = 0.5, 1.0  # evidence, as a share of what makes an anomaly
_NOTE_ROWS = 4  # for where the threshold comes from
_BUSY = 0.8  # of the time; more load than this will soon drop samples

_CAPTIONS = {
    State.LISTENING: "too early to judge",
    State.NORMAL: "sounds as it always does",
    State.WARNING: "unusual, not yet for long",
    State.ANOMALY: "does not sound as it should",
    State.OFF: "too quiet to be running",
    State.LOST: "no sound comes in",
    State.NO_SIGNAL: "silence: muted, or broken",
}
_ROOMY = 110  # cells from which there is room for evidence that is no news
_LEAST_NOTE = 12
KEYS = (("q", "quit"), ("space", "pause"), ("+ -", "threshold"), ("s", "save picture"))


def caption(snapshot: Snapshot) -> str:
    """The state in a few words."""
    if not snapshot.score > snapshot.threshold and snapshot.evidence >= _GROWING:
        if snapshot.state is State.WARNING:
            return "a little unusual for a while"
        if snapshot.state is State.ANOMALY:
            return "a little unusual for too long"
    return _CAPTIONS[snapshot.state]


def readings(snapshot: Snapshot, width: int, rows: int, theme: Theme, glyphs: Glyphs, now: float) -> list[Line]:
    """Beside the large word: the time, score, error and evidence against what they may be, the level meter last."""
    last: Part = ("ended", theme.warn) if snapshot.finished else (f"up {span(snapshot.uptime_s)}", theme.label)
    time = (clock(now), theme.title) if math.isfinite(now) else ("", theme.plain)
    top = [
        spread(width, [time], [last]),
        _against("score", snapshot.score, snapshot.threshold, width, theme, glyphs),
    ]
    if snapshot.score_kind == "error":
        top.append(line(width, ("events ", theme.label), (f"{snapshot.anomalies:>6}", theme.value)))
    else:
        top.append(_against("error", snapshot.error, snapshot.error_threshold, width, theme, glyphs))
    bar = meter(snapshot.level_dbfs, snapshot.peak_dbfs, width, theme, glyphs)
    if rows < 7:
        return [*block(top, width, rows - 1), bar]
    peak: list[Part] = [
        ("peak ", theme.label),
        (level(snapshot.peak_dbfs), theme.value),
        (" dBFS", theme.label),
    ]
    top.insert(1, line(width))
    top.append(evidence(snapshot.evidence, width, theme, glyphs))
    return [*block(top, width, rows - 2), bar, spread(width, [("level", theme.label)], peak)]


def _against(what: str, value: float, threshold: float, width: int, theme: Theme, glyphs: Glyphs) -> Line:
    """A value, its threshold, and how many times the threshold it is."""
    ratio = value / threshold if threshold > 0 else math.nan
    shown: list[Part] = [
        (f"{what:<7}", theme.label),
        (f"{number(value):>6}", theme.alert if value > threshold else theme.title),
        (" / ", theme.label),
        (number(threshold), theme.line),
    ]
    times = f"{glyphs.times}{ratio:.2f}" if ratio < 9.995 else f"{glyphs.times}{number(ratio)}"
    times = times if math.isfinite(ratio) else ""
    return spread(width, shown, [(times, theme.label)])


def evidence(share: float, width: int, theme: Theme, glyphs: Glyphs, label: int = 8) -> Line:
    """How much of the evidence that makes an anomaly has gathered, as a bar and in per cent."""
    figures = f"{percent(share):>6}"
    cells = max(width - label - 1 - len(figures), 1)
    bar = bar_of(min(max(share, 0.0), 1.0) * cells if math.isfinite(share) else 0.0, cells, glyphs.thin)
    style = urgency(share, theme)
    return line(
        width, (f"{'evidence':<{label}} ", theme.label), (bar, style),
        (glyphs.rest * (cells - len(bar)), theme.frame), (figures, style if share >= _GROWING else theme.value),
    )  # fmt: skip


def percent(share: float) -> str:
    """A share in whole per cent."""
    return f"{100 * share:.0f} %" if math.isfinite(share) else "-"


def urgency(share: float, theme: Theme) -> Style:
    """How much it matters that so much evidence has gathered."""
    if share >= _ENOUGH:
        return theme.alert
    return theme.warn if share >= _GROWING else theme.good


def meter(level_dbfs: float, peak_dbfs: float, width: int, theme: Theme, glyphs: Glyphs) -> Line:
    """A level meter from -80 to 0 dBFS, the held peak as a mark on it, and the level in figures."""
    figures = f"{level(level_dbfs):>6} dB"
    cells = max(width - len(figures) - 1, 1)
    bar = bar_of(_share(level_dbfs) * cells, cells, glyphs.bar)
    lit = len(bar)
    bar += glyphs.rest * (cells - lit)
    style = _loudness(max(level_dbfs, peak_dbfs), theme)
    parts: list[Part] = [(bar[:lit], style), (bar[lit:], theme.frame)]
    if math.isfinite(peak_dbfs):
        at = min(int(_share(peak_dbfs) * cells), cells - 1)
        if at >= lit:
            parts = [
                (bar[:lit], style),
                (bar[lit:at], theme.frame),
                (glyphs.hold, style),
                (bar[at + 1 :], theme.frame),
            ]
    return line(width, *parts, (" ", theme.plain), (figures, theme.value))


def _share(dbfs: float) -> float:
    if math.isnan(dbfs):
        return 0.0
    return min(max((dbfs - _QUIET_DBFS) / -_QUIET_DBFS, 0.0), 1.0)


def _loudness(dbfs: float, theme: Theme) -> Style:
    if dbfs >= _FULL_DBFS:
        return theme.alert
    return theme.warn if dbfs >= _NEARLY_FULL_DBFS else theme.good


def one_line(snapshot: Snapshot, width: int, theme: Theme, glyphs: Glyphs, now: float) -> Line:
    """State, score and time in one row, for terminals too small for the large word."""
    word: Part = (f" {snapshot.state.value} ", theme.word[snapshot.state] + Style(bold=True))
    return _now_row(snapshot, [word, (" ", theme.plain)], width, theme, glyphs, now)


def below_word(snapshot: Snapshot, width: int, theme: Theme, glyphs: Glyphs, now: float) -> Line:
    """Score, level and time in one row below the large word, where nothing fits beside it."""
    return _now_row(snapshot, [("score ", theme.label)], width, theme, glyphs, now)


def _now_row(snapshot: Snapshot, first: list[Part], width: int, theme: Theme, glyphs: Glyphs, now: float) -> Line:
    score: list[Part] = [
        (number(snapshot.score), theme.alert if snapshot.score > snapshot.threshold else theme.title),
        (" / ", theme.label),
        (number(snapshot.threshold), theme.line),
    ]
    time: Part = (clock(now) if math.isfinite(now) else span(snapshot.position_s), theme.value)
    loud: Part = (f"{level(snapshot.level_dbfs)} dB {glyphs.dot} ", theme.label)
    return spread(width, [*first, *score], [loud, time] if width >= 48 else [time])


def status(snapshot: Snapshot, width: int, rows: int, theme: Theme, glyphs: Glyphs, now: float) -> list[Line]:
    """Where the sound comes from and how the monitor fares, in one or two rows."""
    dot: Part = (f" {glyphs.dot} ", theme.frame)
    source = (name(snapshot.source, glyphs), theme.value)
    model = (name(snapshot.model, glyphs), theme.value)
    where: Part = (_position(snapshot), theme.value)
    stream: list[Part] = [(name(snapshot.stream, glyphs), theme.title), dot] if snapshot.stream else []
    first = spread(width, [*stream, ("from ", theme.label), source, dot, ("model ", theme.label), model], [where])
    facts: list[Part] = []
    shown = _fares(snapshot, theme, glyphs, now)
    if snapshot.evidence >= _GROWING or width >= _ROOMY:
        shown.insert(0, ("evidence", percent(snapshot.evidence), urgency(snapshot.evidence, theme)))
    for label, text, style in shown:
        facts += [(f"{label} ", theme.label), (text, style), dot]
    room = width - sum(len(text) for text, _ in facts)
    note = _fitting(f"threshold {name(snapshot.threshold_note, glyphs)}", room, glyphs)
    return [first, line(width, *facts, (note, theme.label))][:rows]


def _fitting(note: str, room: int, glyphs: Glyphs) -> str:
    """Where the threshold comes from; how old it is comes last, and must not be what is left out."""
    if len(note) <= room:
        return note
    parts = note.split(", ")
    cut = f"{parts[0]}, {glyphs.ellipsis}, {parts[-1]}"
    if len(parts) > 2 and len(cut) <= room:
        return cut
    return shorten(note, room, glyphs) if room >= _LEAST_NOTE else ""


def _position(snapshot: Snapshot) -> str:
    if snapshot.duration_s is None:
        return f"heard {span(snapshot.position_s)}"
    return f"{span(snapshot.position_s)} of {span(snapshot.duration_s)}"


def _fares(snapshot: Snapshot, theme: Theme, glyphs: Glyphs, now: float) -> list[tuple[str, str, Style]]:
    speed = pace(snapshot.speed, glyphs.times)
    load = "-" if math.isnan(snapshot.load) else f"{100 * snapshot.load:.0f} %"
    # a hole of last week is no news: only a fresh one is coloured
    fresh = any(event.kind == "gap" and not now - event.wall_time > _NEWS_S for event in snapshot.events)
    dropped = f"{snapshot.dropped_samples:,}".replace(",", " ")
    return [
        ("speed", speed, theme.value),
        ("load", load, theme.warn if snapshot.load > _BUSY else theme.value),
        ("dropped", dropped, theme.warn if fresh else theme.value),
    ]


def details(snapshot: Snapshot, width: int, theme: Theme, glyphs: Glyphs, now: float, *, gauge: bool) -> list[Line]:
    """The same as the status rows, one fact a row, where there is room for a panel; with the evidence's `gauge`."""
    room = width - 11
    note = wrap(name(snapshot.threshold_note, glyphs), max(room, 1))
    if len(note) > _NOTE_ROWS:
        note = [*note[: _NOTE_ROWS - 1], " ".join(note[_NOTE_ROWS - 1 :])]
    speed, load, dropped = _fares(snapshot, theme, glyphs, now)
    rows: list[tuple[str, str, Style]] = [
        *((("stream", name(snapshot.stream, glyphs), theme.title),) if snapshot.stream else ()),
        ("source", name(snapshot.source, glyphs), theme.value),
        ("model", name(snapshot.model, glyphs), theme.value),
        ("score", name(snapshot.score_kind, glyphs), theme.value),
        ("threshold", number(snapshot.threshold), theme.line),
        *(("", text, theme.label) for text in note),
        ("position", _position(snapshot), theme.value),
        ("speed", f"{speed[1]} {glyphs.dot} load {load[1]}", load[2]),
        (dropped[0], f"{dropped[1]} samples", dropped[2]),
    ]
    if math.isfinite(snapshot.processing_s):
        rows.append(("latency", _latency(snapshot), theme.value))
    made = [rule(width, theme, glyphs, [("Monitor", theme.title)])]
    for label, text, style in rows:
        made.append(line(width, (f"{label:<10} ", theme.label), (shorten(text, room, glyphs), style)))
        if gauge and label == "score":
            made.append(evidence(snapshot.evidence, width, theme, glyphs, label=10))
    return made


def _latency(snapshot: Snapshot) -> str:
    """What the method needs, what computing adds, and what it rarely adds, in milliseconds."""
    method, usual, rare = (1000 * s for s in (snapshot.algorithmic_s, snapshot.processing_s, snapshot.processing_p99_s))
    return f"{method:.0f} + {usual:.1f} ms (99 %: {rare:.1f})"


def shorten(text: str, width: int, glyphs: Glyphs) -> str:
    """The text with its middle left out where it is longer than `width`: both ends of a path tell most."""
    if len(text) <= width or width < 5:
        return text
    head = (width - 1) // 2
    return text[:head] + glyphs.ellipsis + text[len(text) - (width - 1 - head) :]


def footer(
    width: int, message: str, paused: bool, theme: Theme, glyphs: Glyphs, of: Sequence[tuple[str, str]] = KEYS
) -> Line:
    """What the keys do, and what the viewer is told."""
    note: list[Part] = []
    if message:
        note = [(f" {name(message, glyphs)} ", theme.note)]
    elif paused:
        note = [(" display paused, monitoring goes on ", theme.note)]
    keys: list[Part] = []
    for key, what in of:
        shown = "resume" if paused and key == "space" else what
        keys += [(key, theme.key), (f" {shown}   ", theme.label)]
    room = width - sum(len(text) for text, _ in note) - 1
    while keys and sum(len(text) for text, _ in keys) > room:
        del keys[-2:]
    return spread(width, keys, note) if keys else line(width, *note)
