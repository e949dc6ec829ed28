"""The questions of `monitor setup`: options and earlier answers go before a person, and a person is asked again."""

from __future__ import annotations

import os
from collections.abc import Iterator
from functools import partial
from typing import Any

import pytest

from monitor.cli.setup.questions import Questions
from monitor.core.errors import ConfigError


def even(answer: object) -> int:
    if not str(answer).isdecimal() or int(str(answer)) % 2:
        raise ConfigError(f"{answer!r}: give an even number.")
    return int(str(answer))


@pytest.fixture
def typed(monkeypatch: pytest.MonkeyPatch) -> Iterator[Any]:
    """Types text at a terminal."""
    ours, theirs = os.openpty()
    with os.fdopen(theirs) as terminal:
        monkeypatch.setattr("sys.stdin", terminal)
        yield partial(os.write, ours)
    os.close(ours)


def test_an_option_goes_before_an_earlier_answer_and_that_before_the_default() -> None:
    answers: dict[str, Any] = {"minutes": 4}
    assert Questions({"minutes": "6"}, answers, yes=True).ask("minutes", "Minutes?", 2, even) == 6
    assert answers == {"minutes": 6}
    assert Questions({"minutes": None}, answers, yes=True).ask("minutes", "Minutes?", 2, even) == 6
    assert Questions({}, {}, yes=True).ask("minutes", "Minutes?", 2, even) == 2


def test_a_person_is_asked_again_until_the_answer_can_be_used(typed: Any, capsys: pytest.CaptureFixture[str]) -> None:
    typed(b"three\n5\n8\n")
    answers: dict[str, Any] = {}
    assert Questions({}, answers, yes=False).ask("minutes", "Minutes?", 2, even) == 8
    assert answers == {"minutes": 8}
    said = capsys.readouterr().out
    assert "'three': give an even number." in said
    assert "'5': give an even number." in said


def test_a_person_who_only_presses_enter_takes_the_default(typed: Any) -> None:
    typed(b"\n\n")
    questions = Questions({}, {}, yes=False)
    assert questions.ask("minutes", "Minutes?", 2, even) == 2
    assert questions.agreed("Again?")


def test_an_option_that_cannot_be_used_is_refused_and_nobody_is_asked() -> None:
    with pytest.raises(ConfigError, match="give an even number"):
        Questions({"minutes": "3"}, {}, yes=False).ask("minutes", "Minutes?", 2, even)


def test_without_a_person_it_says_which_answer_is_missing(monkeypatch: pytest.MonkeyPatch) -> None:
    with open(os.devnull) as nobody:  # noqa: PTH123
        monkeypatch.setattr("sys.stdin", nobody)
        with pytest.raises(ConfigError, match=r"Minutes\?.*--minutes.*--yes"):
            Questions({}, {}, yes=False).ask("minutes", "Minutes?", 2, even)
