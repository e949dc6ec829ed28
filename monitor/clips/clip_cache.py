"""A bounded folder of clips that were fetched from an object store, or are about to be moved there."""

from __future__ import annotations

import contextlib
import hashlib
import os
import time
from pathlib import Path, PurePosixPath

from monitor.core.atomic_io import atomic_file, remove_leftovers

MAX_BYTES = 1_000_000_000
UNUSED_S = 86_400.0  # time after which a file that nobody has asked for is deleted
IN_USE_S = 6 * 3600.0  # time for which a file that somebody has asked for stays, even if there is too much


class ClipCache:
    """Local copies of clips, by their paths in the object store. Several programs may use the same folder.

    Args:
        folder: where; it is made when it is needed.
        max_bytes: that it may take, without what was asked for in the last hours.
    """

    def __init__(self, folder: Path, max_bytes: int = MAX_BYTES) -> None:
        self._folder, self._max_bytes = folder, max_bytes

    def get(self, path: str) -> Path | None:
        """The copy of a file; None if there is none."""
        copy = self._copy(path)
        with contextlib.suppress(OSError):
            # It is used: others go first. The time of its last change is also that of the clip that it may be.
            os.utime(copy, ns=(time.time_ns(), copy.stat().st_mtime_ns))
            return copy
        return None

    def put(self, path: str, content: bytes) -> Path:
        """Keeps the content of a file; returns its copy.

        Raises:
            OSError: if it cannot be written.
        """
        self._make_room()
        with atomic_file(self._copy(path), durable=False) as file:
            file.write(content)
        return self._copy(path)

    def keep(self, path: str, file: Path) -> Path | None:
        """Keeps a local file that may be moved away at any moment, by a second name where possible.

        Returns:
            its copy; None if it cannot be kept, or is gone already.
        """
        if (copy := self.get(path)) is not None:
            return copy
        with contextlib.suppress(OSError):
            self._make_room()
            self._copy(path).hardlink_to(file)
            return self.get(path)
        with contextlib.suppress(OSError):
            return self.put(path, file.read_bytes())
        return None

    def _make_room(self) -> None:
        """Makes the folder if it is missing, and deletes what was not used for a day, or is too much."""
        self._folder.mkdir(mode=0o700, parents=True, exist_ok=True)
        remove_leftovers(self._folder)
        files = []
        for entry in os.scandir(self._folder):
            with contextlib.suppress(OSError):
                facts = entry.stat(follow_symlinks=False)
                files.append((facts.st_atime, facts.st_size, entry.path))
        total, now = sum(size for _, size, _ in files), time.time()
        for used, size, file in sorted(files):
            if now - used > UNUSED_S or (total > self._max_bytes and now - used > IN_USE_S):
                with contextlib.suppress(OSError):
                    Path(file).unlink()
                    total -= size

    def _copy(self, path: str) -> Path:
        """Where the copy of a file is: no two paths have the same."""
        return self._folder / f"{hashlib.sha256(path.encode()).hexdigest()[:16]}-{PurePosixPath(path).name[-200:]}"
