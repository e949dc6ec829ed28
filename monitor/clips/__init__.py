"""The sound and the pictures of anomalies, and whether people speak in it."""

__all__ = [
    "access",
    "clip",
    "clip_cache",
    "clip_records",
    "clip_sink",
    "folder",
    "memory",
    "mover",
    "notice",
    "places",
    "retention",
    "speech",
    "stored_clips",
    "writing",
]
