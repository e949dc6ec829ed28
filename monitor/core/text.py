"""Words for a person: counted things, and names that may hold anything."""

from __future__ import annotations


def counted(count: int, one: str, many: str = "") -> str:
    """A number with its noun: 1 recording, 2 recordings."""
    return f"{count} {one if count == 1 else many or one + 's'}"


def heard(seconds: float) -> str:
    """How much sound: 24 s, 12 min."""
    return f"{seconds / 60:.0f} min" if seconds >= 180 else f"{seconds:.0f} s"


def printable(name: str) -> str:
    """A foreign name without what would move the cursor, or no encoding can write."""
    return "".join(c if c.isprintable() else "?" for c in name)
