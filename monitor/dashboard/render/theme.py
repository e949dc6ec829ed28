"""Styles with and without colour, and glyphs with and without Unicode.

Colour means something: frames and labels are grey, a history has the one accent, and amber, red and violet are
kept for what is wrong. All Style objects are made once, because rich keeps a style's escape codes on it. The
colours have medium brightness, so that they can be read on dark and on light terminals.
"""

from __future__ import annotations

from dataclasses import dataclass, replace

from rich.style import Style

from monitor.core.events import State


@dataclass(frozen=True, slots=True)
class Theme:
    """One Style for each role on the screen."""

    heat: bool  # whether a colour map can be shown
    plain: Style
    frame: Style  # rules, axes, separators
    label: Style
    title: Style
    value: Style
    trace: Style  # a history below its limit
    line: Style  # the limit
    good: Style
    warn: Style
    alert: Style
    missing: Style  # bands that have less sound than normal
    key: Style
    note: Style  # messages: paused, saved
    word: dict[State, Style]  # the name of a state
    loud: frozenset[State]  # states whose large word stands on a coloured field


_RED, _AMBER, _GREEN, _TEAL, _VIOLET, _GREY, _BLUE = (
    "#e5484d", "#d79921", "#57a773", "#3fa7a3", "#a26fd6", "#7d858c", "#4f97d1",
)  # fmt: skip
_LOUD = frozenset({State.ANOMALY, State.LOST, State.NO_SIGNAL, State.OVERLOADED})

COLOUR = Theme(
    heat=True,
    plain=Style.null(),
    frame=Style.parse("#5c646b"),
    label=Style.parse(_GREY),
    title=Style.parse("bold"),
    value=Style.null(),
    trace=Style.parse(_TEAL),
    line=Style.parse(_AMBER),
    good=Style.parse(_GREEN),
    warn=Style.parse(_AMBER),
    alert=Style.parse(f"bold {_RED}"),
    missing=Style.parse(_BLUE),
    key=Style.parse(f"bold {_BLUE}"),
    note=Style.parse(f"bold #16191c on {_AMBER}"),
    word={
        State.LISTENING: Style.parse(_BLUE),
        State.NORMAL: Style.parse(_GREEN),
        State.WARNING: Style.parse(_AMBER),
        State.ANOMALY: Style.parse("bold #ffffff on #c4262b"),
        State.OFF: Style.parse(_GREY),
        State.NEW_MODE: Style.parse(_BLUE),
        State.LOST: Style.parse("bold #ffffff on #7443a8"),
        State.NO_SIGNAL: Style.parse("bold #ffffff on #7443a8"),
        State.OVERLOADED: Style.parse("bold #ffffff on #7443a8"),
    },
    loud=_LOUD,
)

# Where there are only sixteen colours a colour map would be a patchwork.
SIXTEEN = replace(COLOUR, heat=False)

MONO = Theme(
    heat=False,
    plain=Style.null(),
    frame=Style.parse("dim"),
    label=Style.parse("dim"),
    title=Style.parse("bold"),
    value=Style.null(),
    trace=Style.null(),
    line=Style.parse("dim"),
    good=Style.null(),
    warn=Style.parse("bold"),
    alert=Style.parse("bold"),
    missing=Style.null(),
    key=Style.parse("bold"),
    note=Style.parse("reverse"),
    word={
        State.LISTENING: Style.null(),
        State.NORMAL: Style.null(),
        State.WARNING: Style.parse("bold"),
        State.ANOMALY: Style.parse("bold reverse"),
        State.OFF: Style.parse("dim"),
        State.NEW_MODE: Style.parse("bold"),
        State.LOST: Style.parse("bold reverse"),
        State.NO_SIGNAL: Style.parse("bold reverse"),
        State.OVERLOADED: Style.parse("bold reverse"),
    },
    loud=_LOUD,
)


@dataclass(frozen=True, slots=True)
class Glyphs:
    """One set of characters, each one cell wide."""

    ascii: bool
    rule: str
    side: str  # the y axis
    tick: str  # the y axis at a label
    mark: str  # the x axis at a label
    bar: str  # growing fractions of a cell, the last one full
    thin: str  # the same for a bar that needs no attention
    unlit: str  # a cell of a meter or bar that is not filled
    peak: str  # the held peak on the level meter
    limit: str  # the limit among bars
    new: str  # more sound than normal
    missing: str  # less sound than normal
    ramp: str  # quiet to loud, without colour
    halves: str  # empty cell, upper half, lower half, both
    dot: str  # between two facts
    ellipsis: str
    anomaly: str
    gap: str
    lost: str
    unheard: str  # where no sound was heard
    acknowledged: str  # an anomaly that somebody has seen
    levels: str  # heights of a history of one row, low to high


UNICODE = Glyphs(
    ascii=False, rule="─", side="│", tick="┤", mark="╵", bar="▏▎▍▌▋▊▉█", thin="╸━", unlit="·", peak="┃",
    limit="┊", new="█", missing="░", ramp=" ░▒▓█", halves=" ▀▄█", dot="·", ellipsis="…", anomaly="▲",
    gap="╌", lost="✕", unheard="╱", acknowledged="✓", levels="▁▂▃▄▅▆▇█",
)  # fmt: skip
ASCII = Glyphs(
    ascii=True, rule="-", side="|", tick="+", mark="'", bar="=", thin="-", unlit=".", peak="|", limit=":",
    new="+", missing="-", ramp=" .:-=+*#%@", halves=" \"o#", dot="|", ellipsis="~", anomaly="!",
    gap="~", lost="x", unheard="/", acknowledged="a", levels="_.,-+=*#",
)  # fmt: skip
