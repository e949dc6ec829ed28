"""Removes the folders again that a command made, if it fails before it writes anything into them."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator
from pathlib import Path


@contextlib.contextmanager
def removed_on_failure(*folders: Path) -> Iterator[None]:
    """If the block raises an error, removes these folders, and those above them, if it made them and they are empty."""
    made = [one for folder in folders for one in (folder, *folder.parents) if not one.exists()]
    try:
        yield
    except BaseException:
        for folder in made:
            with contextlib.suppress(OSError):
                folder.rmdir()
        raise
