"""The page in a browser: all streams, one stream, one event, and verdicts."""

__all__ = [
    "context",
    "event",
    "events",
    "frame",
    "hall",
    "listener",
    "live_link",
    "login",
    "open_pages",
    "server",
    "store_link",
    "stream",
]
