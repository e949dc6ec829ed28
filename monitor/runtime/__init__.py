"""Running the monitor: streams with their sources and sinks, the engine's thread, and sessions."""

__all__ = [
    "batches",
    "builder",
    "change",
    "collector",
    "engine",
    "interruptions",
    "latency",
    "live_streams",
    "monitored_stream",
    "output_set",
    "session",
    "setting_changes",
    "sink_closer",
    "start_failures",
    "stream_check",
    "stream_group",
    "stream_input",
    "stream_view",
    "turn_pacer",
]
