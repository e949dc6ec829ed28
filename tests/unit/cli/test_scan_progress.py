"""What is said of a scan while it runs."""

from __future__ import annotations

import pytest

from monitor.cli.scan_progress import ScanProgress
from monitor.scan.task import LeftOut


def test_without_a_terminal_there_are_plain_lines(capsys: pytest.CaptureFixture[str]) -> None:
    with ScanProgress() as progress:
        for done in range(1, 2001):
            progress.surveying(done, 2000)
        progress.scanning(3600, 36_000, 3600)
        progress.left_out(LeftOut("a.wav", "a.wav: is cut off."))
        progress.note("b.wav: something.")
        progress.scanning(36_000, 36_000, 3600)
    said = capsys.readouterr().err.splitlines()
    assert said[:2] == ["Headers of 1000 of 2000 files read.", "Headers of 2000 of 2000 files read."]
    assert said[2] == "1.0 of 10.0 hours were scanned before."
    assert said[3].endswith("left out: a.wav: is cut off.")
    assert said[5].startswith("Scanned 10.0 of 10.0 hours, ")


def test_a_summary_for_programs_is_not_mixed_with_progress(capsys: pytest.CaptureFixture[str]) -> None:
    with ScanProgress(quiet=True) as progress:
        progress.surveying(1000, 1000)
        progress.scanning(0, 10, 0)
        progress.scanning(10, 10, 0)
    told = capsys.readouterr()
    assert told.out == told.err == ""


def test_of_a_whole_archive_that_cannot_be_read_the_first_files_are_named(capsys: pytest.CaptureFixture[str]) -> None:
    with ScanProgress() as progress:
        for number in range(1000):
            progress.left_out(LeftOut(f"{number}.wav", f"{number}.wav: is cut off."))
    said = capsys.readouterr().err.splitlines()
    assert len(said) == 21
    assert "left-out.csv" in said[-1]


def test_a_short_archive_is_told_in_minutes(capsys: pytest.CaptureFixture[str]) -> None:
    with ScanProgress() as progress:
        progress.scanning(30, 90, 30)
        progress.scanning(90, 90, 30)
    said = capsys.readouterr().err.splitlines()
    assert said[0] == "0.5 of 1.5 minutes were scanned before."
    assert said[1].startswith("Scanned 1.5 of 1.5 minutes, ")
