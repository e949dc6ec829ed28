"""The lock of a state folder: only one running monitor keeps its state in a folder."""

from __future__ import annotations

import fcntl
import os
from pathlib import Path
from typing import Self

from monitor.core.errors import ConfigError

FILE = "lock"


class StateLock:
    """Locks a state folder until `close`, or until the process ends, also by kill -9. A missing folder is created.

    Args:
        folder: the state folder.

    Raises:
        ConfigError: if another monitor runs with this folder, or the folder cannot be written.
    """

    def __init__(self, folder: Path) -> None:
        self._descriptor = -1
        try:
            folder.mkdir(parents=True, exist_ok=True)
            descriptor = os.open(folder / FILE, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o644)
        except OSError as error:
            raise ConfigError(
                f"{folder}: cannot be written: {error.strerror}: give the monitor another folder for its state with "
                "--set state.folder=FOLDER."
            ) from None
        try:
            fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except OSError as error:
            owner = os.pread(descriptor, 20, 0).decode(errors="replace").strip()
            os.close(descriptor)
            if not isinstance(error, BlockingIOError):  # a file system without locks
                raise ConfigError(
                    f"{folder}: cannot be locked: {error.strerror}: keep the state on a local disk with "
                    "--set state.folder=FOLDER."
                ) from None
            by = f" (process {owner})" if owner.isdecimal() else ""
            raise ConfigError(
                f"{folder}: another monitor is running with this folder{by}: end it, or give this one a folder of its "
                "own with --set state.folder=FOLDER."
            ) from None
        self._descriptor = descriptor
        os.ftruncate(descriptor, 0)
        os.pwrite(descriptor, f"{os.getpid()}\n".encode(), 0)

    def close(self) -> None:
        """Releases the folder."""
        descriptor, self._descriptor = self._descriptor, -1
        if descriptor >= 0:
            os.close(descriptor)

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()
