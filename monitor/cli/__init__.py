"""The command line: commands, options, printed results, logging, and exit codes."""

__all__ = ["capture_progress", "commands", "environment", "logs", "main", "options", "results"]
