"""One module for each group of commands. Slow imports are inside the commands, so that --help stays fast."""

__all__ = ["bench", "calibrate", "check", "devices", "evaluate", "guide", "listen", "record", "train"]
