"""Memory that the program no longer uses: given back to the system, or kept for what it computes next."""

from __future__ import annotations

import contextlib
import ctypes
import sys

M_TRIM_THRESHOLD, M_MMAP_THRESHOLD = -1, -3  # glibc: parameters of mallopt
KEPT = 2**29  # bytes of freed memory that the process keeps at most
LARGEST_KEPT = 2**25  # bytes of the largest piece of it: glibc allows no more


def return_free_memory() -> None:
    """Returns freed memory to the system; a few milliseconds.

    The C library of Linux keeps freed memory for each thread that has used it. A program that starts new threads for
    years, as a microphone that is opened again does, would seem to need ever more. Nothing happens on other systems.
    """
    if sys.platform == "linux":
        with contextlib.suppress(OSError, AttributeError):  # a C library other than glibc
            ctypes.CDLL(None).malloc_trim(0)


def keep_freed_memory() -> None:
    """Lets this process keep freed memory, where the C library is glibc; elsewhere it does nothing.

    A training step frees megabytes that the next one needs again. By default glibc gives them back to the system, which
    then has to clear every page: with 2,048 windows in a step that takes up to a tenth of its time.
    """
    if sys.platform == "linux":
        with contextlib.suppress(OSError, AttributeError):  # another C library
            mallopt = ctypes.CDLL(None).mallopt
            mallopt(M_TRIM_THRESHOLD, KEPT)
            mallopt(M_MMAP_THRESHOLD, LARGEST_KEPT)
