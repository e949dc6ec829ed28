"""Where the files of an event are: paths in the store are only believed as far as they stay in their folder."""

from __future__ import annotations

import os
import stat
from pathlib import Path

from monitor.core.errors import MonitorError

SOUND, PICTURE = (".flac",), (".png",)


class NoMedia(MonitorError):
    """An event has no such file, or it may not be served."""


def media_file(folder: Path, relative: str, suffixes: tuple[str, ...]) -> Path:
    """A file of an event.

    The path comes from the database. It has to name a plain file in the folder; a symbolic link may not lead out of it.

    Args:
        folder: of clips, which may itself be a link.
        relative: path in it.
        suffixes: that the file may have.

    Returns:
        the path without links.

    Raises:
        NoMedia: if there is no such file, or the path leads elsewhere.
    """
    if not relative or "\0" in relative or Path(relative).is_absolute() or ".." in Path(relative).parts:
        raise NoMedia("This event has no such file.")
    try:
        root = folder.resolve()
        file = (root / relative).resolve()
        if not file.is_relative_to(root) or file.suffix.lower() not in suffixes:
            raise NoMedia("This event has no such file.")
        plain = stat.S_ISREG(os.lstat(file).st_mode)
    except FileNotFoundError:
        raise NoMedia(f"{folder / relative}: the file is gone; it may have been deleted by hand.") from None
    except (OSError, RuntimeError) as error:  # no permission; links that go round in a circle
        reason = getattr(error, "strerror", None) or "its links go round in a circle"
        raise NoMedia(f"{folder / relative}: cannot be read: {reason}.") from None
    if not plain:
        raise NoMedia("This event has no such file.")
    return file
