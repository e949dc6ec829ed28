"""The panels of the screen: each makes lines of a given width from a Snapshot."""

__all__ = [
    "anomaly_bands",
    "banner",
    "chart",
    "event_list",
    "long_term",
    "overlay",
    "reason",
    "spectrogram",
    "status",
    "stream_order",
    "stream_table",
]
