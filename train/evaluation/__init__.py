"""Evaluates how well a model separates normal from anomalous sound: metrics, baselines, simulated alarms, plots."""

__all__ = ["alarm_simulation", "baselines", "metrics", "plots", "summary"]
