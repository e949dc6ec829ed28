"""A clock that tests advance themselves, for code that compares the clock with the samples that arrive."""

from __future__ import annotations

from collections.abc import Callable

import pytest


class Clock:
    """Replaces the module `time` in other modules, so that tests do not depend on how busy the machine is.

    Args:
        modules: names of the modules that use this clock; `SampleRing` uses it, too.
    """

    def __init__(self, monkeypatch: pytest.MonkeyPatch, *modules: str) -> None:
        self.now = 1000.0
        self.while_sleeping: Callable[[float], None] = lambda _: None
        for module in modules:
            monkeypatch.setattr(f"{module}.time", self)
        monkeypatch.setattr("monitor.audio.ring_buffer.monotonic", self.monotonic)

    def monotonic(self) -> float:
        """Seconds since an arbitrary time."""
        return self.now

    def time(self) -> float:
        """Seconds since 1970."""
        return 1.7e9 + self.now

    def sleep(self, seconds: float) -> None:
        """Advances the clock at once."""
        self.now += seconds
        self.while_sleeping(seconds)
