"""What the audio library writes to standard error past Python goes to a file, not across the dashboard."""

from __future__ import annotations

import contextlib
import os
import sys
import threading
from collections.abc import Iterator
from pathlib import Path

LOG_BYTES = 1 << 20  # then it begins anew


def log_file() -> Path:
    """Where the audio library's complaints go, which it writes past Python: in the user's state folder."""
    base = os.environ.get("XDG_STATE_HOME") or Path.home() / ".local" / "state"
    return Path(base) / "acoustic-monitor" / "audio.log"


@contextlib.contextmanager
def library_complaints(path: Path, *, keep_ours: bool) -> Iterator[int | None]:
    """While it lasts, what libraries write to standard error at C level goes to a file, not across the dashboard.

    Python's own standard error stays where it was if `keep_ours`. Yields the file's descriptor, None where the file
    cannot be written: then everything stays as it is. The file never grows beyond a megabyte.
    """
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        log = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_APPEND | os.O_TRUNC, 0o644)
        before = os.dup(2)
    except OSError:
        yield None
        return
    ours = sys.stderr
    kept = os.fdopen(os.dup(before), "w", buffering=1, encoding="utf-8", errors="replace")
    over = threading.Event()
    threading.Thread(target=_keep_short, args=(log, over), name="audio log", daemon=True).start()
    sys.stderr.flush()
    os.dup2(log, 2)
    if keep_ours:
        sys.stderr = kept
    try:
        yield log
    finally:
        over.set()
        sys.stderr = ours
        os.dup2(before, 2)
        kept.close()
        os.close(before)


def _keep_short(log: int, over: threading.Event) -> None:
    while not over.wait(10.0):
        if os.fstat(log).st_size > LOG_BYTES:
            os.ftruncate(log, 0)
    os.close(log)
