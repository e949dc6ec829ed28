"""Data sets: finds recordings, computes their mel frames, stores these on disk, and cuts them into windows."""

__all__ = [
    "content_digests",
    "dated_names",
    "discovery",
    "feature_cache",
    "feature_store",
    "frame_scale",
    "frames_in_file",
    "known_recordings",
    "mel_arrays",
    "parallel_reading",
    "sessions",
    "standardization",
    "suitability",
    "window_dataset",
]
