"""The command line: commands, options, printed results, logging, and exit codes."""

__all__ = ["capture_progress", "commands", "completion", "environment", "logs", "main", "options", "output", "results"]
