"""The sound and the pictures of anomalies, and whether people speak in it."""

__all__ = ["clip", "clip_records", "clip_sink", "folder", "memory", "notice", "retention", "speech", "writing"]
