"""The hall: all streams, the worst first."""

__all__ = ["hall_data", "hall_page"]
