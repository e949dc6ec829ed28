"""The list of events, and the calendar of a month."""

__all__ = ["calendar_page", "event_filters", "event_rows", "events_page", "past_days"]
