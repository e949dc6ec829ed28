"""From anomaly scores to states and events: sudden and lasting anomalies, machines that are off, and drift."""

__all__ = [
    "alarm",
    "anomaly",
    "anomaly_events",
    "cusum",
    "detector",
    "drift",
    "mean_rows",
    "mode_watch",
    "on_off",
    "pauses",
    "recording",
    "sensitivity",
    "timeline",
    "verdict",
    "whole_recording",
]
