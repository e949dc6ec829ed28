"""The guided way of `monitor setup`, from a microphone to a service."""

__all__ = ["checks", "context", "learning", "microphone", "progress", "questions", "service", "settings_file", "steps"]
