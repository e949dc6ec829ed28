"""Pieces of normal sound are found with what is known of them; other files do no harm; training understands them."""

from __future__ import annotations

import datetime
import math
from pathlib import Path

import numpy as np
import pytest
import soundfile

from monitor.audio.recording_time import stated_time
from monitor.core.errors import DataError
from monitor.normal_sound import pieces as module
from monitor.normal_sound.piece_writing import file_name, write_piece
from monitor.normal_sound.pieces import Piece, nearest, pieces_of, power_in_db, read_piece, read_tags
from monitor.normal_sound.quarantine import QUARANTINE
from support.builders import write_sound
from support.logs import logged
from support.pieces import RATE, piece_at
from train.data.discovery import find_recordings
from train.data.sessions import Evidence, recording_sessions

MORNING = datetime.datetime(2026, 11, 27, 8, 30, tzinfo=datetime.UTC).timestamp()


def test_a_piece_is_read_as_it_was_written(tmp_path: Path) -> None:
    spectrum = np.linspace(-60.0, 5.0, 64, dtype=np.float32)
    sound = (1000 * np.sin(np.arange(10 * RATE))).astype(np.int16)
    written = Piece(
        tmp_path / file_name(MORNING), MORNING + 0.25, 10.0, RATE, share=0.731, spectrum_db=spectrum, model_id="3f2a",
        mode=2, stream="pump – 2\x1b[0m",
    )  # fmt: skip
    write_piece(written, sound)
    [found] = pieces_of(tmp_path)
    assert found.path == tmp_path / "normal_20261127T083000Z.flac"
    for name in ("began", "seconds", "sample_rate", "share", "model_id", "mode", "stream"):
        assert getattr(found, name) == getattr(written, name)
    assert found.spectrum_db is not None
    assert np.abs(found.spectrum_db - spectrum).max() < 0.01
    assert np.array_equal(np.rint(read_piece(found) * 32768), sound)
    assert stated_time(found.path) == pytest.approx(MORNING + 0.25, abs=1e-3)


def test_what_is_not_known_stays_unknown(tmp_path: Path) -> None:
    write_piece(Piece(tmp_path / file_name(MORNING), MORNING, 10.0, RATE), np.zeros(10 * RATE, np.int16))
    [found] = pieces_of(tmp_path)
    assert math.isnan(found.share)
    assert found.spectrum_db is None
    assert found.mode is None


def test_pieces_are_ordered_by_time_and_those_of_the_same_second_do_not_replace_each_other(tmp_path: Path) -> None:
    for began in (MORNING + 60, MORNING, MORNING + 0.5):
        piece_at(tmp_path, began)
    assert [piece.began for piece in pieces_of(tmp_path)] == [MORNING, MORNING + 0.5, MORNING + 60]


def test_damaged_and_foreign_files_are_left_out_and_said_once(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "_said", set())
    piece = piece_at(tmp_path, MORNING)
    (tmp_path / file_name(MORNING + 10)).write_bytes(piece.path.read_bytes()[:20])
    (tmp_path / file_name(MORNING + 20)).touch()
    (tmp_path / "notes.txt").touch()
    write_sound(tmp_path / file_name(MORNING + 30), np.zeros(RATE, np.float32), subtype="PCM_16")
    write_sound(tmp_path / "somebody's.wav", np.zeros(RATE, np.float32))
    with logged(module.__name__) as messages:
        assert [one.path for one in pieces_of(tmp_path)] == [piece.path]
        assert [one.path for one in pieces_of(tmp_path)] == [piece.path]
    [line] = messages
    assert "(and 2 other files there)" in line


TAGS = '{"stream":"a","model":"b","share":1,"mode":null,"spectrum_db":%s}'


@pytest.mark.parametrize("tags", ["[]", "[" * 100_000, TAGS % "[NaN, 1]", TAGS % "[[1], [1, 2]]", TAGS % '{"a": 1}'])
def test_damaged_tags_are_one_sentence(tmp_path: Path, tags: str) -> None:
    path = tmp_path / file_name(MORNING)
    with soundfile.SoundFile(path, "w", RATE, 1, "PCM_16", format="FLAC") as file:
        file.comment, file.date = tags, "2026-11-27T08:30:00+00:00"
        file.write(np.zeros(RATE, np.int16))
    with pytest.raises(DataError, match="is no piece of normal sound that this program wrote"):
        read_tags(path)


def test_a_folder_that_does_not_exist_has_no_pieces(tmp_path: Path) -> None:
    assert pieces_of(tmp_path / "pump") == []


def test_a_piece_that_was_replaced_meanwhile_is_one_sentence(tmp_path: Path) -> None:
    piece = piece_at(tmp_path, MORNING)
    piece.path.unlink()
    with pytest.raises(DataError, match=r"normal_20261127T083000Z\.flac: cannot be read: there is no such file any"):
        read_piece(piece)


def test_the_nearest_piece_has_the_most_similar_spectrum(tmp_path: Path) -> None:
    low, high = np.zeros(8, np.float32), np.full(8, 20.0, np.float32)
    pieces = [piece_at(tmp_path, MORNING + i, spectrum_db=one) for i, one in enumerate((low, high, high, None))]
    assert nearest(pieces, high - 3) is pieces[2]  # the newest of equal ones
    assert nearest(pieces, low + 1) is pieces[0]
    assert nearest(pieces, np.zeros(16, np.float32)) is None
    assert nearest([], low) is None


def test_the_spectrum_is_that_of_the_mean_power() -> None:
    power = np.array([[1.0, 0.0], [99.0, 0.0]], np.float32)
    assert power_in_db(power, 1e-6) == pytest.approx([10 * math.log10(50), -60.0])


def test_training_finds_the_pieces_and_tells_days_and_sessions_by_their_names(tmp_path: Path) -> None:
    days = [MORNING + 86_400 * day + 600 * number for day in range(3) for number in range(4)]
    for began in days:
        piece_at(tmp_path, began)
    piece_at(tmp_path / QUARANTINE, MORNING - 86_400)
    found = find_recordings(tmp_path)
    assert len(found.train_normal) == len(days)  # what is in quarantine is not learnt from
    assert not found.unlabelled
    assert not found.other
    sessions = recording_sessions(found.train_normal, [10.0] * len(days))
    assert sessions.evidence is Evidence.DATED_NAMES
    assert (sessions.count, sessions.days) == (3, 3)
