"""Recordings of one session are told apart from those of another day, and kept together in cross-validation."""

from __future__ import annotations

import os
import random
from itertools import pairwise
from pathlib import Path

import numpy as np
import pytest
import soundfile
from hypothesis import given
from hypothesis import strategies as st

from train.data.sessions import Evidence, Sessions, blocked_folds, held_out_block, recording_sessions

PIECE_S = 10.0


def sessions_of(*names: str, root: str = "/data", seconds: float = PIECE_S) -> Sessions:
    return recording_sessions([Path(root, name) for name in names], [seconds] * len(names))


def dated_names(*days: int, each: int = 4) -> list[str]:
    return [f"202603{day:02d}_08{minute:02d}00.wav" for day in days for minute in range(each)]


# What is told by names, files and folders


def test_each_day_is_a_session() -> None:
    found = sessions_of(*reversed(dated_names(2, 3, 5)))
    assert found.order.tolist() == list(range(11, -1, -1))
    assert found.session.tolist() == [2] * 4 + [1] * 4 + [0] * 4
    assert (found.evidence, found.count, found.days, found.known) == (Evidence.DATED_NAMES, 3, 3, True)


def test_a_pause_of_hours_divides_a_day_and_a_lunch_break_does_not() -> None:
    found = sessions_of("20260302_080000.wav", "20260302_093000.wav", "20260302_150000.wav")
    assert found.session.tolist() == [0, 0, 1]
    assert (found.count, found.days) == (2, 1)


def test_long_recordings_one_after_the_other_are_without_a_pause() -> None:
    found = sessions_of("20260302_080000.wav", "20260302_120000.wav", seconds=4 * 3600)
    assert found.count == 1


def test_a_short_series_around_midnight_is_one_session() -> None:
    assert sessions_of("20260302_235000.wav", "20260303_001000.wav").count == 1


def test_a_series_of_days_is_divided_at_midnight() -> None:
    found = sessions_of(*(f"202603{day:02d}_{hour:02d}0000.wav" for day in (2, 3, 4) for hour in range(24)))
    assert found.session.tolist() == [0] * 24 + [1] * 24 + [2] * 24


def test_dates_without_a_time_of_day_are_sessions() -> None:
    found = sessions_of("20260302_run_10.wav", "20260303_run_9.wav", "20260302_run_9.wav")
    assert found.order.tolist() == [2, 0, 1]
    assert found.session.tolist() == [0, 1, 0]


def test_a_recording_without_a_date_stands_with_the_one_before_it_by_name() -> None:
    names = [f"202603{day:02d}.wav" for day in range(2, 22)]
    found = sessions_of(*names, "20260309 again.wav")
    assert found.session[-1] == found.session[names.index("20260309.wav")]


def test_the_dates_in_the_files_are_used_where_names_have_none(tmp_path: Path) -> None:
    dates = {"b": "2026-03-02T08:15:00", "a": "2026-03-03T08:15:00"}
    for name, date in dates.items():
        with soundfile.SoundFile(tmp_path / f"{name}.wav", "w", 16000, 1) as file:
            file.date = date
            file.write(np.zeros(1600))
    found = recording_sessions([tmp_path / "a.wav", tmp_path / "b.wav"], [0.1, 0.1])
    assert found.order.tolist() == [1, 0]
    assert (found.evidence, found.count, found.days) == (Evidence.DATED_FILES, 2, 2)


def test_the_time_at_which_a_file_was_written_tells_nothing(tmp_path: Path) -> None:
    """A copy or a clone resets it."""
    for number in range(3):
        soundfile.write(tmp_path / f"{number}.wav", np.zeros(1600), 16000)
        os.utime(tmp_path / f"{number}.wav", (number * 1e8, number * 1e8))
    found = recording_sessions([tmp_path / f"{number}.wav" for number in range(3)], [0.1] * 3)
    assert (found.known, found.count, found.days) == (False, 1, 0)


def test_folders_named_as_sessions_are_sessions() -> None:
    found = sessions_of("session 10/1.wav", "session 2/1.wav", "session 2/2.wav")
    assert found.session.tolist() == [1, 0, 0]
    assert found.evidence is Evidence.FOLDERS


def test_other_folders_are_no_sessions() -> None:
    """They may be the machine's modes: one that is left out as a whole would seem to be abnormal."""
    assert not sessions_of("idle/1.wav", "load/1.wav", "1400 rpm/1.wav").known


