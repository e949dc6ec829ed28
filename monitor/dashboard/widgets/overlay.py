"""What a key shows in place of the panels: help, or all facts about one stream. The state stays visible above it."""

from __future__ import annotations

import math
from collections.abc import Sequence
from textwrap import wrap

from rich.style import Style

from monitor.core.snapshot import Snapshot
from monitor.core.text import precision_text
from monitor.dashboard.render.cells import Line, block, line, rule
from monitor.dashboard.render.formatting import duration, number, of_limit, share, span
from monitor.dashboard.render.theme import Glyphs, Theme
from monitor.dashboard.widgets.status import Keys, facts

KEYS: Keys = (("any key", "closes this"),)

_KEYS_HELP = (
    "q quits, space pauses, + and - move the limit, s saves a picture, i shows details, a acknowledges, z shows history"
)
_TABLE_KEYS = (
    "arrows choose a stream, Enter shows it alone, Escape goes back, / shows only names with what you type, o changes "
    "the order, "
)
_STATES = "WARNING: unusual, not yet for long. OFF: quiet. LOST, NO SIGNAL: no sound. OVERLOADED: much is not heard."
_SHARE = "How near the alarm is: above 100 % is the alarm. It is the larger of score and lasting. Hatched: not heard."
_LONG = (
    ("Share of limit", _SHARE + " Each column is filled from the mean of its time to the highest value."),
    ("States", "The sign of the state that took most of a column's time, of an anomaly if there was any; which sign "
     "means what, and how long each state took, stands below."),
    ("Level", "How loud the sound was, in the range that stands below."),
)  # fmt: skip
_SCORE = "How different the machine sounds from normal."
_LASTING = "Small deviations that go on are added up. Above 100 % is the alarm, even if the score is low."
_ERROR = "How badly the network, trained on normal sound, reproduces this sound. "
_LEVEL = "How loud the sound is. At 0 dB the microphone is overloaded."

_STREAM = (
    ("State", _STATES),
    ("Share of limit", _SHARE),
    ("Score", _SCORE),
    ("Lasting", _LASTING),
    ("Reconstruction error", _ERROR + "Alarms go by the score."),
    ("Spectrogram", "The last minute: loud is bright, high frequencies on top."),
    ("What is unusual", "Frequencies that raise the score, in % of its limit, because sound is new there or missing."),
    ("Events", "When, how long, and the highest score in % of the limit."),
    ("Level", _LEVEL),
)  # fmt: skip
_TABLE = (
    ("state", _STATES + " The worst is at the top; an acknowledged anomaly is marked, and not on top until it ends."),
    ("of limit", _SHARE),
    ("level", _LEVEL),
    ("lasting", _LASTING),
    ("last minute", "The share of the limit. The limit is at half the height; what is above it is red."),
    ("last event", "What happened last, and how long ago it began."),
    ("today", "Anomalies and seconds not heard since midnight, or since the start."),
)  # fmt: skip

_TWO_COLUMNS = 60  # cells from which on names stand in a column of their own

Entry = tuple[str, str, Style]


def stream_help(
    score_kind: str, several: bool, width: int, rows: int, theme: Theme, glyphs: Glyphs, *, long: bool = False
) -> list[Line]:
    """`rows` lines about the keys and the panels of one stream.

    Args:
        score_kind: with "error", alarms go by the reconstruction error, and there is no other score.
        several: whether there is a table of streams to go back to.
        width: cells.
        rows: how many lines.
        theme: styles.
        glyphs: characters.
        long: whether hours or days are shown in place of the last minute.
    """
    texts = dict(_STREAM)
    if long:
        kept = ("Score", "Reconstruction error", "What is unusual", "Events")
        texts = {"State": _STATES, **dict(_LONG), **{title: texts[title] for title in kept}}
    if score_kind == "error":
        del texts["Score"]
        texts["Reconstruction error"] = _ERROR + "Alarms go by it."
    entries = [("Keys", (_TABLE_KEYS if several else "") + _KEYS_HELP), *texts.items()]
    return _help(entries, width, rows, theme, glyphs)


