"""Audio: reading and writing recordings, resampling, level and quality measurement, and the ring buffer of samples."""

__all__ = [
    "bandwidth",
    "completeness",
    "containers",
    "invalid_samples",
    "level",
    "mpeg_frames",
    "opening",
    "quality",
    "reader",
    "recording_time",
    "remote_recording",
    "resampling",
    "ring_buffer",
    "sample_arrays",
    "sound_facts",
    "sound_files",
    "writer",
]