def test_names_give_an_order() -> None:
    found = sessions_of("rec10.wav", "rec9.wav", "rec1.wav")
    assert found.order.tolist() == [2, 1, 0]
    assert (found.evidence, found.count) == (Evidence.NAMES, 1)


# Pieces of one recording


@pytest.mark.parametrize(
    "stems",
    [
        [f"on_20200318t2045{second:02d}_{{}}.flac" for second in range(6)],
        [f"healthy_M1_{rpm}_{{}}.wav" for rpm in range(1400, 1460, 10)],
        [f"202603{day:02d}_081500_{{}}_run.flac" for day in range(1, 7)],
        [f"rec {number} part{{}}.wav" for number in range(6)],
    ],
)
def test_numbered_pieces_of_a_recording_belong_together(stems: list[str]) -> None:
    found = sessions_of(*(stem.format(piece) for stem in stems for piece in range(3)))
    assert found.groups.tolist() == [number for number in range(6) for _ in range(3)]


@pytest.mark.parametrize(
    "name",
    ["normal_id_00_{:08d}.wav", "data{:03d}.flac", "idle_{:03d}.wav", "motor1_{:03d}.wav", "20260302_{:04d}.wav"],
)
def test_the_numbers_of_independent_recordings_are_no_pieces(name: str) -> None:
    found = sessions_of(*(name.format(number) for number in range(0, 300, 20)))
    assert len(set(found.groups.tolist())) == 15


def test_parts_of_a_divided_recording_keep_its_session_and_stay_in_its_order() -> None:
    found = sessions_of("20260303_080000.wav", "20260302_080000.wav").of_parts([3, 2])
    assert found.order.tolist() == [3, 4, 0, 1, 2]
    assert found.session.tolist() == [1, 1, 1, 0, 0]
    assert found.groups.tolist() == [1, 1, 1, 0, 0]


# Folds


def test_whole_days_are_left_out() -> None:
    sessions = sessions_of(*dated_names(2, 3, 4, 5, 6, 7))
    assert blocked_folds(sessions, [PIECE_S] * 24, 3).tolist() == [0] * 8 + [1] * 8 + [2] * 8


def test_a_session_with_most_of_the_sound_is_divided_into_blocks_and_the_other_day_is_left_out_whole() -> None:
    sessions = sessions_of(*dated_names(2, each=8), *dated_names(3, each=2))
    assert blocked_folds(sessions, [PIECE_S] * 10, 5).tolist() == [0, 0, 1, 1, 2, 2, 3, 3, 4, 4]


def test_one_session_gives_consecutive_blocks() -> None:
    sessions = sessions_of(*(f"rec{number}.wav" for number in range(12)))
    assert blocked_folds(sessions, [PIECE_S] * 12, 4).tolist() == [0] * 3 + [1] * 3 + [2] * 3 + [3] * 3


def test_a_single_recording_in_pieces_is_divided_after_all() -> None:
    sessions = sessions_of("rec.wav").of_parts([4])
    assert blocked_folds(sessions, [PIECE_S] * 4, 2).tolist() == [0, 0, 1, 1]


def test_nothing_gives_nothing() -> None:
    sessions = recording_sessions([], [])
    assert (sessions.count, len(blocked_folds(sessions, [], 5)), len(sessions.of_parts([]).order)) == (0, 0, 0)


@st.composite
def recordings(draw: st.DrawFn) -> list[tuple[Path, float]]:
    """Pieces of recordings of several days, in any order: their paths and durations."""
    made: list[tuple[Path, float]] = []
    for day in draw(st.lists(st.integers(1, 28), min_size=1, max_size=6, unique=True)):
        for minute in draw(st.lists(st.integers(0, 59), min_size=1, max_size=6, unique=True)):
            for piece in range(draw(st.integers(1, 3))):
                path = Path(f"/data/on_202602{day:02d}_08{minute:02d}00_{piece}.wav")
                made.append((path, draw(st.floats(1, 100))))
    return draw(st.permutations(made))


