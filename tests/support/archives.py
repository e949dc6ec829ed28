"""Archives of recordings for scans, and scans of them without a command line."""

from __future__ import annotations

import datetime
import os
from dataclasses import replace
from pathlib import Path

import numpy as np

from monitor.bundle.bundle import Bundle
from monitor.bundle.bundle_io import save_bundle
from monitor.core.parallel_jobs import open_workers
from monitor.core.types import FloatArray
from monitor.scan.archive import Archive
from monitor.scan.results import ResultFolder
from monitor.scan.scan import Outcome, Scan
from monitor.scan.survey import Surveyed
from monitor.scan.task import LeftOut
from support.builders import RATE, noise, small_config, write_sound
from support.listening import alarmed_by_loud_noise

BEGAN = datetime.datetime(2026, 11, 20, 10, tzinfo=datetime.UTC)


def sensitive_bundle(path: Path) -> Bundle:
    """A small model for which loud noise is an anomaly, written to a file."""
    return save_bundle(alarmed_by_loud_noise(small_config()), path)


def named(second: float, *, recorder: str = "press") -> str:
    """The name that a recorder gives to a file which begins so many seconds after BEGAN."""
    return f"{recorder}_{BEGAN + datetime.timedelta(seconds=second):%Y%m%dT%H%M%S}Z.wav"


def sound(seconds: float, *, seed: int = 0, loud: tuple[float, float] | None = None) -> FloatArray:
    """Normal noise, four times as loud from a second to another one."""
    made = noise(round(seconds * RATE), seed=seed, amplitude=0.1)
    if loud is not None:
        made[round(loud[0] * RATE) : round(loud[1] * RATE)] *= 4
    return np.clip(made, -1, 1)


def write_archive(folder: Path) -> Path:
    """Two recorders: one writes three files without a gap and later a fourth, the other one file with a fault."""
    for number, second in enumerate((0, 4, 8, 30)):
        write_sound(folder / "hall" / named(second), sound(4, seed=number))
    write_sound(folder / "hall" / named(0, recorder="fan"), sound(9, seed=9, loud=(3, 8)))
    return folder


def write_surveyed(name: str, **values: object) -> Surveyed:
    """A file of an archive of which only the header is known."""
    return replace(Surveyed(name, 1000, 1.0, 10.0, RATE, 1, 0.0, True), **values)  # type: ignore[arg-type]


class Heard:
    """A progress display that remembers what it is told."""

    def __init__(self) -> None:
        self.done: list[tuple[float, float, float]] = []
        self.left: list[LeftOut] = []
        self.headers = 0
        self.notes: list[str] = []

    def surveying(self, done: int, total: int) -> None:
        self.headers += 1

    def scanning(self, done_s: float, total_s: float, before_s: float) -> None:
        self.done.append((done_s, total_s, before_s))

    def left_out(self, one: LeftOut) -> None:
        self.left.append(one)

    def note(self, text: str) -> None:
        self.notes.append(text)


def scan(
    archive: str, bundle: Bundle, model: Path, out: Path, *, workers: int = 1, separate: bool = False,
    cluster: str | None = None, heard: Heard | None = None,
) -> Outcome:  # fmt: skip
    """Scans an archive, as the command does."""
    found = Archive.parse(archive)
    job = Scan(found, bundle, model, bundle.config, separate=separate, send_model=cluster is not None)
    with ResultFolder(out, found) as folder:
        count = None if cluster else workers
        return job.run(folder, lambda jobs: open_workers(count, cluster, jobs=jobs), heard or Heard())


def contents(folder: Path) -> dict[str, bytes]:
    """The Parquet files of a scan, by their names."""
    found = folder / "seconds"
    return {str(path.relative_to(found)): path.read_bytes() for path in sorted(found.rglob("*.parquet"))}


def touch(path: Path, modified: float) -> None:
    """Sets the time of a file."""
    os.utime(path, (modified, modified))
