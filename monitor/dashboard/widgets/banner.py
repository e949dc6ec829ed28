"""The state as one large word, in block letters of half-cells: 6 pixels or 3 rows high, or twice that."""

from __future__ import annotations

from functools import lru_cache

from rich.segment import Segment

from monitor.core.events import State
from monitor.dashboard.render.cells import Line
from monitor.dashboard.render.theme import Glyphs, Theme

_LETTERS = {
    " ": ("  ",) * 6,
    "A": (" ## ", "#  #", "#  #", "####", "#  #", "#  #"),
    "D": ("### ", "#  #", "#  #", "#  #", "#  #", "### "),
    "E": ("####", "#   ", "### ", "#   ", "#   ", "####"),
    "F": ("####", "#   ", "### ", "#   ", "#   ", "#   "),
    "G": (" ####", "#    ", "#  ##", "#   #", "#   #", " ####"),
    "I": ("###", " # ", " # ", " # ", " # ", "###"),
    "L": ("#   ", "#   ", "#   ", "#   ", "#   ", "####"),
    "M": ("#   #", "## ##", "# # #", "#   #", "#   #", "#   #"),
    "N": ("#   #", "##  #", "# # #", "#  ##", "#   #", "#   #"),
    "O": (" ### ", "#   #", "#   #", "#   #", "#   #", " ### "),
    "R": ("#### ", "#   #", "#   #", "#### ", "#  # ", "#   #"),
    "S": (" ###", "#   ", " ## ", "   #", "   #", "### "),
    "T": ("#####", "  #  ", "  #  ", "  #  ", "  #  ", "  #  "),
    "V": ("#   #", "#   #", "#   #", "#   #", " # # ", "  #  "),
    "W": ("#   #", "#   #", "#   #", "# # #", "## ##", "#   #"),
    "Y": ("#   #", "#   #", " # # ", "  #  ", "  #  ", "  #  "),
}
_GAP = 1


def word_width(word: str, size: int = 1) -> int:
    """Width of the word in cells."""
    return size * (sum(len(_LETTERS[letter][0]) for letter in word) + _GAP * (len(word) - 1))


WIDEST = max(word_width(state) for state in State if state is not State.OVERLOADED)  # that is written small instead


def word_rows(size: int) -> int:
    """Height of a word in rows, with half a row of margin above and below."""
    return 3 * size + 1


@lru_cache(maxsize=64)
def _rows(word: str, size: int, halves: str) -> tuple[str, ...]:
    """The rows of characters of a word, with its margins."""
    art = [(" " * _GAP).join(_LETTERS[letter][y] for letter in word) for y in range(6)]
    tall = ["".join(c * size for c in row) for row in art for _ in range(size)]
    empty = " " * len(tall[0])
    pixels = [empty, *tall, empty]
    return tuple(
        "".join(halves[(a != " ") + 2 * (b != " ")] for a, b in zip(upper, lower, strict=True))
        for upper, lower in zip(pixels[::2], pixels[1::2], strict=True)
    )


def large_word(
    state: State, width: int, size: int, theme: Theme, glyphs: Glyphs, caption: str = "", *, loud: bool = True
) -> list[Line]:
    """The word on a field of `width` cells and `word_rows(size)` rows, which is coloured in the loud states.

    A word that is too wide is written in letters of one cell. The caption stands to the right of the word, where there
    is room for it. Without `loud` there is no coloured field.
    """
    filled = state in theme.loud and loud
    style = theme.word[state] if filled or state not in theme.loud else theme.alert
    ground = style if filled else theme.plain
    made: list[Line] = []
    rows = _rows(state.value, size, glyphs.halves)
    if len(rows[0]) >= width:
        rows = _small_rows(state.value, size)
    used = 1 + len(rows[0])
    room = width - used - 4
    for number, row in enumerate(rows):
        text = f" {row}"
        line: Line = [Segment(text, style)]
        if number == (len(rows) - 1) // 2 and caption and len(caption) <= room:
            line += [Segment(f"    {caption:<{room}}", ground if filled else theme.label)]
        else:
            line += [Segment(" " * (width - used), ground)]
        made.append(line)
    return made


def _small_rows(word: str, size: int) -> tuple[str, ...]:
    """The word in letters of one cell with spaces between them, in the rows of a large word."""
    spaced = " ".join(word)
    rows = [" " * len(spaced)] * word_rows(size)
    rows[(len(rows) - 1) // 2] = spaced
    return tuple(rows)
