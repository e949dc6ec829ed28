"""The Parquet file of a day, which is complete only when the day is over, and its parts, which can be read before."""

from __future__ import annotations

import contextlib
import datetime
import logging
from pathlib import Path
from typing import Any

from monitor.core.atomic_io import atomic_file

DAY_S = 86_400

log = logging.getLogger(__name__)


class ParquetDay:
    """Writes tables into the file of a day.

    A Parquet file can be read only when its end is written. So each table is also written into a file of its own, a
    part; when the file of the day is complete, its parts are deleted. After kill -9 the parts are there.

    Args:
        folder: must exist.
        day: days since 1970 (UTC).
    """

    def __init__(self, folder: Path, day: int) -> None:
        date = datetime.datetime.fromtimestamp(day * DAY_S, datetime.UTC).date()
        self._folder, self._name = folder, f"scores-{date}"
        self._parts: list[Path] = []
        self._whole = contextlib.ExitStack()  # holds the file of the day
        self._writer: Any = None
        self._broken = False  # the file of the day cannot be completed: the parts are all there is

    def write(self, table: Any) -> None:
        """Writes a pyarrow table.

        Raises:
            OSError: if it could not be written; nothing has changed then.
        """
        from pyarrow import parquet

        path = _free_name(self._folder, f"{self._name}.part-{len(self._parts) + 1:04d}")
        with atomic_file(path, replace=False) as file:
            parquet.write_table(table, file)
        self._parts.append(path)
        if self._broken:
            return
        try:
            if self._writer is None:
                whole = _free_name(self._folder, self._name)
                file = self._whole.enter_context(atomic_file(whole, replace=False))
                self._writer = parquet.ParquetWriter(file, table.schema)
            self._writer.write_table(table)
        except OSError as error:
            self._break(error)

    def finish(self) -> None:
        """Completes the file of the day, and deletes its parts. If that fails, the parts stay."""
        if self._writer is None or self._broken:
            return
        try:
            self._writer.close()
            self._whole.close()
        except OSError as error:
            self._break(error)
            return
        for path in self._parts:
            path.unlink(missing_ok=True)

    def _break(self, error: OSError) -> None:
        self._broken = True
        why = error.strerror or error
        log.warning("%s: %s.parquet cannot be written (%s); its parts stay.", self._folder, self._name, why)
        if self._writer is not None:
            with contextlib.suppress(OSError):
                self._writer.close()  # while its file is open
            self._writer.is_open = False  # or it would be closed again when it is deleted
        with contextlib.suppress(OSError):  # the exception keeps the file from getting its name
            self._whole.__exit__(type(error), error, error.__traceback__)


def _free_name(folder: Path, stem: str) -> Path:
    """The path of a file that does not exist: with a number added to its name if that is taken."""
    path, number = folder / f"{stem}.parquet", 1
    while path.exists():
        number += 1
        path = folder / f"{stem}-{number}.parquet"
    return path
