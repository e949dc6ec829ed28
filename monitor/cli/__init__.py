"""The command line: commands, options, printed results, logging, and exit codes."""

__all__ = [
    "beside",
    "capture_progress",
    "commands",
    "completion",
    "environment",
    "level_check",
    "listening",
    "logs",
    "looking_back",
    "main",
    "options",
    "output",
    "plant_outputs",
    "results",
    "running",
    "setup",
    "spread_capture",
    "stream_models",
    "times",
    "upkeep",
]
