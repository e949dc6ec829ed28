"""Acoustic monitor: what runs while listening, and what training shares with it."""

import os

__version__ = "0.1.0"

# OpenMP's threads spin while they wait for each other; where something else wants a processor too, they then wait for
# it in every single step: thirty times as long. Asleep at once they take half as long again where nothing else does,
# because to wake takes long. So GNU's spin for some microseconds first. It is read when torch is loaded.
if "OMP_WAIT_POLICY" not in os.environ:
    os.environ["OMP_WAIT_POLICY"] = "PASSIVE"
    os.environ.setdefault("GOMP_SPINCOUNT", "3000")
