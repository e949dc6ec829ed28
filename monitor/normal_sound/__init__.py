"""Normal sound of each stream, kept over days: which pieces are kept, and how they are found again."""

__all__ = [
    "day_differences",
    "keeping",
    "normal_sink",
    "piece_writing",
    "pieces",
    "quarantine",
    "recorded_days",
    "reservoir",
    "taking",
]
