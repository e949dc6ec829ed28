"""Outputs (sinks) for frames, events and scores: log files, pictures, and the base classes for own sinks."""

__all__ = [
    "background",
    "drift_saver",
    "event_log",
    "event_plots",
    "event_tracker",
    "plots",
    "recording_writer",
    "score_log",
    "sink",
]
