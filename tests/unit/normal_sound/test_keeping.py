"""Pieces are kept when it is certain that they are normal, within the bound, whatever happens to the program."""

from __future__ import annotations

import os
import time
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from monitor.core.atomic_io import LEFT_S
from monitor.normal_sound import keeping
from monitor.normal_sound.keeping import WAITING, StreamPieces
from monitor.normal_sound.pieces import pieces_of
from monitor.normal_sound.quarantine import LIST, QUARANTINE, Anomaly, read_anomalies, usable_pieces
from support.pieces import RATE, unwritten

HOUR = 3600.0
T = 1_795_000_000.0
SILENCE = np.zeros(RATE, np.int16)


class Heard:
    """The pieces of a stream, on the sound's own clock, which begins at T."""

    def __init__(self, folder: Path, *, minutes: float = 60.0, hold_h: float = 24.0, wait_s: float = 600.0) -> None:
        self.verdicts: dict[str, str] = {}
        self.wait_s = wait_s
        self.pieces = StreamPieces(folder, minutes=minutes, hold_h=hold_h, ask_verdicts=self._ask)
        self.pieces.open()

    def piece(self, hours: float, **facts: object) -> None:
        at_s = hours * HOUR
        self.pieces.add(unwritten(T + at_s, **facts), SILENCE, at_s + self.wait_s)

    def until(self, hours: float) -> None:
        self.pieces.keep_ready(hours * HOUR)

    def anomaly(self, hours: float, lasted_s: float | None = 60.0, *, sudden: bool = True) -> Anomaly:
        lasts = lasted_s is None
        found = Anomaly(f"at {hours:g} h", T + hours * HOUR, T + hours * HOUR + (lasted_s or 0.0), sudden, lasts)
        self.pieces.note(found)
        return found

    def judge(self, anomaly: Anomaly, verdict: str) -> None:
        self.verdicts[anomaly.event_id] = verdict
        self.pieces.settle()

    def _ask(self, anomalies: list[Anomaly]) -> list[Anomaly]:
        return [replace(one, verdict=self.verdicts.get(one.event_id, "")) for one in anomalies]


