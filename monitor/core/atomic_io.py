"""Files that are written whole or not at all."""

from __future__ import annotations

import contextlib
import os
import tempfile
from collections.abc import Iterable
from pathlib import Path

from monitor.core.errors import ConfigError, MonitorError


def write_whole(path: Path, content: bytes | Iterable[bytes]) -> None:
    """Writes a file whole or not at all: a reader, or a crash, never sees half of it.

    The content may come in pieces, which are made while it is written.

    Raises:
        MonitorError: if it cannot be written.
    """
    # Through a link, to what it stands for; a device or a pipe is no file that could be replaced.
    path = path.resolve() if path.is_symlink() else path
    pieces = (content,) if isinstance(content, bytes) else content
    temporary = path.with_name(f".{path.name}.{os.getpid()}.tmp")
    try:
        if path.exists() and not path.is_file() and not path.is_dir():
            with path.open("wb") as device:
                device.writelines(pieces)
            return
        path.parent.mkdir(parents=True, exist_ok=True)
        with temporary.open("wb") as file:
            file.writelines(pieces)
            file.flush()
            os.fsync(file.fileno())
        temporary.replace(path)
    except OSError as error:
        raise MonitorError(f"{path}: cannot be written: {error.strerror}.") from None
    finally:
        with contextlib.suppress(OSError):
            temporary.unlink(missing_ok=True)


def require_writable(folder: Path, advice: str) -> None:
    """Makes a folder if it is not there, and sees that a file can be written in it: before long work, not after it.

    Raises:
        ConfigError: if not, with the advice.
    """
    try:
        folder.mkdir(parents=True, exist_ok=True)
        tempfile.TemporaryFile(dir=folder).close()
    except OSError as error:
        raise ConfigError(f"{folder}: cannot be written ({error.strerror}): {advice}") from None


def keep_apart(outputs: Iterable[Path | None], inputs: Iterable[Path]) -> None:
    """Sees that nothing is written over what is read.

    Raises:
        ConfigError: if an output is one of the inputs.
    """
    inputs = list(inputs)
    for output in outputs:
        if output is not None and output.exists() and any(i.exists() and output.samefile(i) for i in inputs):
            raise ConfigError(f"{output}: is read from, and would be written over: choose another file to write to.")
