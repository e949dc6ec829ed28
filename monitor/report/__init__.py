"""Looking back: trends in the terminal, and the report as one page of HTML."""

__all__ = [
    "alarm_rerun",
    "attachments",
    "backtest",
    "backtest_text",
    "contents",
    "details",
    "event_table",
    "event_text",
    "fleet_table",
    "page",
    "selftest_table",
    "templates",
    "timeline",
    "trend",
    "trend_chart",
]
