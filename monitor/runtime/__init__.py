"""Running the monitor: streams with their sources and sinks, the engine's thread, and sessions."""

__all__ = ["builder", "engine", "latency", "monitored_stream", "session"]
