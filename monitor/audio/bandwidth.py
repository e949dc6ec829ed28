"""Whether sound of a low sample rate has all frequencies that a model hears."""

from __future__ import annotations

from monitor.config.schema import FLAT_SHARE, Features


def highest_hz(sample_rate: int) -> float:
    """The highest frequency in Hz up to which sound that is resampled to a higher sample rate is as it was."""
    return FLAT_SHARE * sample_rate / 2


def is_narrow(sample_rate: int, features: Features) -> bool:
    """Whether sound of this sample rate (0: unknown) lacks the highest frequencies of the model."""
    return 0 < sample_rate < features.sample_rate and highest_hz(sample_rate) < features.f_top


def narrow_note(sample_rate: int, features: Features) -> str:
    """What sound of this sample rate lacks: a sentence without its subject, the sound; "" if it lacks nothing."""
    if not is_narrow(sample_rate, features):
        return ""
    return (
        f"recorded at {sample_rate} samples a second, without any sound above {highest_hz(sample_rate):.0f} Hz, but "
        f"the model hears up to {features.f_top:.0f} Hz"
    )
