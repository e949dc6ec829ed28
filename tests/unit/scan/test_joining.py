"""Which files are heard as one recording."""

from __future__ import annotations

import math
import random

from hypothesis import given
from hypothesis import strategies as st

from monitor.scan.joining import Piece, pieces
from monitor.scan.survey import Surveyed
from support.archives import BEGAN, named, write_surveyed

T0 = BEGAN.timestamp()


def made(*seconds: float, recorder: str = "press", **values: object) -> list[Surveyed]:
    return [write_surveyed(named(one, recorder=recorder), began=T0 + one, **values) for one in seconds]


def names(found: list[Piece]) -> list[list[str]]:
    return [[file.name for file in piece.files] for piece in found]


def test_files_that_follow_each_other_without_a_gap_are_one_recording() -> None:
    files = made(0, 10, 20, 45, 55)
    assert names(pieces(files)) == [[one.name for one in files[:3]], [one.name for one in files[3:]]]


def test_with_separate_each_file_is_a_recording_of_its_own() -> None:
    assert [len(piece.files) for piece in pieces(made(0, 10, 20), separate=True)] == [1, 1, 1]


def test_two_recorders_in_one_folder_are_not_mixed() -> None:
    press, fan = made(0, 10), made(0, 10, recorder="fan")
    assert names(pieces([*press, *fan])) == [[one.name for one in fan], [one.name for one in press]]


def test_files_of_other_rates_channels_and_folders_are_not_joined() -> None:
    first = made(0)[0]
    for other in (
        made(10, sample_rate=8000)[0],
        made(10, channels=2)[0],
        write_surveyed(f"other/{named(10)}", began=T0 + 10),
    ):
        assert len(pieces([first, other])) == 2


def test_a_recording_ends_with_its_hour_so_that_months_without_a_gap_are_shared_among_processes() -> None:
    found = pieces(made(*range(0, 3 * 3600, 10)))
    assert [piece.seconds for piece in found] == [3600.0] * 3


def test_what_is_added_to_an_archive_leaves_the_recordings_of_earlier_hours_as_they_are() -> None:
    before = pieces(made(*range(0, 7200, 10)))
    after = pieces(made(*range(0, 9000, 10)))
    assert [piece.key("model") for piece in after[:2]] == [piece.key("model") for piece in before]


def test_a_second_that_is_lost_now_and_then_does_not_add_up_in_one_recording() -> None:
    files = made(*(number * 10.9 for number in range(20)))
    assert max(len(piece.files) for piece in pieces(files)) == 2


def test_files_without_a_known_time_are_not_joined() -> None:
    assert len(pieces([write_surveyed(f"{n}.wav", began=math.nan) for n in range(3)])) == 3


@given(st.lists(st.integers(0, 200), unique=True, min_size=1, max_size=25), st.integers(0, 99))
def test_recordings_do_not_depend_on_the_order_in_which_files_are_listed(tens: list[int], seed: int) -> None:
    files = made(*(10.0 * one for one in tens))
    assert pieces(random.Random(seed).sample(files, len(files))) == pieces(files)
    assert sorted(file.name for piece in pieces(files) for file in piece.files) == sorted(one.name for one in files)


def test_a_changed_file_and_another_model_give_a_recording_another_key() -> None:
    [piece] = pieces(made(0, 10))
    [larger] = pieces(made(0, 10, size=1001))
    [newer] = pieces(made(0, 10, modified=2.0))
    keys = {piece.key("one"), piece.key("another"), larger.key("one"), newer.key("one")}
    assert len(keys) == 4
