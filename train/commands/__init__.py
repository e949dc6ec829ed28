"""The offline commands: train, evaluate, calibrate."""

__all__ = ["calibrate", "evaluate", "prepare", "progress", "train"]
