"""Anomaly scores: statistics of each window, their rolling means, and the distance of these from normal sound."""

__all__ = ["attribution", "gaussian", "recording_score", "rolling_mean", "score_parts", "scorer", "window_stats"]
