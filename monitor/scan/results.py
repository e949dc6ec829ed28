"""The folder of a scan: what has been done, so that it can go on; and the results."""

from __future__ import annotations

import fcntl
import hashlib
import json
import os
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Self, TextIO

from monitor.core.atomic_io import remove_leftovers, require_writable, write_atomically
from monitor.core.errors import ConfigError, MonitorError
from monitor.scan.archive import Archive
from monitor.scan.findings import Finding
from monitor.scan.joining import Piece
from monitor.scan.survey import Surveyed
from monitor.scan.task import LeftOut, Scanned

FORMAT = 1
SCAN, SURVEY, DONE = "scan.json", "survey.jsonl", "done.jsonl"  # what is scanned; headers; finished pieces
ROWS = "seconds"  # the folder of the Parquet files
MODEL = "model.safetensors"
SUFFIX = ".parquet"
LONGEST = 255  # bytes of the name of a file


@dataclass(frozen=True, slots=True)
class Done:
    """A piece that has been scanned."""

    key: str  # of everything that its results depend on
    findings: tuple[Finding, ...]
    left_out: tuple[LeftOut, ...]

    @property
    def final(self) -> bool:
        """Whether nothing of it has to be tried again."""
        return all(one.final for one in self.left_out)


class ResultFolder:
    """The folder of one scan, locked while it is used.

    Finished pieces are appended to a file of lines, after their Parquet files have been written. A line that a killed
    program left incomplete is ignored, and its piece is done again.

    Args:
        path: of the folder; it is created if it is missing.
        archive: what is scanned.

    Raises:
        ConfigError: if the folder belongs to the scan of another archive, or holds something else, is in use by
            another scan, or cannot be written.
    """

    def __init__(self, path: Path, archive: Archive) -> None:
        self.path = path
        require_writable(path, "choose another folder with --out.")
        self._lock = _locked(path)
        try:
            self._claim(archive)
            remove_leftovers(path, below=True)
            self._survey = (path / SURVEY).open("a", encoding="utf-8")
            self._done = (path / DONE).open("a", encoding="utf-8")
        except BaseException:
            os.close(self._lock)
            raise
        for file in (self._survey, self._done):
            file.write("\n")  # ends a line that was left incomplete; empty lines are ignored

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self._survey.close()
        self._done.close()
        os.close(self._lock)

    def keep_model(self, model: Path) -> Path:
        """Copies the model into the folder, so that it stays what it is while it is used; returns the copy.

        Raises:
            MonitorError: if it cannot be written.
        """
        copy = self.path / MODEL
        if not copy.exists() or not copy.samefile(model):
            write_atomically(copy, model.read_bytes())
        return copy

    def surveyed(self) -> dict[tuple[str, int, float], Surveyed]:
        """What earlier surveys found, by `Surveyed.identity`, except what could not be read: it is looked at again.

        A disk may have been away, and a file that may be read now has neither another size nor another time.
        """
        found = (Surveyed.of_fields(one) for one in _lines(self.path / SURVEY))
        return {one.identity: one for one in found if not one.failure}

    def add_surveyed(self, one: Surveyed) -> None:
        """Keeps what the header of a recording states.

        Raises:
            MonitorError: if that cannot be written.
        """
        _write(self._survey, json.dumps(one.fields()) + "\n")

    def done(self) -> dict[str, Done]:
        """The finished pieces by their names; of each the newest."""
        return {
            line["piece"]: Done(
                line["key"],
                tuple(Finding.of_fields(one) for one in line["findings"]),
                tuple(LeftOut(*one) for one in line["left_out"]),
            )
            for line in _lines(self.path / DONE)
        }

    def add(self, scanned: Scanned, key: str) -> Done:
        """Writes the results of a piece, and then that it is finished.

        Raises:
            MonitorError: if they cannot be written.
        """
        for part in scanned.parts:
            write_atomically(self.rows(part.finding.name), part.rows, durable=False)
        done = Done(key, tuple(part.finding for part in scanned.parts), scanned.left_out)
        _write(self._done, _line(scanned.piece.name, done))
        return done

    def finished(self, piece: Piece, key: str, done: Mapping[str, Done]) -> bool:
        """Whether a piece has been scanned as it is now, and its results are there."""
        before = done.get(piece.name)
        if before is None or before.key != key or not before.final:
            return False
        return all(self.rows(one.name).exists() for one in before.findings)

    def tidy(self, done: Mapping[str, Done]) -> None:
        """Keeps only these pieces: results of what is not in the archive any more are removed."""
        kept = {self.rows(one.name) for piece in done.values() for one in piece.findings}
        for old in self.done().values():
            for one in old.findings:
                if self.rows(one.name) not in kept:
                    self.rows(one.name).unlink(missing_ok=True)
        write_atomically(self.path / DONE, (_line(name, one).encode() for name, one in done.items()))

    def rows(self, piece: str) -> Path:
        """The Parquet file of a piece, by its name."""
        return self.path / rows_name(piece)

    def _claim(self, archive: Archive) -> None:
        """Writes what is scanned into a new folder, and checks that an old one is of the same archive."""
        file = self.path / SCAN
        if not file.exists():
            if any(one.name != LOCK for one in self.path.iterdir()):
                raise ConfigError(f"{self.path}: holds something else than a scan: choose an empty or a new folder.")
            self._write_claim(archive)
            return
        try:
            before = json.loads(file.read_bytes())
            same = (before["root"], before["pattern"]) == (archive.root, archive.pattern)
            known = before["format"] == FORMAT
            text = str(before["archive"])
        except (OSError, ValueError, KeyError, TypeError):
            raise ConfigError(f"{file}: is damaged: choose another folder with --out, or delete this one.") from None
        if not known:
            raise ConfigError(f"{self.path}: was written by another version: choose another folder with --out.")
        if not same and not any(_lines(self.path / DONE)):  # the archive was mistyped, or there was nothing in it
            (self.path / SURVEY).unlink(missing_ok=True)
            self._write_claim(archive)
        elif not same:
            raise ConfigError(
                f"{self.path}: has the results of another archive, {text}: choose another folder with --out."
            )

    def _write_claim(self, archive: Archive) -> None:
        content = {"format": FORMAT, "archive": archive.text, "root": archive.root, "pattern": archive.pattern}
        write_atomically(self.path / SCAN, json.dumps(content, indent=1).encode())


