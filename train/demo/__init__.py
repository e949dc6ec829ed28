"""Simulated machines with their sounds and faults, and the demo commands that use them."""

__all__ = [
    "days",
    "demo",
    "false_alarms",
    "faults",
    "filters",
    "machine",
    "machines",
    "modes",
    "plant_week",
    "stream",
    "valve",
    "week",
]
