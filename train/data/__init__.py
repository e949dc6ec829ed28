"""Data sets: finds recordings, computes their mel frames, stores these on disk, and cuts them into windows."""

__all__ = ["discovery", "feature_cache", "feature_store", "parallel_reading", "standardization", "window_dataset"]
