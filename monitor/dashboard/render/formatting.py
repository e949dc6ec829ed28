"""How numbers, durations, times of day and foreign names are written, always in few characters."""

from __future__ import annotations

import math
import time
from collections.abc import Sequence

from monitor.dashboard.render.theme import Glyphs
from monitor.core.snapshot import Band, Event

_DAYS = ("Mon", "Tue", "Wed", "Thu", "Fri", "Sat", "Sun")
_OLD_S = 20 * 3600.0


def number(value: float) -> str:
    """Two or three digits in six characters, seven with a minus: 0.0031, 3.12, 31.2k, 3.1e-5; - for NaN."""
    if math.isnan(value):
        return "-"
    if math.isinf(value):
        return "inf" if value > 0 else "-inf"
    size = abs(value)
    if size == 0.0:
        return "0"
    if size < 0.001 or size >= 999.5e9:
        mantissa, exponent = f"{value:.1e}".split("e")
        return f"{mantissa}e{int(exponent)}"
    if size < 0.00995:
        return f"{value:.4f}"
    for limit, unit, suffix in (
        (999.5, 1.0, ""),
        (999.5e3, 1e3, "k"),
        (999.5e6, 1e6, "M"),
        (math.inf, 1e9, "G"),
    ):
        if size < limit:
            scaled = value / unit
            digits = max(0, 2 - math.floor(math.log10(abs(float(f"{scaled:.3g}")))))
            return f"{scaled:.{digits}f}{suffix}"
    return "?"


def tick(value: float) -> str:
    """A number without the zeros that carry nothing: 0.5, 20, 1.5k."""
    text = number(value)
    suffix = text[-1] if text[-1].isalpha() else ""
    digits = text[: len(text) - len(suffix)]
    if "e" in digits:
        return digits.replace(".0e", "e")
    if "." in digits:
        digits = digits.rstrip("0").rstrip(".")
    return digits + suffix


def hertz(value: float) -> str:
    """A frequency in at most four characters: 440, 1.2k, 12k."""
    if value < 999.5:
        return f"{value:.0f}"
    return f"{value / 1000:.1f}k".replace(".0k", "k") if value < 9950 else f"{value / 1000:.0f}k"


def band_range(band: Band) -> str:
    """A range of frequencies: 310-420 Hz, 0.8-1.2 kHz, 2.1 kHz."""
    low, high = band.low_hz, band.high_hz
    if high < 999.5:
        ends, unit = (f"{low:.0f}", f"{high:.0f}"), "Hz"
    else:
        digits = 1 if high < 9950 else 0
        ends, unit = (f"{low / 1000:.{1 if low < 995 else digits}f}", f"{high / 1000:.{digits}f}"), "kHz"
    return f"{ends[0]}-{ends[1]} {unit}" if ends[0] != ends[1] else f"{ends[0]} {unit}"


def band_list(bands: Sequence[Band], room: int) -> str:
    """The bands that carry an anomaly, the strongest first, as many as fit into `room` characters."""
    text = ""
    for band in bands:
        longer = f"{text}{', ' if text else ''}{band_range(band)} {band.change}"
        if len(longer) > room:
            break
        text = longer
    return text


def cause(event: Event) -> str:
    """What made an anomaly of it: nothing where that is not known."""
    return {"sudden": "sudden", "evidence": "small but lasting"}.get(event.cause, "")


def long_since(seconds: float) -> str:
    """How long something goes on, in at most three characters: 40m, 5h, 12d."""
    minutes = max(int(seconds / 60), 0) if math.isfinite(seconds) else 0
    if minutes < 60:
        return f"{minutes}m"
    return f"{minutes // 60}h" if minutes < 48 * 60 else f"{minutes // 1440}d"


def age(seconds: float) -> str:
    """How long ago something was, in at most three characters: 12s, 40m, 5h, 12d."""
    return f"{max(int(seconds), 0)}s" if seconds < 60 else long_since(seconds)


def level(value: float) -> str:
    """A level in dBFS: -32.1, or -inf for silence."""
    return number(value) if math.isnan(value) or math.isinf(value) else f"{value:.1f}"


def duration(seconds: float) -> str:
    """0.31 s, 12.3 s, 3:05, 1:03:05 or 2d 03:05, whichever tells most in at most nine characters."""
    if math.isnan(seconds) or math.isinf(seconds):
        return "-"
    if seconds < 9.995:
        return f"{seconds:.2f} s"
    if seconds < 59.95:
        return f"{seconds:.1f} s"
    return span(seconds)


def span(seconds: float) -> str:
    """Hours, minutes and seconds of something that goes on: 0:05, 3:05, 1:03:05, 2d 03:05."""
    whole = int(seconds) if math.isfinite(seconds) else 0
    minutes, second = divmod(whole, 60)
    hours, minute = divmod(minutes, 60)
    days, hour = divmod(hours, 24)
    if days:
        return f"{days}d {hour:02d}:{minute:02d}"
    return f"{hour}:{minute:02d}:{second:02d}" if hour else f"{minute}:{second:02d}"


def clock(wall_time: float, now: float = math.nan) -> str:
    """The local time of day, or weekday and minute where `now` is most of a day later."""
    if not math.isfinite(wall_time):
        return "-"
    there = time.localtime(wall_time)
    if now - wall_time > _OLD_S:
        return f"{_DAYS[there.tm_wday]} {there.tm_hour:02d}:{there.tm_min:02d}"
    return f"{there.tm_hour:02d}:{there.tm_min:02d}:{there.tm_sec:02d}"


def name(text: str, glyphs: Glyphs) -> str:
    """A name from outside, with nothing in it that could move the cursor, or that ASCII has not."""
    shown = "".join(c if c.isprintable() else "?" for c in text)
    return shown.encode("ascii", "replace").decode("ascii") if glyphs.ascii else shown


def pace(value: float, times: str = "x") -> str:
    """Stream seconds per second: x1.00, or as fast as it goes."""
    if math.isinf(value):
        return "max"
    return "-" if math.isnan(value) else f"{times}{number(value)}"
