"""Gives memory that the program no longer uses back to the system."""

from __future__ import annotations

import contextlib
import ctypes
import sys


def return_free_memory() -> None:
    """Returns freed memory to the system; a few milliseconds.

    The C library of Linux keeps freed memory for each thread that has used it. A program that starts new threads for
    years, as a microphone that is opened again does, would seem to need ever more. Nothing happens on other systems.
    """
    if sys.platform == "linux":
        with contextlib.suppress(OSError, AttributeError):  # a C library other than glibc
            ctypes.CDLL(None).malloc_trim(0)
