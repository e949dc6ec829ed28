"""What one process does at a time: scores a few pieces, and returns their results, which the first process writes."""

from __future__ import annotations

import functools
import hashlib
import tempfile
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from threadpoolctl import threadpool_limits

from monitor.bundle.bundle import Bundle
from monitor.bundle.bundle_io import load_bundle
from monitor.config.schema import Config
from monitor.config.setting_types import Channel
from monitor.core.errors import DataError
from monitor.scan.archive import Archive
from monitor.scan.findings import Finding, finding
from monitor.scan.joining import Piece
from monitor.scan.scoring import PieceScorer, Unreadable
from monitor.scan.tables import seconds_table

TASK_S = 1800.0  # of sound in a task of short pieces: seconds of computing, so that handing it out costs nothing
PIECE_S = 5.0  # of sound take as long to compute as the beginning and the end of a piece


@dataclass(frozen=True, slots=True)
class Part:
    """What was found in a piece, or in a part of it if one of its files cannot be read."""

    finding: Finding
    rows: bytes = field(repr=False)  # the Parquet file


@dataclass(frozen=True, slots=True)
class LeftOut:
    """A file that was not scored."""

    name: str
    reason: str
    final: bool = True  # whether that is due to the file; otherwise it is tried again the next time

    def fields(self) -> list[object]:
        """As JSON."""
        return [self.name, self.reason, self.final]


@dataclass(frozen=True, slots=True)
class Scanned:
    """The results of a piece."""

    piece: Piece
    parts: tuple[Part, ...]
    left_out: tuple[LeftOut, ...] = ()


@dataclass(frozen=True, slots=True)
class Model:
    """A model, for processes that do not see the same disks: its content, or where it is if they do."""

    digest: str
    path: Path | None = field(default=None, compare=False)
    content: bytes = field(default=b"", compare=False, repr=False)

    @classmethod
    def of(cls, path: Path, *, send: bool) -> Model:
        """The model in a file; `send`: its content is sent."""
        content = path.read_bytes()
        digest = hashlib.sha256(content).hexdigest()
        return cls(digest, content=content) if send else cls(digest, path=path.resolve())


@dataclass(frozen=True, slots=True)
class ScanTask:
    """Scores pieces of an archive; called in a process of this computer or of a cluster.

    A process computes on one processor only: it is the number of processes that uses them all. So the results do not
    depend on that number.
    """

    model: Model
    config: Config
    channel: Channel | None
    archive: Archive

    def __call__(self, pieces: Sequence[Piece]) -> list[Scanned]:
        """The results of pieces, in the same order.

        Raises:
            MonitorError: if the model cannot be used, or a library is missing.
        """
        _compute_on_one_thread()
        scorer = PieceScorer(_bundle(self.model), self.config, self.channel, self.archive.recording)
        return [_scan(scorer, piece) for piece in pieces]


def tasks(pieces: Iterable[Piece]) -> list[tuple[Piece, ...]]:
    """Divides pieces into tasks: the longest first, so that no process has a long one left when the others are done.

    Short pieces are done together, up to `TASK_S` of sound.
    """
    made: list[tuple[Piece, ...]] = []
    begun: list[Piece] = []
    for piece in sorted(pieces, key=lambda piece: (-piece.seconds, piece.name)):
        if begun and sum(one.seconds + PIECE_S for one in begun) + piece.seconds > TASK_S:
            made.append(tuple(begun))
            begun = []
        begun.append(piece)
    return [*made, tuple(begun)] if begun else made


def _scan(scorer: PieceScorer, piece: Piece) -> Scanned:
    """Scores a piece; where one of its files cannot be read, what is before it and after it."""
    try:
        scored = scorer.score(piece)
    except Unreadable as unreadable:
        number = [one.name for one in piece.files].index(unreadable.name)
        failed = LeftOut(unreadable.name, str(unreadable.error), isinstance(unreadable.error, DataError))
        around = [_scan(scorer, Piece(files)) for files in (piece.files[:number], piece.files[number + 1 :]) if files]
        return Scanned(
            piece,
            tuple(part for one in around for part in one.parts),
            (failed, *(one for other in around for one in other.left_out)),
        )
    except Exception as error:  # noqa: BLE001 - one recording must not stop the scan of thousands
        reason = f"{piece.name}: an unforeseen error, {type(error).__name__}: {error}."
        return Scanned(piece, (), tuple(LeftOut(one.name, reason, final=False) for one in piece.files))
    return Scanned(piece, (Part(finding(piece, scored), seconds_table(piece, scored)),))


@functools.cache
def _compute_on_one_thread() -> None:
    """Sets BLAS for the rest of the process: in a worker of Dask several threads do tasks at the same time."""
    threadpool_limits(limits=1, user_api="blas")


@functools.lru_cache(maxsize=2)
def _bundle(model: Model) -> Bundle:
    """The model, loaded once in each process.

    Raises:
        BundleError: if it cannot be loaded, or is not the one that the scan began with.
    """
    if model.path is not None:
        return load_bundle(model.path)
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder, "model.safetensors")
        path.write_bytes(model.content)
        return load_bundle(path)