LOCK = "lock"


def rows_name(piece: str) -> str:
    """The Parquet file of a piece below the folder of the scan, by the name of the piece."""
    # In a store a name may have parts that lead elsewhere in a file system, or are longer than one may be there.
    return "/".join((ROWS, *map(_file_name, f"{piece}{SUFFIX}".split("/"))))


def _file_name(part: str) -> str:
    if part in ("", ".", ".."):
        return "_"
    encoded = os.fsencode(part)
    if len(encoded) <= LONGEST:
        return part
    digest = hashlib.sha256(encoded).hexdigest()[:16]
    return f"{encoded[: LONGEST - 40].decode(errors='ignore')}-{digest}{SUFFIX if part.endswith(SUFFIX) else ''}"


def _write(file: TextIO, line: str) -> None:
    """Appends a line that survives the end of this program.

    Raises:
        MonitorError: if it cannot be written.
    """
    try:
        file.write(line)
        file.flush()
    except OSError as error:
        raise MonitorError(f"{file.name}: cannot be written: {error.strerror}.") from None


def _locked(folder: Path) -> int:
    """Locks the folder until the descriptor is closed, or the process ends, however it does."""
    descriptor = os.open(folder / LOCK, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o644)
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        os.close(descriptor)
        raise ConfigError(f"{folder}: another scan is writing into it: wait for its end, or end it.") from None
    except OSError:  # a file system without locks
        pass
    return descriptor


def _line(name: str, done: Done) -> str:
    content = {
        "piece": name,
        "key": done.key,
        "findings": [one.fields() for one in done.findings],
        "left_out": [one.fields() for one in done.left_out],
    }
    return json.dumps(content) + "\n"


def _lines(file: Path) -> Iterator[dict[str, Any]]:
    """The objects of a file of JSON lines; incomplete lines are left out."""
    if not file.exists():
        return
    with file.open(encoding="utf-8") as lines:
        for line in lines:
            try:
                found = json.loads(line)
            except ValueError:
                continue
            if isinstance(found, dict):
                yield found


def findings_of(done: Iterable[Done]) -> list[Finding]:
    """The findings of pieces, in the order of time and names."""
    found = [one for piece in done for one in piece.findings]
    return sorted(found, key=lambda one: (one.began if one.began == one.began else float("inf"), one.name))
