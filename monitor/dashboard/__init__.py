"""The live view: draws Snapshots on a terminal, or writes them as log lines. Knows nothing of audio or models."""

__all__ = [
    "app",
    "day_totals",
    "history",
    "keyboard",
    "layout",
    "plain_log",
    "render",
    "selection",
    "svg_export",
    "viewer",
    "widgets",
]
