"""Audio: reading and writing recordings, resampling, level and quality measurement, and the ring buffer of samples."""

__all__ = ["level", "quality", "reader", "resampling", "ring_buffer", "writer"]
