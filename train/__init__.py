"""Offline work: data sets, training, calibration, evaluation, and the demo."""

__all__ = ["bench", "calibration", "commands", "data", "demo", "evaluation", "fitting", "improvement"]
