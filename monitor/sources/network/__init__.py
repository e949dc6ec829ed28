"""Sources in the network, each read by an ffmpeg process that is supervised and restarted."""

__all__ = [
    "address",
    "clock_drift",
    "ffmpeg",
    "gap_detector",
    "late_sound",
    "messages",
    "network_device",
    "network_stream",
    "probe",
    "segments",
    "server_times",
    "time_jumps",
]
