"""The page of a stream: now, and the last hour, day or month."""

__all__ = [
    "charts",
    "stream_charts",
    "stream_elsewhere",
    "stream_facts",
    "stream_history",
    "stream_live",
    "stream_page",
    "stream_past",
]
