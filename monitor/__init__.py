"""Acoustic monitor: what runs while listening, and what training shares with it."""

__version__ = "0.1.0"
