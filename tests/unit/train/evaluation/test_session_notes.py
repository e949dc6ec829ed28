"""The user is told how far limits hold: on another day, and where test recordings are of another session."""

from __future__ import annotations

import pytest

from train.evaluation.session_notes import note_on_sessions, note_on_test


@pytest.mark.parametrize(
    ("sessions", "words"),
    [
        ({"count": 1, "days": 0, "evidence": "names"}, "do not say when they were made"),
        ({"count": 1, "days": 1, "evidence": "dates in the names"}, "do not expect its limits to hold on another day"),
        ({"count": 2, "days": 2, "evidence": "dates in the names"}, "of 2 on 2 days (dates in the names). Two are few"),
        ({"count": 3, "days": 0, "evidence": "folders"}, "leaving out whole sessions, of 3 (folders)."),
    ],
)
def test_limits_of_few_sessions_come_with_advice(sessions: dict, words: str) -> None:
    assert words in note_on_sessions(sessions)


def test_an_older_model_says_nothing_of_its_sessions() -> None:
    assert note_on_sessions(None) == ""


def test_it_is_said_if_far_more_normal_test_recordings_are_above_the_limit_than_it_allows() -> None:
    note = note_on_test({"expected_fpr": 0.1, "n_normal": 100, "fpr": 0.4})
    assert "40 of 100 are above a limit that 10 % should exceed" in note


@pytest.mark.parametrize(
    "metrics",
    [
        {"expected_fpr": 0.1, "n_normal": 100, "fpr": 0.15},
        {"expected_fpr": 0.1, "n_normal": 4, "fpr": 0.5},  # two of four may be chance
        {"expected_fpr": 0.1, "n_normal": 0, "fpr": None},
        {"expected_fpr": None, "n_normal": 100, "fpr": 0.4},
    ],
)
def test_a_few_more_or_too_few_to_tell_are_not_mentioned(metrics: dict) -> None:
    assert note_on_test(metrics) == ""
