"""The screen as an SVG picture, with blocks, lines and braille patterns as shapes.

rich's own export draws them with the font, and few fonts have all of them in the width of their letters.
"""

from __future__ import annotations

import html
import re
from collections.abc import Sequence

from rich.cells import cell_len
from rich.color import Color
from rich.style import Style
from rich.terminal_theme import MONOKAI

from monitor.dashboard.render.cells import Line

_W, _H = 8, 16  # width and height of a cell; a half block is a square
_MARGIN = 12
_GROUND, _INK, _FAINT = "#14171a", "#d5dadf", "#868d94"
_FONT = "DejaVu Sans Mono, Menlo, Consolas, Liberation Mono, monospace"
_WORD = re.compile(r"\S+(?: \S+)*")

Box = tuple[float, float, float, float]  # x, y, width and height in a cell
_SHAPES: dict[str, tuple[Box, ...]] = {
    "▀": ((0, 0, _W, _H / 2),),
    "─": ((0, 7.5, _W, 1),),
    "│": ((3.5, 0, 1, _H),),
    "┤": ((3.5, 0, 1, _H), (0, 7.5, 3.5, 1)),
    "╵": ((0, 0, 1, 6),),
    "┃": ((3, 0, 2, _H),),
    "┊": tuple((3.5, y, 1, 2.5) for y in (1, 5, 9, 13)),
    "━": ((0, 7, _W, 2),),
    "╸": ((0, 7, 4, 2),),
    "╌": ((0.5, 7.5, 3, 1), (4.5, 7.5, 3, 1)),
    "░": ((1, 2, 2, 2), (5, 5, 2, 2), (1, 8, 2, 2), (5, 11, 2, 2)),
    **{block: ((0, 0, (i + 1) * _W / 8, _H),) for i, block in enumerate("▏▎▍▌▋▊▉█")},
    **{block: ((0, _H - 2 * (i + 1), _W, 2 * (i + 1)),) for i, block in enumerate("▁▂▃▄▅▆▇")},
}
# column and row of each pixel of a braille cell, in the order of the bits of its code
_DOTS = ((0, 0), (0, 1), (0, 2), (1, 0), (1, 1), (1, 2), (0, 3), (1, 3))


def svg(lines: Sequence[Line], width: int) -> str:
    """An SVG document of lines of `width` cells."""
    grounds: dict[str, list[str]] = {}
    shapes: dict[str, list[str]] = {}
    words: list[str] = []
    for row, line in enumerate(lines):
        x, y = float(_MARGIN), _MARGIN + row * _H
        for text, style, _ in line:
            ink, ground = _colours(style)
            cells = cell_len(text) * _W
            if ground is not None:
                grounds.setdefault(ground, []).append(_path(x, y, cells, _H))
            rest = _take_shapes(text, x, y, shapes.setdefault(ink, []))
            bold = ' font-weight="bold"' if style is not None and style.bold else ""
            for word in _WORD.finditer(rest):
                at, shown = x + cell_len(rest[: word.start()]) * _W, word.group()
                words.append(
                    f'<text x="{at:g}" y="{y + 12}" fill="{ink}"{bold} textLength="{cell_len(shown) * _W}">'
                    f"{html.escape(shown)}</text>"
                )
            x += cells
    total_w, total_h = width * _W + 2 * _MARGIN, len(lines) * _H + 2 * _MARGIN
    body = [f'<path fill="{ink}" d="{"".join(d)}"/>' for part in (grounds, shapes) for ink, d in part.items() if d]
    return "\n".join(
        [
            f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {total_w} {total_h}" width="{total_w}"'
            f' height="{total_h}" font-family="{_FONT}" font-size="13" xml:space="preserve">',
            f'<rect width="{total_w}" height="{total_h}" rx="6" fill="{_GROUND}"/>',
            '<g shape-rendering="crispEdges">',
            *body,
            "</g>",
            *words,
            "</svg>\n",
        ]
    )


def _path(x: float, y: float, width: float, height: float) -> str:
    return f"M{x:g} {y:g}h{width:g}v{height:g}h{-width:g}z"


def _take_shapes(text: str, x: float, y: float, paths: list[str]) -> str:
    """Adds the shapes in `text` to `paths`, and returns the text with spaces in their places."""
    if text.isascii():
        return text
    rest = list(text)
    start = 0
    while start < len(text):
        character = text[start]
        end = start + 1
        code = ord(character) - 0x2800
        if character in "▀▄█─━":  # neighbours join, and are drawn as one shape
            while end < len(text) and text[end] == character:
                end += 1
        if character in _SHAPES:
            for left, top, width, height in _SHAPES[character]:
                paths.append(_path(x + start * _W + left, y + top, width + (end - start - 1) * _W, height))
            rest[start:end] = " " * (end - start)
        elif 0 <= code < 256:
            for bit, (column, down) in enumerate(_DOTS):
                if code >> bit & 1:
                    paths.append(_path(x + start * _W + column * 4 + 1, y + down * 4 + 1, 2.5, 2.5))
            rest[start] = " "
        start = end
    return "".join(rest)


def _colours(style: Style | None) -> tuple[str, str | None]:
    """Colours of text and background; None for the background of the picture."""
    if style is None:
        return _INK, None
    ink = _hex(style.color) or (_FAINT if style.dim else _INK)
    ground = _hex(style.bgcolor)
    return (ground or _GROUND, ink) if style.reverse else (ink, ground)


def _hex(colour: Color | None) -> str | None:
    return None if colour is None or colour.is_default else colour.get_truecolor(MONOKAI).hex