@given(recordings(), st.integers(2, 6), st.randoms(use_true_random=False))
def test_the_order_of_the_recordings_does_not_matter(
    made: list[tuple[Path, float]], folds: int, shuffler: random.Random
) -> None:
    def folds_of(made: list[tuple[Path, float]]) -> dict[Path, int]:
        paths, seconds = [path for path, _ in made], [duration for _, duration in made]
        return dict(zip(paths, blocked_folds(recording_sessions(paths, seconds), seconds, folds).tolist(), strict=True))

    shuffled = list(made)
    shuffler.shuffle(shuffled)
    assert folds_of(made) == folds_of(shuffled)


@given(recordings(), st.integers(2, 6))
def test_folds_keep_together_what_was_made_together(made: list[tuple[Path, float]], folds: int) -> None:
    paths, seconds = [path for path, _ in made], np.array([duration for _, duration in made])
    sessions = recording_sessions(paths, seconds.tolist())
    found = blocked_folds(sessions, seconds, folds)
    numbers = set(found.tolist())
    assert numbers == set(range(len(numbers)))
    assert len(numbers) >= min(2, len(made))
    assert len(numbers) <= folds + 2  # what is before a large session, and behind it
    assert (np.diff(found[sessions.order]) >= 0).all()  # consecutive in time

    shares = [seconds[sessions.session == number].sum() / seconds.sum() for number in range(sessions.count)]
    for number, share in enumerate(shares):
        of_session = sessions.session == number
        if share < 0.5:
            assert len(set(found[of_session].tolist())) == 1, "a session is divided"
        for group in set(sessions.groups[of_session].tolist()):
            if (sessions.groups[of_session] == group).all():
                continue  # the only recording of the session
            assert len(set(found[sessions.groups == group].tolist())) == 1, "a recording is divided"


@given(st.lists(st.floats(1, 100), min_size=2, max_size=60), st.integers(2, 6))
def test_folds_are_balanced_as_far_as_the_recordings_allow(durations: list[float], folds: int) -> None:
    sessions = sessions_of(*(f"rec{number}.wav" for number in range(len(durations))))
    found = blocked_folds(sessions, durations, folds)
    sums = np.bincount(found, durations)
    assert len(sums) == min(folds, len(durations))
    assert sums.max() <= sum(durations) / len(sums) + 2 * max(durations)


@given(recordings())
def test_sessions_are_consecutive_in_time_and_groups_lie_within_them(made: list[tuple[Path, float]]) -> None:
    sessions = recording_sessions([path for path, _ in made], [duration for _, duration in made])
    assert sorted(sessions.order.tolist()) == list(range(len(made)))
    in_order = list(zip(sessions.session[sessions.order], sessions.groups[sessions.order], strict=True))
    assert all(before <= after for before, after in pairwise(in_order))
    assert len(set(in_order)) == len({group for _, group in in_order})


# Held-out recordings


@given(
    count=st.integers(2, 120),
    share=st.floats(0.001, 0.999),
    seed=st.integers(0, 50),
    order=st.randoms(use_true_random=False),
)
def test_held_out_recordings_of_one_session_are_consecutive_of_the_wanted_share_and_neither_part_is_empty(
    count: int, share: float, seed: int, order: random.Random
) -> None:
    """Recordings between those that a model was trained on are too easy for it."""
    paths = [Path(f"{number:03d}.wav") for number in range(count)]
    shuffled = list(paths)
    order.shuffle(shuffled)
    seconds = [PIECE_S] * count
    held = held_out_block(recording_sessions(paths, seconds), seconds, share, seed)
    again = held_out_block(recording_sessions(shuffled, seconds), seconds, share, seed)
    assert {path for path, own in zip(shuffled, again, strict=True) if own} == {
        path for path, own in zip(paths, held, strict=True) if own
    }, "whatever order the disk gives them in"
    assert 0 < held.sum() < count
    smaller = held if share <= 0.5 else ~held
    assert np.count_nonzero(np.diff(smaller.astype(int), prepend=0) == 1) == 1, "consecutive"
    folds = max(2, round(1 / min(share, 1 - share)))
    assert abs(smaller.sum() - max(1, count / folds)) <= 1


def test_whole_sessions_are_held_out_where_there_are_several() -> None:
    sessions = sessions_of(*dated_names(2, 3, 4, 5, 6))
    chosen = {tuple(held_out_block(sessions, [PIECE_S] * 20, 0.2, seed)) for seed in range(5)}
    assert chosen == {tuple(sessions.session == number) for number in range(5)}, "another seed, another session"
