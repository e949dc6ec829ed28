"""The timeline of a stream as an SVG picture: share of the limit, states, level, and events with links to them.

Positions across are per cent of the width, so that the picture is as wide as the page, on a phone and on paper, and its
text keeps its size. What is stretched has no text in it.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from itertools import groupby

import numpy as np
from markupsafe import Markup

from monitor.core.types import FloatArray
from monitor.dashboard.render.axis import FIXED_TOP
from monitor.dashboard.render.time_grid import NOTHING, STATES, TimeGrid
from monitor.dashboard.render.time_ticks import ticks
from monitor.report import event_text as words
from monitor.report.details import StoredModel
from monitor.store.records import StoredEvent

COLUMNS = 480  # of the grid
MOST_MARKS = 200
_LABELS = 8  # of the time axis; a phone shows every second one

# rows of the picture, in pixels
_TOP, CHART = 18, 132  # the chart, below the marks of events
_STRIP, _FULL = 160, 12  # the states; how high an anomaly is
_LEVEL, _LEVEL_ROWS = 184, 32
_AXIS = 232
HEIGHT = 238
_SCALE = 60  # width of the labels at the left
HEIGHTS = {"normal": 3, "warning": 7, "anomaly": 12, "off": 1, "new_mode": 5, "listening": 2, "not_heard": 12}


def timeline(
    grid: TimeGrid, events: Sequence[StoredEvent], linked: frozenset[str], models: Sequence[StoredModel], label: str
) -> Markup:
    """The picture.

    Args:
        grid: with COLUMNS columns.
        events: anomalies are marked, at most one at each of MOST_MARKS places.
        linked: ids of events that the page tells of at the anchor `event-ID`.
        models: of the stream; the beginning of each but the first is marked.
        label: what the picture shows, for those who cannot see it.
    """
    limit = _y(1.0)
    parts = [
        Markup('<div class="plot">'),
        _scale(grid),
        Markup('<svg class="timeline" width="100%" height="{}" role="group" aria-label="{}">').format(HEIGHT, label),
        *_shaded(grid),
        *(_line("grid", _y(at)) for at in (0.0, 0.5, FIXED_TOP)),
        _line("limit", limit),
        *_axis(grid),
        _stretched(_TOP, CHART, _envelope(grid)),
        *_strip(grid),
        _level(grid),
        *_model_marks(grid, models),
        *_event_marks(grid, events, linked),
        Markup("</svg></div>"),
    ]
    return Markup("\n").join(parts)


def _line(kind: str, y: float) -> Markup:
    return Markup('<line class="{0}" x1="0" x2="100%" y1="{1:g}" y2="{1:g}"/>').format(kind, y)


def _scale(grid: TimeGrid) -> Markup:
    """The labels at the left: shares of the limit, and what the rows below the chart are."""
    texts = [("small", _y(at) + 4, f"{100 * at:.0f} %") for at in (0.0, 0.5, FIXED_TOP)]
    texts += [("limit-text", _y(1.0) + 4, "100 %"), ("small", _STRIP + 11, "state")]
    low, high = _levels(grid)
    if low <= high:
        texts += [("small", _LEVEL + 8, f"{high:.0f} dB")]
        texts += [("small", _LEVEL + _LEVEL_ROWS + 2, f"{low:.0f} dB")] if round(low) != round(high) else []
    shown = Markup("").join(
        Markup('<text class="{}" x="{}" y="{:g}" text-anchor="end">{}</text>').format(kind, _SCALE - 8, y, text)
        for kind, y, text in texts
    )
    return Markup('<svg class="scale" width="{}" height="{}" aria-hidden="true">{}</svg>').format(_SCALE, HEIGHT, shown)


def _levels(grid: TimeGrid) -> tuple[float, float]:
    """The lowest and the highest level; the first is larger where there is none."""
    known = grid.level[np.isfinite(grid.level)]
    return (float(known.min()), float(known.max())) if len(known) else (1.0, 0.0)


def _y(share: float) -> float:
    return round(_TOP + CHART * (1 - min(max(share, 0.0), FIXED_TOP) / FIXED_TOP), 1)


def _stretched(top: int, rows: int, content: Markup) -> Markup:
    """Shapes in columns of the grid, stretched to the width of the page."""
    return Markup(
        '<svg x="0" y="{}" width="100%" height="{}" viewBox="0 0 {} {}" preserveAspectRatio="none">{}</svg>'
    ).format(top, rows, COLUMNS, rows, content)


def _runs(known: Sequence[bool]) -> Iterator[tuple[int, int]]:
    """The first column, and one past the last, of each run of columns that have a value."""
    at = 0
    for is_known, group in groupby(known):
        length = len(list(group))
        if is_known:
            yield at, at + length
        at += length


def _steps(values: FloatArray, first: int, *, rows: int, top: float, low: float = 0.0) -> str:
    """A line in steps, from column `first` on: the commands of a path without its beginning."""
    height = _heights(values, rows=rows, low=low, top=top)
    made = [f"{first} {height[0]}"]
    for i, at in enumerate(height):
        made.append(f"V{at}H{first + i + 1}" if i and at != height[i - 1] else f"H{first + i + 1}")
    return "".join(made)


def _envelope(grid: TimeGrid) -> Markup:
    """From the mean to the highest share as an area, and the mean as a line."""
    means = np.where(np.isfinite(grid.share_mean), grid.share_mean, grid.share_max)
    highest = np.fmax(grid.share_max, means)
    area, mean_line = [], []
    for start, end in _runs(np.isfinite(highest).tolist()):
        up = _steps(highest[start:end], start, rows=CHART, top=FIXED_TOP)
        mean = _steps(means[start:end], start, rows=CHART, top=FIXED_TOP)
        heights = _heights(means[start:end], rows=CHART, top=FIXED_TOP)
        back = [f"L{start + i + 1} {y}H{start + i}" for i, y in reversed(list(enumerate(heights)))]
        area.append(f"M{up}{''.join(back)}Z")
        mean_line.append(f"M{mean}")
    return Markup('<path class="range" d="{}"/><path class="mean" d="{}"/>').format("".join(area), "".join(mean_line))


def _heights(values: FloatArray, *, rows: int, top: float, low: float = 0.0) -> list[str]:
    """Distances from the upper edge of `rows` rows, which show values from `low` to `top`."""
    return [f"{rows * (1 - min(max((v - low) / (top - low), 0.0), 1.0)):.1f}" for v in values.tolist()]


def _shaded(grid: TimeGrid) -> Iterator[Markup]:
    """Where nothing was heard the chart is hatched."""
    for start, end in _runs(grid.unheard.tolist()):
        yield _box("unheard", start, end, _TOP, CHART)


def _box(kind: str, start: int, end: int, top: float, height: float) -> Markup:
    return Markup('<rect class="{}" x="{:.3f}%" width="{:.3f}%" y="{:g}" height="{:g}"/>').format(
        kind, 100 * start / COLUMNS, 100 * (end - start) / COLUMNS, top, height
    )


def _strip(grid: TimeGrid) -> Iterator[Markup]:
    """The states as bars of different heights, so that they can be told apart without colour."""
    names = list(STATES)
    at = 0
    for state, group in groupby(grid.state.tolist()):
        length = len(list(group))
        if state != NOTHING:
            name = names[state]
            height = HEIGHTS[name]
            yield _box(f"state {name}", at, at + length, _STRIP + _FULL - height, height)
        at += length


def _level(grid: TimeGrid) -> Markup:
    low, high = _levels(grid)
    middle, half = (low + high) / 2, max((high - low) / 2, 3.0)
    path = "".join(
        "M" + _steps(grid.level[start:end], start, rows=_LEVEL_ROWS, low=middle - half, top=middle + half)
        for start, end in _runs(np.isfinite(grid.level).tolist())
    )
    return _stretched(_LEVEL, _LEVEL_ROWS, Markup('<path class="level" d="{}"/>').format(path))


def _axis(grid: TimeGrid) -> Iterator[Markup]:
    for number, (time, text) in enumerate(ticks(grid.since, grid.until, _LABELS)):
        at = 100 * grid.at(time)
        kind = "tick minor" if number % 2 else "tick"
        anchor = "start" if at < 3 else "end" if at > 97 else "middle"
        yield Markup(
            '<g class="{}"><line x1="{:.2f}%" x2="{:.2f}%" y1="{}" y2="{}"/>'
            '<text x="{:.2f}%" y="{}" text-anchor="{}">{}</text></g>'
        ).format(kind, at, at, _TOP, _LEVEL + _LEVEL_ROWS, at, _AXIS, anchor, text)


def _model_marks(grid: TimeGrid, models: Sequence[StoredModel]) -> Iterator[Markup]:
    for model in models[1:]:
        at = 100 * grid.at(model.first_seen)
        if 0 <= at <= 100:
            anchor, shift = ("end", -4) if at > 80 else ("start", 4)
            yield Markup(
                '<line class="model" x1="{:.2f}%" x2="{:.2f}%" y1="{}" y2="{}"/>'
                '<text class="small" x="{:.2f}%" dx="{}" y="{}" text-anchor="{}">another model or limit</text>'
            ).format(at, at, _TOP, _STRIP, at, shift, _TOP + 10, anchor)


def _event_marks(grid: TimeGrid, events: Sequence[StoredEvent], linked: frozenset[str]) -> Iterator[Markup]:
    marked: dict[int, StoredEvent] = {}  # by place: marks that cover each other would say no more
    for event in sorted(events, key=lambda one: (one.id not in linked, -(one.peak_share or 0.0))):
        at = grid.at(event.onset)
        if event.kind == "anomaly" and 0 <= at <= 1:
            marked.setdefault(int(at * MOST_MARKS), event)
    for event in sorted(marked.values(), key=lambda one: one.onset):
        sign = Markup(
            '<svg x="{:.2f}%" y="3" overflow="visible"><rect class="target" x="-7" y="-3" width="14" height="18"/>'
            '<path class="mark" d="M-5 1h10l-5 9z"/></svg>'
        ).format(100 * grid.at(event.onset))
        text = f"Anomaly, {words.moment(event.onset).strip()}, {words.length(event)}, {words.peak(event)} of the limit"
        if event.id in linked:
            yield Markup('<a href="#event-{}" aria-label="{}"><title>{}</title>{}</a>').format(
                event.id, text, text, sign
            )
        else:
            yield Markup("<g><title>{}</title>{}</g>").format(text, sign)
