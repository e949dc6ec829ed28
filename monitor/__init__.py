"""Acoustic monitor: what runs while listening, and what training shares with it."""

import os

__version__ = "0.1.0"

# OpenMP's threads spin while they wait for each other; where something else wants a processor too, they then wait for
# it in every single step: thirty times as long. So they sleep. But to wake takes long, too: on a machine with little
# else to do GNU's spin for some microseconds first, and train twice as fast. It is read when torch is loaded.
if "OMP_WAIT_POLICY" not in os.environ:
    os.environ["OMP_WAIT_POLICY"] = "PASSIVE"
    if hasattr(os, "getloadavg") and os.getloadavg()[0] < 0.5 * (os.cpu_count() or 1):
        os.environ.setdefault("GOMP_SPINCOUNT", "10000")
