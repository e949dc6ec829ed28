"""Calibration on normal sound: window statistics, reference distributions, thresholds, and their uncertainty."""

__all__ = ["highest_scores", "microphone", "observations", "reference", "tail_model", "thresholds"]
