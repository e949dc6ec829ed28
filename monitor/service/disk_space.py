"""Free disk space of the folders that a monitor writes to."""

from __future__ import annotations

import shutil
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

LEAST_FREE_BYTES = 200_000_000  # below that the state folder's disk counts as low


@dataclass(frozen=True, slots=True)
class WatchedFolder:
    """A folder whose disk must not become full."""

    name: str  # what it holds, in a word: "state", "clips"
    path: Path
    least_free: int = LEAST_FREE_BYTES  # bytes; with less, the disk is low


def disk_facts(folders: Iterable[WatchedFolder]) -> list[dict[str, Any]]:
    """The free space of each folder's disk: `name`, `folder`, `free_bytes`, `least_free_bytes` and `low`.

    A folder that does not exist yet counts as the next one above it. `free_bytes` is None where it cannot be known.
    """
    facts = []
    for one in folders:
        folder = one.path.absolute()
        try:
            free = shutil.disk_usage(next((path for path in (folder, *folder.parents) if path.exists()), folder)).free
        except OSError:  # this user may not look there, or the disk is gone
            free = None
        facts.append(
            {
                "name": one.name,
                "folder": str(one.path),
                "free_bytes": free,
                "least_free_bytes": one.least_free,
                "low": free is not None and free < one.least_free,
            }
        )
    return facts
