"""Memory that a training step frees is there for the next one, without the system clearing it again."""

from __future__ import annotations

import platform
import subprocess
import sys

import pytest

# Prints how many pages the system had to give for the second of two pieces of memory, of which the first was freed.
SECOND_PIECE = """
import ctypes, resource, sys
from monitor.core.free_memory import keep_freed_memory
if sys.argv[1] == "kept":
    keep_freed_memory()
c = ctypes.CDLL(None)
c.malloc.restype, c.malloc.argtypes = ctypes.c_void_p, [ctypes.c_size_t]
c.free.argtypes, c.memset.argtypes = [ctypes.c_void_p], [ctypes.c_void_p, ctypes.c_int, ctypes.c_size_t]
def pages(size):
    before = resource.getrusage(resource.RUSAGE_SELF).ru_minflt
    piece = c.malloc(size)
    c.memset(piece, 1, size)
    c.free(piece)
    return resource.getrusage(resource.RUSAGE_SELF).ru_minflt - before
pages(20_000_000)
print(pages(20_000_000))
"""


@pytest.mark.skipif(platform.libc_ver()[0] != "glibc", reason="another C library")
def test_kept_memory_is_not_given_back_to_the_system() -> None:
    kept, given_back = (
        int(subprocess.run([sys.executable, "-c", SECOND_PIECE, how], check=True, capture_output=True).stdout)
        for how in ("kept", "given back")
    )
    assert kept < 10
    assert kept < given_back
