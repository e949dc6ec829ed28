"""Microphones: listing, opening, watching, reconnecting, and sharing one between streams."""

__all__ = [
    "channel_watch",
    "devices",
    "microphone",
    "microphones",
    "portaudio",
    "pulse_routing",
    "recorded_device",
    "shared_device",
    "stderr_redirect",
]
