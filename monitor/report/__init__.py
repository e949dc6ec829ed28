"""Looking back: trends in the terminal, and the report as one page of HTML."""

__all__ = [
    "attachments",
    "contents",
    "details",
    "event_table",
    "event_text",
    "page",
    "timeline",
    "trend",
    "trend_chart",
]
