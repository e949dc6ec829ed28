"""Running unattended: the state folder, the status socket, systemd, and settings that change while it runs."""

__all__ = [
    "commissioning",
    "disk_space",
    "low_priority",
    "nightly",
    "reload",
    "socket_file",
    "socket_server",
    "status_client",
    "status_facts",
    "status_progress",
    "status_server",
    "status_values",
    "status_verdict",
    "systemd_notify",
    "systemd_sink",
    "systemd_unit",
    "upkeep",
]
