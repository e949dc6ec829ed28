"""One module for each group of commands. Slow imports are inside the commands, so that --help stays fast."""

__all__ = [
    "bench",
    "calibrate",
    "check",
    "devices",
    "evaluate",
    "events",
    "export",
    "guide",
    "integrations",
    "listen",
    "notify",
    "record",
    "reload",
    "report",
    "setup",
    "status",
    "train",
    "trend",
]
