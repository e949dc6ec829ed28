"""Recognises pipes, sockets and devices, which must not be read as files: reading them could take for ever."""

from __future__ import annotations

import stat
from pathlib import Path

KINDS = {
    stat.S_IFIFO: "a pipe",
    stat.S_IFSOCK: "a socket",
    stat.S_IFCHR: "a device",
    stat.S_IFBLK: "a device",
}


def special_file(path: Path) -> str:
    """What a path is if it is neither a file nor a folder: "a pipe", "a socket" or "a device"; else "".

    Links are followed. The path is not opened.

    Raises:
        OSError: if the path does not exist or cannot be accessed.
    """
    try:
        mode = path.stat().st_mode
    except ValueError:
        raise OSError(None, "a path cannot contain the character NUL") from None
    return KINDS.get(stat.S_IFMT(mode), "")