@pytest.fixture(autouse=True)
def _asks_each_time(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(keeping, "REVIEW_S", 0.0)


def hours_of(folder: Path) -> list[float]:
    """When the pieces in a folder began, in hours after T."""
    return [(piece.began - T) / HOUR for piece in pieces_of(folder)]


def test_a_piece_is_kept_only_after_it_has_waited(tmp_path: Path) -> None:
    heard = Heard(tmp_path)
    heard.piece(1.0)
    heard.until(1.16)
    assert hours_of(tmp_path) == []
    heard.until(1.17)
    assert hours_of(tmp_path) == [1.0]
    assert not list((tmp_path / WAITING).iterdir())


def test_an_anomaly_whose_onset_reaches_back_discards_the_pieces_that_wait(tmp_path: Path) -> None:
    heard = Heard(tmp_path)
    for hours in (1.0, 1.1, 1.14):
        heard.piece(hours)
    heard.anomaly(1.12, sudden=False)  # reported late, as a lasting one is
    heard.until(2.0)
    assert hours_of(tmp_path) == []
    assert hours_of(tmp_path / QUARANTINE) == [1.0, 1.1]  # before the anomaly: a verdict may release it
    assert not list((tmp_path / WAITING).iterdir())


def test_pieces_that_were_kept_already_go_into_quarantine_until_a_verdict_says_that_it_was_no_fault(
    tmp_path: Path,
) -> None:
    heard = Heard(tmp_path)
    for hours in (0.0, 20.0, 30.0):
        heard.piece(hours)
    heard.until(31.0)
    anomaly = heard.anomaly(30.0, None, sudden=False)  # its onset lies before a piece that is kept
    assert hours_of(tmp_path) == [0.0]
    assert hours_of(tmp_path / QUARANTINE) == [20.0, 30.0]
    heard.anomaly(30.0, 3600.0, sudden=False)
    heard.judge(anomaly, "disturbance")
    assert hours_of(tmp_path) == [0.0, 20.0]
    assert hours_of(tmp_path / QUARANTINE) == [30.0]  # the anomaly itself
    heard.judge(anomaly, "real fault")
    assert hours_of(tmp_path) == [0.0]


def test_what_is_said_of_usable_pieces_is_where_they_lie(tmp_path: Path) -> None:
    heard = Heard(tmp_path)
    for hours in range(60):
        heard.piece(float(hours))
    heard.until(60.0)
    heard.judge(heard.anomaly(30.0, 7200.0), "real fault")
    assert usable_pieces(tmp_path, hold_h=24) != []
    assert [piece.path for piece in usable_pieces(tmp_path, hold_h=24)] == [one.path for one in pieces_of(tmp_path)]


def test_a_restart_goes_on_with_what_is_there_and_forgets_what_still_waited(tmp_path: Path) -> None:
    heard = Heard(tmp_path)
    heard.piece(1.0)
    heard.piece(30.0)
    heard.until(2.0)
    heard.anomaly(3.0, None)  # it lasts when the program is killed
    again = Heard(tmp_path)
    assert not list((tmp_path / WAITING).iterdir())
    assert hours_of(tmp_path) == []
    assert hours_of(tmp_path / QUARANTINE) == [1.0]
    [anomaly] = read_anomalies(tmp_path)
    again.judge(anomaly, "maintenance")
    assert hours_of(tmp_path) == [1.0]


def test_an_anomaly_that_lasted_when_the_program_was_killed_counts_until_all_is_heard_to_be_normal_again(
    tmp_path: Path,
) -> None:
    Heard(tmp_path).anomaly(0.0, None)
    Heard(tmp_path)  # it is killed again before it has heard anything
    again = Heard(tmp_path)
    for hours in (100.0, 110.0, 125.0):
        again.piece(hours)
    again.until(126.0)
    assert hours_of(tmp_path) == [125.0]
    assert hours_of(tmp_path / QUARANTINE) == [100.0, 110.0]  # a day more, as after any fault
    again.judge(read_anomalies(tmp_path)[0], "disturbance")
    assert hours_of(tmp_path) == [110.0, 125.0]


def test_a_killed_program_leaves_at_most_a_temporary_file_which_is_removed_later(tmp_path: Path) -> None:
    left = tmp_path / WAITING / f".normal_20261127T155302Z.flac.{'0' * 16}.tmp"
    left.parent.mkdir(parents=True)
    left.write_bytes(b"half")
    os.utime(left, (time.time() - 2 * LEFT_S,) * 2)
    Heard(tmp_path)
    assert not left.exists()


def test_the_bound_holds_also_with_pieces_in_quarantine_and_those_near_a_fault_go_first(tmp_path: Path) -> None:
    heard = Heard(tmp_path, minutes=2)  # twelve pieces
    for hours in range(10):
        heard.piece(hours / 2)
    heard.until(6.0)
    heard.judge(heard.anomaly(1.0, 60.0), "real fault")
    assert len(hours_of(tmp_path / QUARANTINE)) == 10
    for hours in (100, 101, 102, 103, 104):
        heard.piece(float(hours))
    heard.until(200.0)
    assert hours_of(tmp_path) == [100, 101, 102, 103, 104]
    assert hours_of(tmp_path / QUARANTINE) == [1.5, 2.0, 2.5, 3.0, 3.5, 4.0, 4.5]


def test_a_smaller_bound_is_in_force_at_the_next_start(tmp_path: Path) -> None:
    heard = Heard(tmp_path)
    for hours in range(20):
        heard.piece(float(hours))
    heard.until(21.0)
    Heard(tmp_path, minutes=1)
    assert len(hours_of(tmp_path)) == 6


def test_files_that_somebody_deletes_or_adds_are_noticed(tmp_path: Path) -> None:
    heard = Heard(tmp_path)
    for hours in (1.0, 2.0):
        heard.piece(hours)
    heard.until(3.0)
    pieces_of(tmp_path)[0].path.unlink()
    heard.piece(4.0)
    (tmp_path / WAITING / pieces_of(tmp_path / WAITING)[0].path.name).unlink()
    heard.until(5.0)
    heard.anomaly(2.5, None)
    assert hours_of(tmp_path / QUARANTINE) == [2.0]


def test_anomalies_without_pieces_near_them_are_forgotten_and_their_list_stays_short(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(keeping, "MAX_ANOMALIES", 3)
    heard = Heard(tmp_path, hold_h=1)
    for number in range(8):
        heard.piece(number + 0.5)
        heard.until(number + 0.9)
        heard.anomaly(number + 1.0)
    assert len(read_anomalies(tmp_path)) == 3
    assert hours_of(tmp_path) == []  # those near the forgotten ones are deleted, not released
    assert min(hours_of(tmp_path / QUARANTINE)) > 4
    assert (tmp_path / LIST).stat().st_size < 1000
