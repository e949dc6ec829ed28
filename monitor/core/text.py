"""Formatting of text that users read: counts, durations, frequency ranges, and names from outside the program."""

from __future__ import annotations

import re
import zlib
from collections.abc import Sequence
from difflib import SequenceMatcher
from typing import TYPE_CHECKING

if TYPE_CHECKING:  # `monitor --help` imports this module, and would become slow with numpy
    from monitor.core.events import Band


def counted(count: int, one: str, many: str = "") -> str:
    """A number with its noun in singular or plural: 1 recording, 2 recordings."""
    return f"{count} {one if count == 1 else many or one + 's'}"


def duration_text(seconds: float) -> str:
    """A duration in the unit that suits it: 24 s, 12 min, 26 hours."""
    if seconds < 180:
        return f"{seconds:.0f} s"
    return f"{seconds / 60:.0f} min" if seconds < 36_000 else f"{seconds / 3600:.0f} hours"


def printable(name: str) -> str:
    """The name with `?` for each character that cannot be printed, such as terminal escapes and lone surrogates."""
    return "".join(c if c.isprintable() else "?" for c in name)


def printable_lines(text: str) -> str:
    """Text of several lines with `?` for each character that cannot be printed; line breaks stay."""
    return "\n".join(map(printable, text.split("\n")))


def safe_name(name: str) -> str:
    """The name of a stream or a source as a part of file names, at most 60 characters; "sound" if nothing is left."""
    return re.sub(r"[^A-Za-z0-9._-]+", "-", name).strip("-.")[:60] or "sound"


def stream_folder(name: str) -> str:
    """The name of the folder of a stream; no two streams have the same.

    It is the name itself if it can be; otherwise what can stand in file names of it, and a checksum.
    """
    plain = safe_name(name)
    return plain if plain == name else f"{plain[:50]}-{zlib.crc32(name.encode('utf-8', 'surrogatepass')):08x}"


def precision_text(precision: str, limits_precision: str) -> str:
    """What the network is computed in, and what its limits were made in if that is another: int8 (limits: float32)."""
    return precision if precision == limits_precision else f"{precision} (limits: {limits_precision})"


def shortened(text: str, length: int = 80) -> str:
    """The text, or its beginning and an ellipsis if it is longer than `length` characters."""
    return text if len(text) <= length else f"{text[: length - 1]}…"


def some_of(names: Sequence[str], near: str = "", most: int = 20) -> str:
    """Names for a sentence: pump, fan. Of more than `most` those that are most like `near`, and how many more."""
    if len(names) <= most:
        return ", ".join(names)
    if near:
        wanted = near.casefold()
        names = sorted(names, key=lambda name: -SequenceMatcher(None, name.casefold(), wanted).ratio())
    return f"{', '.join(names[:most])} and {len(names) - most} more"


def band_range(band: Band) -> str:
    """A frequency range as text: 310-420 Hz, 0.8-1.2 kHz, 2.1 kHz."""
    low, high = band.low_hz, band.high_hz
    if high < 999.5:
        ends, unit = (f"{low:.0f}", f"{high:.0f}"), "Hz"
    else:
        digits = 1 if high < 9950 else 0
        ends, unit = (f"{low / 1000:.{1 if low < 995 else digits}f}", f"{high / 1000:.{digits}f}"), "kHz"
    return f"{ends[0]}-{ends[1]} {unit}" if ends[0] != ends[1] else f"{ends[0]} {unit}"


def band_list(bands: Sequence[Band], max_length: int) -> str:
    """The frequency ranges of an anomaly in the given order, as many as fit into `max_length` characters."""
    text = ""
    for band in bands:
        longer = f"{text}{', ' if text else ''}{band_range(band)} {band.change}"
        if len(longer) > max_length:
            break
        text = longer
    return text
