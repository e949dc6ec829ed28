"""The hall: all streams, the worst first."""

__all__ = ["elsewhere", "hall_data", "hall_page"]
