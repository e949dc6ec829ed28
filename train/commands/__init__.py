"""The offline commands: train, evaluate, calibrate."""

__all__ = ["calibrate", "evaluate", "folders", "prepare", "progress", "suite", "suite_run", "train"]
