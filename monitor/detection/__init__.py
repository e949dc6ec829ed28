"""From anomaly scores to states and events: sudden and lasting anomalies, machines that are off, and drift."""

__all__ = [
    "alarm",
    "anomaly",
    "cusum",
    "detector",
    "drift",
    "mean_rows",
    "on_off",
    "recording",
    "sensitivity",
    "timeline",
    "verdict",
]
