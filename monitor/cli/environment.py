"""What this process is told before it trains: how its threads wait, and that it keeps memory for the next step."""

from __future__ import annotations

import logging
import os
import sys

from monitor.core.free_memory import keep_freed_memory

INSTALL_TORCH = "pip install 'torch==2.11.*' 'torchaudio==2.11.*'"
SPIN_COUNT = "10000"  # iterations that a thread spins before it sleeps: some microseconds
QUIET_LOAD = 0.5  # load per processor below which the machine counts as idle

log = logging.getLogger(__name__)


def prepare_for_training() -> None:
    """Sets how threads wait for each other, which has to be done before torch is loaded, and keeps freed memory."""
    choose_thread_waiting()
    keep_freed_memory()


def choose_thread_waiting() -> None:
    """Sets how OpenMP's threads wait for each other in training, unless OMP_WAIT_POLICY is set already.

    By default they spin. If another program needs a processor, every training step then takes up to thirty times as
    long, so they are set to sleep. Waking up is slow, too: on an idle machine GNU's threads are set to spin for some
    microseconds before they sleep, which makes training twice as fast.
    """
    if "torch" in sys.modules or "OMP_WAIT_POLICY" in os.environ:
        return
    os.environ["OMP_WAIT_POLICY"] = "PASSIVE"
    if hasattr(os, "getloadavg") and os.getloadavg()[0] < QUIET_LOAD * (os.cpu_count() or 1):
        os.environ.setdefault("GOMP_SPINCOUNT", SPIN_COUNT)
        log.debug("waiting threads spin before they sleep (OMP_WAIT_POLICY=PASSIVE, GOMP_SPINCOUNT=%s)", SPIN_COUNT)
    else:
        log.debug("other programs use the processors, so waiting threads sleep (OMP_WAIT_POLICY=PASSIVE)")
