"""Scores as Parquet: every row with its time, a file a day, nothing overwritten, and readable after kill -9."""

from __future__ import annotations

import datetime
import signal
import subprocess
import sys
from dataclasses import replace
from pathlib import Path
from typing import Any, Literal

import numpy as np
import pytest
from pyarrow import parquet

from monitor.core import background_worker
from monitor.core.errors import MonitorError
from monitor.core.events import ScoreRows, State
from monitor.outputs import parquet_day, parquet_log
from monitor.outputs.parquet_log import ParquetLog
from support.listening import wait_until
from support.score_rows import START, cut, following, made_rows

MIDNIGHT = datetime.datetime(2025, 11, 28, tzinfo=datetime.UTC).timestamp()


def written(folder: Path, *rows: ScoreRows, each: Literal["hop", "second"] = "hop") -> dict[str, list[dict[str, Any]]]:
    """Writes scores, and returns the rows of each file."""
    log = ParquetLog(folder, each=each)
    for one in rows:
        log.scores(one)
    log.close()
    assert (log.error, log.dropped) == (None, 0)
    return files(folder)


def files(folder: Path) -> dict[str, list[dict[str, Any]]]:
    return {path.name: parquet.read_table(path).to_pylist() for path in sorted(folder.iterdir())}


def test_every_hop_has_its_time_state_and_share_of_the_limit(tmp_path: Path) -> None:
    rows = replace(made_rows(0.3, State.WARNING, share=0.5, first=20), share=np.array([0.5, np.nan, 0.7]))
    [(name, found)] = written(tmp_path / "new", rows).items()
    assert name == "scores-2025-11-27.parquet"
    assert [row["time"].timestamp() for row in found] == pytest.approx([START + 2.0, START + 2.1, START + 2.2])
    assert found[0]["time"].tzinfo is not None
    assert [row["time_s"] for row in found] == pytest.approx([2.0, 2.1, 2.2])
    assert [row["share"] for row in found] == [0.5, None, pytest.approx(0.7)]
    assert {(row["stream"], row["source"], row["state"], row["threshold"]) for row in found} == {
        ("pump", "mic", "WARNING", 100.0)
    }
    assert found[0]["score"] == 50.0
    assert found[0]["error"] == pytest.approx(0.1)


def test_the_first_scores_which_are_not_there_yet_are_null(tmp_path: Path) -> None:
    rows = replace(made_rows(0.2), score=np.array([np.nan, 7.0]))
    [found] = written(tmp_path, rows).values()
    assert [row["score"] for row in found] == [None, 7.0]


def test_a_row_a_second_has_the_highest_values_of_the_second(tmp_path: Path) -> None:
    rows = made_rows(2.5)
    rows = replace(rows, score=np.arange(25.0), share=np.where(np.arange(25) < 10, np.nan, np.arange(25) / 10))
    [found] = written(tmp_path, rows, each="second").values()
    assert [row["score"] for row in found] == [9.0, 19.0, 24.0]
    assert [row["share"] for row in found] == [None, pytest.approx(1.9), pytest.approx(2.4)]
    assert [row["time"].timestamp() for row in found] == pytest.approx([START, START + 1, START + 2])


@pytest.mark.parametrize("lengths", [[1], [7, 3, 50], [1000]])
@pytest.mark.parametrize("each", ["hop", "second"])
def test_however_scores_are_cut_the_rows_are_the_same(
    tmp_path: Path, each: Literal["hop", "second"], lengths: list[int]
) -> None:
    scores = np.random.default_rng(0).random(455)
    whole = replace(made_rows(45.5, wall_time=MIDNIGHT - 20.05), score=scores, share=scores)
    at_once = written(tmp_path / "a", whole, each=each)
    in_pieces = written(tmp_path / "b", *cut(whole, lengths), each=each)
    assert list(in_pieces) == list(at_once) == ["scores-2025-11-27.parquet", "scores-2025-11-28.parquet"]
    for name, expected in at_once.items():
        for one, other in zip(in_pieces[name], expected, strict=True):
            assert one["time"].timestamp() == pytest.approx(other["time"].timestamp(), abs=2e-6)
            assert {**one, "time": 0} == {**other, "time": 0} | {"time_s": pytest.approx(other["time_s"])}


def test_streams_and_recordings_are_kept_apart(tmp_path: Path) -> None:
    fan = made_rows(2.0, share=0.9, stream="fan")
    pump = following((0.5, State.NORMAL, 0.1), (1.5, State.ANOMALY, 1.4))
    other = made_rows(0.5, share=0.2, source="b.wav")
    [found] = written(tmp_path, pump[0], fan, pump[1], other, each="second").values()
    assert sorted((row["stream"], row["source"], row["state"], round(row["share"], 3)) for row in found) == [
        ("fan", "mic", "NORMAL", 0.9), ("fan", "mic", "NORMAL", 0.9), ("pump", "b.wav", "NORMAL", 0.2),
        ("pump", "mic", "ANOMALY", 1.4), ("pump", "mic", "ANOMALY", 1.4),
    ]  # fmt: skip


def test_no_file_is_overwritten(tmp_path: Path) -> None:
    for _ in range(3):
        found = written(tmp_path, made_rows(1.0))
    assert list(found) == [f"scores-2025-11-27{number}.parquet" for number in ("-2", "-3", "")]
    assert all(len(rows) == 10 for rows in found.values())


