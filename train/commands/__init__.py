"""The offline commands: train, evaluate, calibrate."""

__all__ = [
    "calibrate",
    "evaluate",
    "folders",
    "model_files",
    "prepare",
    "progress",
    "stored_progress",
    "stream_training",
    "streams_progress",
    "streams_table",
    "suite",
    "suite_run",
    "train",
    "train_streams",
]
