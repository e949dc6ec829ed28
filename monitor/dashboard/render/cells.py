"""Lines of an exact width in cells. The screen is made of them, so no text can wrap or push its neighbour."""

from __future__ import annotations

from collections.abc import Sequence

from rich.cells import cell_len, set_cell_size
from rich.segment import Segment
from rich.style import Style

from monitor.dashboard.render.theme import Glyphs, Theme

Line = list[Segment]
Part = tuple[str, Style]

_BLANK = Style.null()


def line(width: int, *parts: Part, fill: Style = _BLANK) -> Line:
    """The parts one after another, cropped or padded to `width` cells."""
    made: Line = []
    left = max(width, 0)
    for text, style in parts:
        cells = cell_len(text)
        if cells > left:
            text, cells = set_cell_size(text, left), left
        if text:
            made.append(Segment(text, style))
        left -= cells
    if left:
        made.append(Segment(" " * left, fill))
    return made


def spread(width: int, first: Sequence[Part], last: Sequence[Part], fill: Style = _BLANK) -> Line:
    """`first` at the left end and `last` at the right one; without `last` where there is no room for both."""
    used = sum(cell_len(text) for text, _ in first)
    wanted = sum(cell_len(text) for text, _ in last)
    if used + wanted + 1 > width:
        return line(width, *first, fill=fill)
    return line(width, *first, (" " * (width - used - wanted), fill), *last, fill=fill)


def rule(width: int, theme: Theme, glyphs: Glyphs, first: Sequence[Part], last: Sequence[Part] = ()) -> Line:
    """A thin line with a title at the left and, where there is room, `last` at the right."""
    used = sum(cell_len(text) for text, _ in first)
    wanted = sum(cell_len(text) for text, _ in last)
    dash = glyphs.rule
    head: list[Part] = [(dash + " ", theme.frame), *first, (" ", theme.frame)]
    left = width - used - 3
    if last and left >= wanted + 5:
        tail: list[Part] = [(" ", theme.frame), *last, (" " + dash, theme.frame)]
        return line(width, *head, (dash * (left - wanted - 3), theme.frame), *tail)
    return line(width, *head, (dash * max(left, 0), theme.frame))


def blank(width: int, rows: int) -> list[Line]:
    """`rows` empty lines."""
    return [line(width) for _ in range(rows)]


def block(lines: list[Line], width: int, rows: int) -> list[Line]:
    """Exactly `rows` lines: surplus ones are cut, empty ones are added."""
    return lines[: max(rows, 0)] + blank(width, rows - len(lines))


def beside(left: list[Line], right: list[Line], gap: int) -> list[Line]:
    """Two blocks of equal height side by side."""
    space = [Segment(" " * gap)] if gap else []
    return [a + space + b for a, b in zip(left, right, strict=True)]


def bar_of(length: float, cells: int, steps: str) -> str:
    """A bar of `length` cells, at most `cells`; its end is one of the fractions of a cell in `steps`."""
    whole = min(int(length), cells)
    part = int((length - whole) * len(steps))
    return steps[-1] * whole + (steps[part - 1] if part and whole < cells else "")


def runs(codes: Sequence[int], text: str, styles: Sequence[Style]) -> Line:
    """`text` with character i in style `styles[codes[i]]`, as one segment for each run of equal codes."""
    made: Line = []
    start = 0
    for i in range(1, len(codes) + 1):
        if i == len(codes) or codes[i] != codes[start]:
            made.append(Segment(text[start:i], styles[codes[start]]))
            start = i
    return made
