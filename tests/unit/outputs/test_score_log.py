"""A file of scores can be read back, whatever the recording is called."""

from __future__ import annotations

import csv
import os
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from monitor.core.events import ScoreRows, State
from monitor.outputs.score_log import ScoreLog
from support.outputs import anomaly, score_rows


def read_csv(path: Path) -> list[dict[str, str]]:
    with path.open(encoding="utf-8", newline="") as file:
        return list(csv.DictReader(file))


def test_scores_parse_back_as_csv(tmp_path: Path) -> None:
    path = tmp_path / "scores.csv"
    log = ScoreLog(path)
    log.scores(score_rows(0, 3))
    log.scores(score_rows(3, 1000, source="other.wav"))
    log.close()
    table = read_csv(path)
    assert list(table[0]) == ["source", "time_s", "error", "score", "threshold"]
    assert [row["source"] for row in table] == ["pump.wav"] * 3 + ["other.wav"] * 1000
    for number, row in enumerate(table):
        assert float(row["time_s"]) == pytest.approx(number * 0.01, abs=1e-9)
        assert float(row["error"]) == pytest.approx(number / 7, rel=1e-8)
        assert float(row["score"]) == pytest.approx(number * 1e3 / 3, rel=1e-8)
        assert float(row["threshold"]) == 12.5
    assert (log.error, log.dropped) == (None, 0)


def test_of_several_streams_the_name_comes_first(tmp_path: Path) -> None:
    log = ScoreLog(tmp_path / "scores.csv", named=True)
    for name in ("press 1", 'fan, "old"'):
        log.scores(replace(score_rows(), stream=name))
    log.close()
    table = read_csv(tmp_path / "scores.csv")
    assert list(table[0]) == ["stream", "source", "time_s", "error", "score", "threshold"]
    assert [row["stream"] for row in table] == ["press 1"] * 3 + ['fan, "old"'] * 3


@pytest.mark.parametrize("source", ["a,b.wav", 'say "hum".wav', "two\nlines.wav", " größe µ.wav ", "", "1-1.wav"])
def test_a_name_with_anything_in_it_parses_back(tmp_path: Path, source: str) -> None:
    log = ScoreLog(tmp_path / "scores.csv")
    log.scores(score_rows(source=source))
    log.close()
    assert [row["source"] for row in read_csv(tmp_path / "scores.csv")] == [source] * 3


@pytest.mark.parametrize("name", ["=1+1.wav", "+1.wav", "-1.wav", "@SUM(A1).wav", "\tx.wav", "\rx.wav"])
def test_a_name_that_a_spreadsheet_would_compute_has_an_apostrophe_before_it(tmp_path: Path, name: str) -> None:
    log = ScoreLog(tmp_path / "scores.csv", named=True)
    log.scores(replace(score_rows(source=name), stream=name))
    log.close()
    for row in read_csv(tmp_path / "scores.csv"):
        assert (row["stream"], row["source"]) == (f"'{name}", f"'{name}")


def test_a_name_that_is_no_text_stops_nothing(tmp_path: Path) -> None:
    """A file called b"\\xff.wav" is "\\udcff.wav" in Python, which UTF-8 cannot write."""
    log = ScoreLog(tmp_path / "scores.csv")
    log.scores(score_rows(source=os.fsdecode(b"\xff.wav")))
    log.scores(score_rows(source="next.wav"))
    log.close()
    assert log.error is None
    assert [row["source"] for row in read_csv(tmp_path / "scores.csv")] == ["\\udcff.wav"] * 3 + ["next.wav"] * 3


def test_a_score_that_is_not_there_yet_is_empty(tmp_path: Path) -> None:
    log = ScoreLog(tmp_path / "scores.csv")
    log.scores(
        ScoreRows(
            "x", 0, 0.01, np.array([1.0, 2]), np.array([np.nan, 3]), 1.0, State.LISTENING, np.array([np.nan, 3]), 0.0
        )
    )
    log.close()
    assert [row["score"] for row in read_csv(tmp_path / "scores.csv")] == ["", "3"]


def test_small_and_large_scores_keep_nine_digits(tmp_path: Path) -> None:
    values = np.array([1.23456789e-12, 1.23456789e17, 0.0])
    log = ScoreLog(tmp_path / "scores.csv")
    log.scores(ScoreRows("x", 0, 0.01, values, values, 1.0, State.NORMAL, values, 0.0))
    log.close()
    assert [float(row["score"]) for row in read_csv(tmp_path / "scores.csv")] == values.tolist()


def test_scores_of_another_run_are_kept_and_new_ones_go_into_a_file_with_a_number(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    for number in (1, 2, 3):
        log = ScoreLog(tmp_path / "scores.csv")
        log.scores(score_rows(0, number))
        log.close()
    assert [len(read_csv(tmp_path / f"scores{n}.csv")) for n in ("", "-2", "-3")] == [1, 2, 3]
    assert "scores-3.csv" in caplog.text


def test_an_empty_file_is_used_as_it_is(tmp_path: Path) -> None:
    (tmp_path / "scores.csv").touch()
    log = ScoreLog(tmp_path / "scores.csv")
    log.close()
    assert (tmp_path / "scores.csv").read_text() == "source,time_s,error,score,threshold\n"


def test_a_file_of_scores_has_no_events_in_it(tmp_path: Path) -> None:
    log = ScoreLog(tmp_path / "scores.csv")
    log.event(anomaly())
    log.close()
    assert read_csv(tmp_path / "scores.csv") == []
