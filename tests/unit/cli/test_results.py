"""The results printed at the end of a session: the score of each recording, and how much sound was scored."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from monitor.cli.results import listening_line, listening_summary, print_results, result_lines
from monitor.runtime.session import Session
from support.builders import RATE, noise, small_bundle, small_config, write_sound
from support.listening import never_alarmed, replay_plan

LOUD = small_bundle(small_config("alarm.warm_up_s=0"))  # noise is an anomaly for this model


def replayed(*files: Path, calm: bool = False, names: tuple[str, ...] = ("",)) -> Session:
    """Runs a session that replays these recordings in each stream, and returns it."""
    bundle = never_alarmed(LOUD) if calm else LOUD
    session = Session([replay_plan(bundle, files, name=name)[0] for name in names], device="cpu")
    session.run()
    return session


@pytest.fixture
def files(tmp_path: Path) -> list[Path]:
    return [
        write_sound(tmp_path / "long [1].wav", noise(2 * RATE)),
        write_sound(tmp_path / "short.wav", noise(60)),
    ]


def table(capsys: pytest.CaptureFixture[str]) -> list[list[str]]:
    """Returns the words of each printed line."""
    return [line.split() for line in capsys.readouterr().out.splitlines()]


def test_each_recording_has_a_row_with_its_score_and_how_it_compares(
    files: list[Path], capsys: pytest.CaptureFixture[str]
) -> None:
    print_results(replayed(*files))
    heading, long, short, last = table(capsys)
    assert heading == ["recording", "seconds", "score", "(limit", "70.12)", "anomalies"]
    assert long[:3] == ["long", "[1].wav", "2.0"]
    assert long[-2:] == ["above", "1"]
    assert short == ["short.wav", "0.0", *short[2:]]
    assert short[-1] == "0"
    assert last == ["1", "anomaly,", "the", "last", "in", "long", "[1].wav."]


def test_recordings_below_the_limit_are_said_to_be_and_no_anomaly_is_counted(
    files: list[Path], capsys: pytest.CaptureFixture[str]
) -> None:
    print_results(replayed(files[0], calm=True))
    heading, row = table(capsys)
    assert heading[0] == "recording"
    assert row[-2:] == ["below", "0"]


def test_of_several_streams_each_row_and_the_anomalies_name_theirs(
    files: list[Path], capsys: pytest.CaptureFixture[str]
) -> None:
    print_results(replayed(files[0], names=("press 1", "press 2")))
    heading, first, second, last = table(capsys)
    assert heading[0] == "stream"
    assert (first[:2], second[:2]) == (["press", "1"], ["press", "2"])
    assert " ".join(last) == "2 anomalies, in press 1 (1), press 2 (1)."


def test_the_last_anomaly_is_named_even_where_something_else_came_after_it(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """For example, the machine was switched off."""
    quiet = 1e-5 * noise(3 * RATE)
    print_results(
        replayed(write_sound(tmp_path / "loud.wav", noise(2 * RATE)), write_sound(tmp_path / "off.wav", quiet))
    )
    assert table(capsys)[-1] == ["1", "anomaly,", "the", "last", "in", "loud.wav."]


def test_json_has_the_facts_of_each_recording(files: list[Path]) -> None:
    session = replayed(*files, names=("press 1",))
    for (text, facts), result, file in zip(result_lines(session), session.streams[0].results, files, strict=True):
        limit = LOUD.thresholds["recording"].value
        assert text.startswith(f"{file.name}: ")
        assert facts == {
            "stream": "press 1",
            "kind": "recording",
            "recording": file.name,
            "seconds": result.seconds,
            "score": None if np.isnan(result.score) else result.score,
            "limit": limit,
            "anomalies": result.anomalies,
        }


def test_how_much_was_heard_is_a_sentence_and_facts(files: list[Path]) -> None:
    [stream] = replayed(files[0]).streams
    text, facts = listening_line(stream)
    assert text == listening_summary(stream)
    assert text.startswith("Listened for ")
    assert text.endswith(": 2.0 of 2.0 captured seconds scored, nothing lost, 1 anomaly.")
    assert facts == {
        "kind": "account",
        "captured_samples": 2 * RATE,
        "scored_samples": 2 * RATE,
        "discarded_samples": 0,
        "not_heard_s": 0.0,
        "anomalies": 1,
    }
