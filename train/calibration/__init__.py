"""Calibration on normal sound: window statistics, reference distributions, thresholds, and their uncertainty."""

__all__ = [
    "band_error",
    "calibrate",
    "cross_validation",
    "gaussian_fit",
    "highest_normal",
    "highest_scores",
    "machine_facts",
    "microphone",
    "mode_finder",
    "normal_pool",
    "observations",
    "recording_threshold",
    "reference",
    "rhythm_finder",
    "scored_recordings",
    "tail_model",
    "thresholds",
]
