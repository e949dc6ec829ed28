"""Sources of sound: recordings, generated sound and microphones; and the detection of gaps and lost sources."""

__all__ = [
    "channels",
    "device",
    "file_replay",
    "gap_detector",
    "generated",
    "network",
    "overload",
    "paced",
    "preprocess",
    "recording_plan",
    "recording_session",
    "source",
    "spread_recording",
    "stream_health",
]
