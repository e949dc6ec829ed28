"""The store: events and minute values of all streams in a database, for everything that looks back."""

__all__ = [
    "audit",
    "database",
    "location",
    "lock",
    "migrations",
    "minute_row",
    "minute_tally",
    "queries",
    "recorder",
    "records",
    "retention",
    "rows",
    "running_values",
    "share_history",
    "tables",
    "warning_events",
    "writer",
]
