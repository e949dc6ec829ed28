"""Messages to people: rules, an outbox in the store, and channels (webhook, command, apprise)."""

__all__ = [
    "acknowledgement",
    "apprise_process",
    "channel",
    "command",
    "delivery_worker",
    "message",
    "muting",
    "notifier",
    "outbox",
    "pace",
    "plan",
    "quiet_hours",
    "rules",
    "trial",
    "webhook",
    "wording",
]
