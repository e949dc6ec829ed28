"""The page of an event: heard, seen and judged."""

__all__ = [
    "band_filter",
    "event_analyses",
    "event_analysis",
    "event_html",
    "event_media",
    "event_model",
    "event_page",
    "event_routes",
    "event_sound",
    "event_view",
    "spectrogram_image",
]
