"""Evaluates how well a model separates normal from anomalous sound: metrics, baselines, simulated alarms, plots."""

__all__ = [
    "alarm_simulation",
    "baselines",
    "metrics",
    "plots",
    "session_notes",
    "suite_figures",
    "suite_file",
    "suite_table",
    "summary",
]
