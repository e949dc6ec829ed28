"""Anomaly scores: statistics of each window, their rolling means, and the distance of these from normal sound."""

__all__ = [
    "attribution",
    "gaussian",
    "operating_modes",
    "recording_score",
    "rhythm",
    "rolling_mean",
    "rolling_rows",
    "row_layout",
    "score_parts",
    "scorer",
    "window_stats",
]
