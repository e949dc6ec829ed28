"""How numbers, shares, durations, times of day and names from outside are written, always in few characters."""

from __future__ import annotations

import math
import time

from monitor.core.events import CAUSES, Event
from monitor.dashboard.render.theme import Glyphs
from monitor.scoring.score_parts import SCORE_TITLES

_DAYS = ("Mon", "Tue", "Wed", "Thu", "Fri", "Sat", "Sun")
_OLD_S = 20 * 3600.0
_KINDS = {
    "lost": "no sound", "gap": "not heard", "off": "off", "drift": "adapted", "overloaded": "overload",
    "invalid samples": "invalid",
}  # fmt: skip


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
    """A number without trailing zeros: 0.5, 20, 1.5k."""
    text = number(value)
    suffix = text[-1] if text[-1].isalpha() else ""
    digits = text[: len(text) - len(suffix)]
    if "e" in digits:
        return digits.replace(".0e", "e")
    if "." in digits:
        digits = digits.rstrip("0").rstrip(".")
    return digits + suffix


def hertz(value: float) -> str:
    """A frequency in at most seven characters: 440 Hz, 1.2 kHz, 12 kHz."""
    if value < 999.5:
        return f"{value:.0f} Hz"
    return f"{value / 1000:.1f} kHz".replace(".0 ", " ") if value < 9950 else f"{value / 1000:.0f} kHz"


def share(value: float) -> str:
    """A share in at most eight characters: 48 %, 1,250 %, >9,999 %; - for NaN.

    What is above 1 is never written as 100 %, and what is below 1 is not either.
    """
    if math.isnan(value):
        return "-"
    percent = 100 * value
    if percent >= 9999.5:
        return ">9,999 %"
    whole = round(max(percent, -999.0))
    if whole == 100 and value != 1.0:
        whole = 101 if value > 1.0 else 99
    return f"{whole:,d} %"


def of_limit(value: float) -> str:
    """A share of a limit: 48 % of limit; - for NaN."""
    return "-" if math.isnan(value) else f"{share(value)} of limit"


def method(score_kind: str) -> str:
    """What the anomaly score is computed from, for a reader who does not know the kinds of scores by name."""
    return SCORE_TITLES.get(score_kind, score_kind)


def event_kind(event: Event) -> str:
    """What an event is, in at most nine characters."""
    return kind_word(event.kind)


def kind_word(kind: str) -> str:
    """What a kind of event is called on the screen, in at most nine characters."""
    return _KINDS.get(kind, kind)


def event_peak(event: Event) -> float:
    """The highest anomaly score of an anomaly as a share of its limit, NaN where there was none."""
    return event.peak / event.threshold if event.threshold > 0 else math.nan


def event_cause(event: Event) -> str:
    """Why an anomaly was reported, empty where that is not known."""
    return CAUSES.get(event.cause, "")


def event_mark(event: Event, glyphs: Glyphs) -> str:
    """The sign that stands before an event."""
    return {"anomaly": glyphs.anomaly, "gap": glyphs.gap, "lost": glyphs.lost}.get(event.kind, glyphs.dot)


def long_since(seconds: float) -> str:
    """A time that goes on, in at most three characters below a hundred days: 40m, 5h, 12d."""
    minutes = max(int(seconds / 60), 0) if math.isfinite(seconds) else 0
    if minutes < 60:
        return f"{minutes}m"
    return f"{minutes // 60}h" if minutes < 48 * 60 else f"{minutes // 1440}d"


def age(seconds: float) -> str:
    """How long ago something was, in at most three characters below a hundred days: 12s, 40m, 5h, 12d."""
    return f"{max(int(seconds), 0)}s" if seconds < 60 else long_since(seconds)


def level(dbfs: float, digits: int = 1) -> str:
    """A level relative to full scale: -32.1 dB, or words where all samples are zero or none has come."""
    if math.isnan(dbfs) or dbfs == -math.inf:
        return "no sound"
    return "inf dB" if dbfs == math.inf else f"{dbfs:.{digits}f} dB"


def duration(seconds: float) -> str:
    """A length of time in at most nine characters: 0 s, 0.03 s, 0.3 s, 12.3 s, 3:05, 1:03:05 or 2d 03:05."""
    if not math.isfinite(seconds):
        return "-"
    if seconds >= 59.95:
        return span(seconds)
    text = f"{seconds:.2f}" if seconds < 0.0995 else f"{seconds:.1f}"
    return f"{text.rstrip('0').rstrip('.')} s"


def span(seconds: float) -> str:
    """A time that goes on, in hours, minutes and seconds: 0:05, 3:05, 1:03:05, 2d 03:05."""
    whole = int(seconds) if math.isfinite(seconds) else 0
    minutes, second = divmod(whole, 60)
    hours, minute = divmod(minutes, 60)
    days, hour = divmod(hours, 24)
    if days:
        return f"{days}d {hour:02d}:{minute:02d}"
    return f"{hour}:{minute:02d}:{second:02d}" if hour else f"{minute}:{second:02d}"


def clock(wall_time: float, now: float = math.nan) -> str:
    """The local time of day; the day of the week and the minute where `now` is most of a day later."""
    if not math.isfinite(wall_time):
        return "-"
    local = time.localtime(wall_time)
    if now - wall_time > _OLD_S:
        return f"{_DAYS[local.tm_wday]} {local.tm_hour:02d}:{local.tm_min:02d}"
    return f"{local.tm_hour:02d}:{local.tm_min:02d}:{local.tm_sec:02d}"


def name(text: str, glyphs: Glyphs) -> str:
    """A name from outside, with a question mark for what would move the cursor, and for what ASCII lacks."""
    shown = "".join(c if c.isprintable() else "?" for c in text)
    return shown.encode("ascii", "replace").decode("ascii") if glyphs.ascii else shown


def pace(speed: float) -> str:
    """Stream seconds per second in words: real time, 4 times real time, as fast as possible."""
    if speed == 1.0:
        return "real time"
    if math.isinf(speed):
        return "as fast as possible"
    return "-" if math.isnan(speed) else f"{tick(speed)} times real time"