def test_the_parts_of_a_day_become_its_file(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(parquet_log, "PART_ROWS", 100)
    log = ParquetLog(tmp_path, each="hop")
    for rows in cut(made_rows(55.0), [50]):
        log.scores(rows)
    wait_until(lambda: len(list(tmp_path.glob("scores-2025-11-27.part-*.parquet"))) == 5, "the parts")
    assert sum(len(rows) for name, rows in files_that_are_read(tmp_path).items()) == 500
    log.close()
    [(name, rows)] = files(tmp_path).items()
    assert (name, len(rows)) == ("scores-2025-11-27.parquet", 550)
    assert [row["time_s"] for row in rows] == pytest.approx(np.arange(550) / 10)


def files_that_are_read(folder: Path) -> dict[str, list[dict[str, Any]]]:
    """The files that a reader of Parquet finds in a folder."""
    return {path.name: parquet.read_table(path).to_pylist() for path in sorted(folder.glob("[!.]*.parquet"))}


def test_the_file_of_a_day_is_completed_when_no_more_of_it_comes(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(parquet_log, "PART_ROWS", 1)
    monkeypatch.setattr(parquet_log, "IDLE_S", -1.0)
    log = ParquetLog(tmp_path, each="hop")
    log.scores(made_rows(1.0, wall_time=MIDNIGHT - 1))
    log.scores(made_rows(1.0, first=10, wall_time=MIDNIGHT))
    wait_until(lambda: (tmp_path / "scores-2025-11-27.parquet").exists(), "the file of the day")
    log.close()
    assert sorted(files(tmp_path)) == ["scores-2025-11-27.parquet", "scores-2025-11-28.parquet"]


def test_kill_9_leaves_the_parts_that_were_written(tmp_path: Path) -> None:
    code = """
import sys
from pathlib import Path
from monitor.outputs import parquet_log
from support.score_rows import cut, made_rows
parquet_log.PART_ROWS = 100
log = parquet_log.ParquetLog(Path(sys.argv[1]), each="hop")
for rows in cut(made_rows(35.0), [50]):
    log.scores(rows)
sys.stdin.read()
"""
    support = Path(__file__).parents[2]
    process = subprocess.Popen([sys.executable, "-c", code, tmp_path], stdin=subprocess.PIPE, cwd=support)
    try:
        wait_until(lambda: len(list(tmp_path.glob("scores-*.part-*"))) == 3, "the parts")
    finally:
        process.send_signal(signal.SIGKILL)
        process.communicate()
    assert sum(map(len, files_that_are_read(tmp_path).values())) == 300
    again = written_after(tmp_path)
    assert sum(map(len, again.values())) == 310  # the next start overwrites nothing


def written_after(folder: Path) -> dict[str, list[dict[str, Any]]]:
    log = ParquetLog(folder, each="hop")
    log.scores(made_rows(1.0))
    log.close()
    return files_that_are_read(folder)


def test_a_day_whose_file_cannot_be_completed_keeps_its_parts(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    """The disk is full just when the file of the day is written: its parts have everything."""
    day = parquet_day.ParquetDay(tmp_path, int(MIDNIGHT // 86_400))
    table = parquet_log._table([made_rows(1.0)])
    day.write(table)

    def full(*_: object) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(day._writer, "write_table", full)
    day.write(table)
    day.write(table)
    day.finish()
    assert [len(rows) for rows in files(tmp_path).values()] == [10, 10, 10]
    assert "No space left on device" in caplog.text


def test_a_disk_that_fails_for_a_while_loses_no_row(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(parquet_log, "PART_ROWS", 1)
    monkeypatch.setattr(background_worker, "FIRST_RETRY_S", 0.01)
    folder = tmp_path / "scores"
    log = ParquetLog(folder, each="hop")
    folder.rmdir()
    folder.write_text("")  # no part can be written into a file
    log.scores(made_rows(1.0))
    log.scores(made_rows(1.0, first=10))
    wait_until(lambda: log.trouble, "the trouble")
    folder.unlink()
    folder.mkdir()
    wait_until(lambda: not log.trouble, "the recovery")
    log.close()
    assert (log.error, log.dropped) == (None, 0)
    assert [len(rows) for rows in files(folder).values()] == [20]


def test_rows_that_cannot_be_written_before_the_end_are_counted(tmp_path: Path) -> None:
    folder = tmp_path / "scores"
    log = ParquetLog(folder, each="hop")
    folder.rmdir()
    folder.write_text("")
    log.scores(made_rows(1.5))
    log.close()
    log.close()
    assert log.dropped == 15
    assert "15 scores missing" in str(log.error)


def test_recordings_of_many_days_keep_few_files_open(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(parquet_log, "PART_ROWS", 1)
    monkeypatch.setattr(parquet_log, "OPEN_DAYS", 3)
    log = ParquetLog(tmp_path, each="hop")
    for day in range(12):
        log.scores(made_rows(0.2, wall_time=MIDNIGHT + 86_400 * day, source=f"{day}.wav"))
    counts: list[int] = []
    log._put(lambda: counts.append(len(log._days)), 0)
    log.close()
    assert counts[0] <= 3 + 1
    assert sum(map(len, files(tmp_path).values())) == 24
    assert len(files(tmp_path)) == 12


def test_without_pyarrow_the_message_says_what_to_install(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "pyarrow.parquet", None)
    with pytest.raises(MonitorError, match=r"pip install 'acoustic-monitor\[parquet\]'"):
        ParquetLog(tmp_path)


def test_a_folder_that_cannot_be_made_is_reported_at_once(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    with pytest.raises(MonitorError, match="file"):
        ParquetLog(tmp_path / "file" / "scores")