def table_help(width: int, rows: int, theme: Theme, glyphs: Glyphs) -> list[Line]:
    """`rows` lines about the keys and the columns of the table."""
    return _help([("Keys", _TABLE_KEYS + _KEYS_HELP), *_TABLE], width, rows, theme, glyphs)


def stream_details(snapshot: Snapshot, width: int, rows: int, theme: Theme, glyphs: Glyphs, now: float) -> list[Line]:
    """`rows` lines with all facts about one stream, in full length."""
    entries = [fact for fact in facts(snapshot, theme, glyphs, now) if fact[0] != "delay"]
    if snapshot.score_kind != "error":
        entries.append(("score now", f"{number(snapshot.score)}, limit {number(snapshot.threshold)}", theme.value))
    entries += [
        ("share of limit", share(snapshot.share_of_limit), theme.value),
        ("false alarms", snapshot.false_alarms or "not known for this limit", theme.value),
        ("error now", f"{number(snapshot.error)}, limit {number(snapshot.error_threshold)}", theme.value),
        ("lasting", of_limit(snapshot.lasting_sum), theme.value),
        ("delay", _delay(snapshot), theme.value),
        ("computed in", precision_text(snapshot.precision, snapshot.limits_precision) or "-", theme.value),
        ("running", span(snapshot.uptime_s), theme.value),
    ]
    lines = [one for part in _wrapped(entries, width, theme) for one in part]
    return _page("Details", lines, width, rows, theme, glyphs)


def _delay(snapshot: Snapshot) -> str:
    """Seconds from a sound to its score, and what they are spent on."""
    method_ms = 1000 * snapshot.algorithmic_delay_s
    method = f"{method_ms:.0f} ms until enough sound has come in" if math.isfinite(method_ms) else "-"
    if not math.isfinite(snapshot.processing_s):
        return method
    usual, rare = 1000 * snapshot.processing_s, 1000 * snapshot.processing_p99_s
    total = duration(snapshot.algorithmic_delay_s + snapshot.processing_s)
    return f"{total}: {method}, and {usual:.1f} ms to compute the score (median; 99 % within {rare:.1f} ms)"


def _help(texts: Sequence[tuple[str, str]], width: int, rows: int, theme: Theme, glyphs: Glyphs) -> list[Line]:
    """A page of help, with blank lines between the paragraphs if there is room for them."""
    paragraphs = _wrapped([(title, text, theme.value) for title, text in texts], width, theme)
    gap = [line(width)] if sum(len(part) + 1 for part in paragraphs) < rows else []
    return _page("Help", [one for part in paragraphs for one in [*part, *gap]], width, rows, theme, glyphs)


def _wrapped(entries: Sequence[Entry], width: int, theme: Theme) -> list[list[Line]]:
    """The lines of each entry; on a wide terminal the names have a column of their own."""
    if width < _TWO_COLUMNS:
        return [
            [line(width, (one, style)) for one in wrap(f"{name}: {text}" if name else text, max(width - 1, 1))]
            for name, text, style in entries
        ]
    names = max(len(name) for name, _, _ in entries) + 2
    made: list[list[Line]] = []
    for name, text, style in entries:
        lines = wrap(text, width - names - 1) or [""]
        heads = [f"{name:<{names}}"] + [" " * names] * (len(lines) - 1)
        made.append([line(width, (head, theme.title), (one, style)) for head, one in zip(heads, lines, strict=True)])
    return made


def _page(title: str, lines: list[Line], width: int, rows: int, theme: Theme, glyphs: Glyphs) -> list[Line]:
    """`rows` lines: a title, and as many of the lines as fit."""
    page = [rule(width, theme, glyphs, [(title, theme.title)]), *lines]
    if 2 < rows < len(page):
        page[rows - 1 :] = [line(width, ("more in a larger window", theme.label))]
    return block(page, width, rows)
