"""Outputs (sinks) for frames, events and scores: log files, pictures, and the base classes for own sinks."""

__all__ = [
    "background",
    "collecting",
    "drift_saver",
    "event_log",
    "event_picture",
    "event_plots",
    "event_tracker",
    "named",
    "parquet_day",
    "parquet_log",
    "plots",
    "recording_writer",
    "rescoring",
    "score_blocks",
    "score_history",
    "score_log",
    "sink",
]
