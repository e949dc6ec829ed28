"""The scan of an archive: survey, pieces, tasks, results; what has been done before is not done again."""

from __future__ import annotations

import contextlib
import hashlib
import itertools
import json
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Protocol

from monitor.audio.bandwidth import is_narrow, narrow_note
from monitor.bundle.bundle import Bundle
from monitor.config.schema import Config
from monitor.config.setting_types import Channel
from monitor.core.errors import DataError
from monitor.core.parallel_jobs import Workers
from monitor.core.text import counted
from monitor.scan.archive import Archive, ArchiveFile
from monitor.scan.findings import Finding
from monitor.scan.joining import Piece, pieces
from monitor.scan.results import Done, ResultFolder, findings_of
from monitor.scan.survey import Surveyed, survey, total_seconds
from monitor.scan.tables import require_parquet
from monitor.scan.task import LeftOut, Model, Scanned, ScanTask, tasks

OpenWorkers = Callable[[int], contextlib.AbstractContextManager[Workers]]

FORMAT = 1  # of the results: with another one all is done anew


class Progress(Protocol):
    """Is told how far a scan is."""

    def surveying(self, done: int, total: int) -> None:
        """So many headers of so many have been read."""

    def scanning(self, done_s: float, total_s: float, before_s: float) -> None:
        """So many seconds of sound of so many are done, `before_s` of them by an earlier run."""

    def left_out(self, one: LeftOut) -> None:
        """A file was left out."""

    def note(self, text: str) -> None:
        """Something about the recordings has to be known to understand the results."""


@dataclass(slots=True)
class Outcome:
    """What a scan has found."""

    findings: list[Finding] = field(default_factory=list)  # in the order of time
    left_out: list[LeftOut] = field(default_factory=list)  # by name
    files: int = 0  # in the archive
    seconds: float = 0.0  # of sound that is scored
    before_s: float = 0.0  # of these: by an earlier run


@dataclass(frozen=True, slots=True)
class Scan:
    """A scan.

    Attributes:
        archive: what is scanned.
        bundle: the model.
        model: its file.
        config: the settings in force.
        channel: that is scored; None: as in the training.
        separate: whether each file is a recording of its own, even if it continues the one before.
        send_model: whether the processes do not see the disks of this computer, so that the model is sent to them.
    """

    archive: Archive
    bundle: Bundle
    model: Path
    config: Config
    channel: Channel | None = None
    separate: bool = False
    send_model: bool = False

    @property
    def made_with(self) -> str:
        """A digest of model and settings, without those that do not change the results."""
        settings = [self.config.alarm.model_dump(mode="json"), self.config.listening.precision, self.channel, FORMAT]
        return hashlib.sha256(json.dumps([self.bundle.model_id, settings]).encode()).hexdigest()

    def run(self, folder: ResultFolder, workers: OpenWorkers, progress: Progress) -> Outcome:
        """Scores all that is not in the folder yet.

        Args:
            folder: takes the results.
            workers: opens the processes for a number of tasks.
            progress: is told how far it is.

        Raises:
            DataError: if there is no recording that can be read.
            MonitorError: if the archive cannot be listed, or results cannot be written.
        """
        require_parquet()
        files = self.archive.files()
        surveyed = self._survey(folder, files, progress)
        unreadable = [LeftOut(one.name, one.failure) for one in surveyed if one.failure]
        for left in unreadable:
            progress.left_out(left)
        if note := self._narrow(surveyed):
            progress.note(note)
        all_pieces = {piece.name: piece for piece in pieces(surveyed, separate=self.separate)}
        if not all_pieces:
            raise DataError(f"{self.archive.text}: none of its files can be read. The first: {unreadable[0].reason}")
        made_with = self.made_with
        keys = {name: piece.key(made_with) for name, piece in all_pieces.items()}
        before = folder.done()
        done = {name: before[name] for name, piece in all_pieces.items() if folder.finished(piece, keys[name], before)}
        waiting = [piece for name, piece in all_pieces.items() if name not in done]
        total_s = total_seconds(file for piece in all_pieces.values() for file in piece.files)
        before_s = done_s = total_s - sum(piece.seconds for piece in waiting)
        progress.scanning(done_s, total_s, before_s)
        for scanned in self._scanned(folder, waiting, workers):
            piece = scanned.piece
            done[piece.name] = folder.add(scanned, keys[piece.name])
            done_s += piece.seconds
            for left in scanned.left_out:
                progress.left_out(left)
            progress.scanning(done_s, total_s, before_s)
        folder.tidy(done)
        return self._outcome(done, unreadable, len(files), before_s)

    def _survey(self, folder: ResultFolder, files: Sequence[ArchiveFile], progress: Progress) -> list[Surveyed]:
        known = folder.surveyed()
        numbers = itertools.count(sum((one.name, one.size, one.modified) in known for one in files) + 1)

        def found(one: Surveyed) -> None:
            folder.add_surveyed(one)
            progress.surveying(next(numbers), len(files))

        return survey(self.archive, files, known, found)

    def _narrow(self, surveyed: Sequence[Surveyed]) -> str:
        """What to know if files lack the highest frequencies of the model; empty if none does."""
        features = self.bundle.config.features
        narrow = [one for one in surveyed if not one.failure and is_narrow(one.sample_rate, features)]
        if not narrow:
            return ""
        more = f" and {counted(len(narrow) - 1, 'other recording')}" if len(narrow) > 1 else ""
        note = narrow_note(narrow[0].sample_rate, features)
        return f"{narrow[0].name}{more}: {note}: scores are not comparable with the limit."

    def _scanned(self, folder: ResultFolder, waiting: list[Piece], workers: OpenWorkers) -> Iterator[Scanned]:
        """The results of pieces, in the order in which they are ready."""
        jobs = tasks(waiting)
        if not jobs:
            return
        with workers(len(jobs)) as opened:
            model = Model.of(folder.keep_model(self.model), send=self.send_model)
            task = ScanTask(model, self.config, self.channel, self.archive)
            with contextlib.closing(opened.outcomes(task, jobs)) as outcomes:
                for outcome in outcomes:
                    if outcome.result is not None:
                        yield from outcome.result
                        continue
                    for piece in outcome.job:
                        why = f"{piece.name}: {outcome.failure}"
                        failed = (LeftOut(one.name, why, final=False) for one in piece.files)
                        yield Scanned(piece, (), tuple(failed))

    def _outcome(self, done: Mapping[str, Done], unreadable: list[LeftOut], files: int, before_s: float) -> Outcome:
        found = findings_of(done.values())
        left_out = [*unreadable, *(one for piece in done.values() for one in piece.left_out)]
        return Outcome(
            found, sorted(left_out, key=lambda one: one.name), files, sum(one.seconds for one in found), before_s
        )
