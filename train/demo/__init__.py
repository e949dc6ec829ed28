"""A synthetic machine with its sound and its faults, and the demo commands that use it."""

__all__ = ["demo", "false_alarms", "faults", "filters", "machine"]
