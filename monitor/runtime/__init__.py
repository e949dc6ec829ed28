"""Running the monitor: streams with their sources and sinks, the engine's thread, and sessions."""

__all__ = [
    "builder",
    "engine",
    "first_snapshot",
    "interruptions",
    "latency",
    "monitored_stream",
    "session",
    "start_failures",
    "stream_check",
]
