"""The results printed at the end of a session: the score of each recording, and how much sound was scored."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from monitor.cli.results import listening_line, listening_summary, print_results, result_lines
from monitor.core.events import Band, Event
from monitor.detection.recording import RecordingResult
from monitor.detection.verdict import verdict
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


def test_each_recording_has_one_verdict_with_its_scores_and_reason(
    files: list[Path], capsys: pytest.CaptureFixture[str]
) -> None:
    print_results(replayed(*files))
    heading, long, short, *notes, last = table(capsys)
    assert heading == ["recording", "seconds", "score", "(limit", "70.12)", "alarm", "verdict"]
    assert long[:3] == ["long", "[1].wav", "2.0"]
    assert "ANOMALY: sudden," in " ".join(long)
    assert "kHz new" in " ".join(long)
    assert short == ["short.wav", "0.0", *short[2:]]
    assert " ".join(short[3:]) == "- UNKNOWN: too short" or "NORMAL" in short
    assert last == ["1", "anomaly,", "the", "last", "in", "long", "[1].wav."]
    assert any("above 100 % of its limit" in " ".join(note) for note in notes)


def test_a_recording_above_the_limit_for_recordings_without_an_alarm_is_suspicious_and_it_is_said_why(
    files: list[Path], capsys: pytest.CaptureFixture[str]
) -> None:
    print_results(replayed(files[0], calm=True))
    said = capsys.readouterr().out
    assert "ANOMALY" not in said
    assert "anomalies" not in said
    row = next(line for line in said.splitlines() if line.startswith("long"))
    assert row.split()[-1] in ("SUSPICIOUS", "NORMAL")
    assert ("SUSPICIOUS: as a whole more unusual than most normal recordings" in said) == ("SUSPICIOUS" in row)
    assert "Recordings shorter than 30 s: small deviations cannot add up to a lasting anomaly; --gapless joins" in said


@pytest.mark.parametrize(
    ("score", "share", "anomalies", "words"),
    [
        (0.5, 0.1, 0, "NORMAL"),
        (1.0, 0.9, 0, "SUSPICIOUS: above the limit as a whole, but no alarm"),
        (0.5, 1.2, 1, "ANOMALY: small but lasting, 6.8-7.8 kHz new"),
        (9.0, 1.2, 3, "ANOMALY: 3 anomalies, small but lasting, 6.8-7.8 kHz new"),
        (np.nan, 0.1, 0, "NORMAL: no alarm, but too short to judge as a whole"),
        (np.nan, np.nan, 0, "UNKNOWN: too short"),
    ],
)
def test_a_recording_has_exactly_one_verdict(score: float, share: float, anomalies: int, words: str) -> None:
    worst = Event("anomaly", 1.0, 9.0, 0.0, "a.wav", cause="lasting", bands=(Band(6800.0, 7800.0, 0.9, "new"),))
    result = RecordingResult("a.wav", score, 10.0, anomalies, share, worst if anomalies else None)
    found = verdict(result, 1.0)
    assert f"{found.word}{': ' if found.reason else ''}{found.reason}" == words


def test_a_recording_in_which_the_machine_stops_is_not_suspicious_for_that() -> None:
    found = verdict(RecordingResult("a.wav", 3e4, 30.0, 0, 0.7, off_s=19.6), 1.2)
    assert (found.word, found.reason) == ("NORMAL", "no alarm; the machine was off for 20 s")


def test_where_the_table_goes_to_a_file_each_recording_has_one_line(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    print_results(replayed(write_sound(tmp_path / f"{'long' * 30}.wav", noise(2 * RATE))))
    assert sum("long" in line and "ANOMALY" in line for line in capsys.readouterr().out.splitlines()) == 1


def test_of_several_streams_each_row_and_the_anomalies_name_theirs(
    files: list[Path], capsys: pytest.CaptureFixture[str]
) -> None:
    print_results(replayed(files[0], names=("press 1", "press 2")))
    heading, first, second, *_, last = table(capsys)
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
        limit = LOUD.recording_limit(result.seconds)
        assert text.startswith(f"{file.name}: ")
        assert facts == {
            "stream": "press 1",
            "kind": "recording",
            "recording": file.name,
            "seconds": result.seconds,
            "score": None if np.isnan(result.score) else result.score,
            "limit": None if np.isnan(limit) else limit,
            "highest_normal": None,
            "alarm_share": None if np.isnan(result.highest_share) else result.highest_share,
            "anomalies": result.anomalies,
            "verdict": verdict(result, limit).word,
            "reason": verdict(result, limit).reason,
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
