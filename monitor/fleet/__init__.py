"""Monitors on several computers: signs of life, and models that are handed out through the store."""

__all__ = [
    "clock",
    "handing_out",
    "heartbeat",
    "host_facts",
    "model_cleaning",
    "model_content",
    "model_taking",
    "overview",
]
