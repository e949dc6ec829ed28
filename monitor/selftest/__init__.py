"""The self-test: known faults mixed under stored normal sound, and which of them would be reported."""

__all__ = ["faults", "outcome", "own_sound", "run", "stretches", "trials"]
