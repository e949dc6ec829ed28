"""Acoustic monitor: what runs while listening, and what training shares with it."""

import os

__version__ = "0.1.0"

# OpenMP's threads spin while they wait for each other; where something else wants a processor too, they then wait for
# it in every single step: thirty times as long. Asleep they cost next to nothing. It is read when torch is loaded.
os.environ.setdefault("OMP_WAIT_POLICY", "PASSIVE")
