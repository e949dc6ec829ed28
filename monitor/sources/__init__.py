"""Sources of sound: recordings, generated sound and microphones; and the detection of gaps and lost sources."""

__all__ = [
    "device",
    "file_replay",
    "gap_detector",
    "generated",
    "overload",
    "paced",
    "preprocess",
    "recording_session",
    "source",
    "stream_health",
]
