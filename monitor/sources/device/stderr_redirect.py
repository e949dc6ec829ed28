"""Redirects what C libraries write to standard error into a file, so that it does not disturb the dashboard."""

from __future__ import annotations

import contextlib
import os
import shutil
import sys
import threading
from collections.abc import Iterator
from pathlib import Path

LOG_BYTES = 1 << 20  # a larger log is copied to *.1 and emptied
ROTATION_CHECK_S = 10.0


def log_file() -> Path | None:
    """Path of the log of C libraries in the user's state folder; None if the user has no home folder."""
    base = os.environ.get("XDG_STATE_HOME")
    with contextlib.suppress(RuntimeError):  # no home
        return (Path(base) if base else Path.home() / ".local" / "state") / "acoustic-monitor" / "audio.log"
    return None


@contextlib.contextmanager
def stderr_redirected(path: Path | None, *, keep_ours: bool) -> Iterator[None]:
    """A context in which everything written to file descriptor 2 is appended to a file.

    If the file cannot be written, nothing is redirected.

    Args:
        path: the file; None: nothing is redirected.
        keep_ours: whether `sys.stderr` still writes to the original standard error.
    """
    try:
        if path is None:
            raise OSError("no file")
        path.parent.mkdir(parents=True, exist_ok=True)
        log = os.open(path, os.O_RDWR | os.O_CREAT | os.O_APPEND | getattr(os, "O_NOFOLLOW", 0), 0o644)
        before = os.dup(2)
    except OSError:
        yield
        return
    ours = sys.stderr
    kept = os.fdopen(os.dup(before), "w", buffering=1, encoding="utf-8", errors="replace")
    over = threading.Event()
    threading.Thread(target=_rotate_until, args=(log, path, over), name="audio log", daemon=True).start()
    sys.stderr.flush()
    os.dup2(log, 2)
    if keep_ours:
        sys.stderr = kept
    try:
        yield
    finally:
        over.set()
        sys.stderr.flush()
        sys.stderr = ours
        os.dup2(before, 2)
        kept.close()
        os.close(before)


def _rotate_until(log: int, path: Path, over: threading.Event) -> None:
    # The file is copied and emptied, not renamed, because libraries continue to write to the same descriptor.
    while True:
        with contextlib.suppress(OSError):
            if os.fstat(log).st_size > LOG_BYTES:
                shutil.copyfile(path, path.with_name(f"{path.name}.1"))
                os.ftruncate(log, 0)
        if over.wait(ROTATION_CHECK_S):
            os.close(log)
            return
