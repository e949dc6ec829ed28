"""The scores of all decisions are kept, found again, and survive crashes; weeks later they are deleted."""

from __future__ import annotations

import itertools
import os
from collections.abc import Sequence
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from monitor.core.errors import MonitorError
from monitor.core.events import Decisions, ScoreRows, State
from monitor.outputs.score_blocks import Block, as_bytes, blocks_in
from monitor.outputs.score_history import DAY_S, ScoreHistory, Segment, read_scores

HOP_S, PER_DECISION = 0.01, 4
BEGAN = 1_764_201_540.0  # 27 Nov 2025, 23:59 UTC minus 13 s: a day ends during the sound


def rows(
    score: np.ndarray,
    first: int = 0,
    *,
    origin: int = 0,
    threshold: float = 2.0,
    model_id: str = "abc",
    began: float = BEGAN,
) -> ScoreRows:
    """Rows of a stream whose scores began at row `origin`; each fourth row from there is decided on."""
    numbers = np.arange(first, first + len(score))
    index = np.flatnonzero((numbers >= origin) & ((numbers - origin) % PER_DECISION == 0))
    number = (numbers[index] - origin) // PER_DECISION
    decisions = Decisions(index, number, score[index] > 30, PER_DECISION, 12.0, model_id)
    return ScoreRows(
        "x.wav", first, HOP_S, score, score, threshold, State.NORMAL, score, began + first * HOP_S, "pump",
        decisions,
    )  # fmt: skip


def history(folder: Path, parts: Sequence[ScoreRows], keep_days: float = 28.0) -> list[Segment]:
    sink = ScoreHistory(folder, keep_days=keep_days, wait=True)
    for part in parts:
        sink.scores(part)
    sink.close()
    assert sink.error is None
    return read_scores(folder / "pump")


def cut(score: np.ndarray, places: Sequence[int], **facts: object) -> list[ScoreRows]:
    edges = sorted({0, len(score), *(place % (len(score) + 1) for place in places)})
    return [rows(score[start:stop], start, **facts) for start, stop in itertools.pairwise(edges)]  # type: ignore[arg-type]


def some_scores(count: int, seed: int = 1) -> np.ndarray:
    return np.random.default_rng(seed).lognormal(0.0, 1.5, count)


def test_every_decision_is_found_again_to_1_part_in_50_000(tmp_path: Path) -> None:
    score = some_scores(30_000)  # five minutes
    [found] = history(tmp_path, cut(score, range(0, 30_000, 97)))
    decided = score[::PER_DECISION]
    np.testing.assert_allclose(found.score, decided, rtol=2e-5)
    np.testing.assert_allclose(found.time, BEGAN + np.arange(len(decided)) * 0.04, atol=1e-5)
    assert np.array_equal(found.held_back, decided > 30)
    assert (found.number, found.per_decision, found.hop_s, found.model_id) == (0, 4, HOP_S, "abc")
    assert set(found.threshold) == {2.0}
    assert set(found.limit) == {12.0}


def test_a_score_is_above_the_threshold_afterwards_if_and_only_if_it_was_before(tmp_path: Path) -> None:
    near = 2.0 * np.repeat([1.0, 1 + 1e-12, 1 - 1e-12, 1 + 3e-6, 0.0, np.inf], PER_DECISION)
    [found] = history(tmp_path, [rows(near)])
    assert (found.score > 2.0).tolist() == [False, True, False, True, False, True]


@given(places=st.lists(st.integers(0, 10_000), max_size=30), origin=st.integers(0, 30))
def test_any_cutting_of_the_rows_gives_the_same_history(
    tmp_path_factory: pytest.TempPathFactory, places: list[int], origin: int
) -> None:
    score = some_scores(9000)
    whole, parts = (
        history(tmp_path_factory.mktemp("scores"), cut(score, where, origin=origin)) for where in ([], places)
    )
    assert len(whole) == len(parts) == 1
    assert np.array_equal(whole[0].score, parts[0].score)
    assert np.array_equal(whole[0].held_back, parts[0].held_back)
    np.testing.assert_allclose(whole[0].time, parts[0].time, atol=1e-5)
    assert (whole[0].number, parts[0].number) == (0, 0)


def test_a_pause_and_another_model_begin_another_segment(tmp_path: Path) -> None:
    score = some_scores(400)
    found = history(
        tmp_path, [rows(score), rows(score, 400, model_id="def"), rows(score, 800, origin=802, model_id="def")]
    )
    assert [(one.model_id, one.number, len(one.score)) for one in found] == [
        ("abc", 0, 100), ("def", 100, 100), ("def", 0, 100),
    ]  # fmt: skip


def test_another_limit_goes_on_in_the_same_segment(tmp_path: Path) -> None:
    score = some_scores(400)
    [found] = history(tmp_path, [rows(score), rows(score, 400, threshold=3.0)])
    assert found.threshold.tolist() == [2.0] * 100 + [3.0] * 100
    np.testing.assert_allclose(found.score, np.tile(score[::4], 2), rtol=2e-5)


def test_each_day_has_a_file_and_a_time_is_read_without_the_others(tmp_path: Path) -> None:
    score = some_scores(30_000)
    [found] = history(tmp_path, cut(score, range(0, 30_000, 500)))
    assert sorted(path.name for path in (tmp_path / "pump").iterdir()) == ["20251126.scores", "20251127.scores"]
    [late] = read_scores(tmp_path / "pump", since=BEGAN + 200)
    assert len(late.score) < len(found.score)
    assert late.time[0] <= BEGAN + 200 < late.time[-1] + 60
    assert read_scores(tmp_path / "pump", since=BEGAN + 9000) == read_scores(tmp_path / "no such") == []


def test_a_torn_end_and_damaged_bytes_lose_only_their_block(tmp_path: Path) -> None:
    score = some_scores(60_000)
    [whole] = history(tmp_path, cut(score, range(0, 60_000, 500), began=BEGAN + 3600))
    [path] = (tmp_path / "pump").iterdir()
    content = path.read_bytes()
    path.write_bytes(content[:-1])
    [torn] = read_scores(path.parent)
    assert np.array_equal(torn.score, whole.score[: len(torn.score)])
    assert len(whole.score) - len(torn.score) <= 60 / 0.04 + 125
    damaged = bytearray(content)
    damaged[len(content) // 2] ^= 0xFF
    path.write_bytes(damaged)
    before, after = read_scores(path.parent)
    assert np.array_equal(before.score, whole.score[: len(before.score)])
    assert np.array_equal(after.score, whole.score[-len(after.score) :])


def test_files_of_others_do_no_harm(tmp_path: Path) -> None:
    [whole] = history(tmp_path, [rows(some_scores(400))])
    for name in ("20259999.scores", "20251128.scores", "notes.scores"):
        (tmp_path / "pump" / name).write_bytes(b"\xf7SC1" + bytes(200))
    [found] = read_scores(tmp_path / "pump")
    assert np.array_equal(found.score, whole.score)


def test_a_folder_that_cannot_be_read_is_one_sentence(tmp_path: Path) -> None:
    (tmp_path / "pump").touch()
    with pytest.raises(MonitorError, match="pump: cannot be read: Not a directory"):
        read_scores(tmp_path / "pump")


def test_a_monitor_that_starts_again_appends(tmp_path: Path) -> None:
    score = some_scores(400)
    history(tmp_path, [rows(score, began=BEGAN)])
    found = history(tmp_path, [rows(score, began=BEGAN + 9)])
    assert [len(one.score) for one in found] == [100, 100]


def test_a_recording_that_is_replayed_again_counts_once(tmp_path: Path) -> None:
    score, at = some_scores(40_000), BEGAN + 3600
    history(tmp_path, cut(score[:9000], range(0, 9000, 83), began=at))  # the first replay was ended early
    history(tmp_path, cut(score, range(0, 40_000, 97), began=at))
    history(tmp_path, cut(score, range(0, 40_000, 511), began=at, model_id="def"))
    again = cut(score, range(0, 40_000, 1000), began=at)
    found = history(tmp_path, [*again, rows(score[:400], 40_000, origin=40_000, began=at)])
    assert [(one.model_id, len(one.score)) for one in found] == [("abc", 10_000), ("def", 10_000), ("abc", 100)]


def test_a_clock_that_is_set_back_loses_no_scores(tmp_path: Path) -> None:
    score = some_scores(800)
    found = history(tmp_path, [rows(score[:400]), rows(score[400:], 404, origin=404, began=BEGAN - 6)])
    assert [len(one.score) for one in found] == [100, 100]


def test_what_is_older_than_its_time_is_deleted(tmp_path: Path) -> None:
    score = some_scores(400)
    history(tmp_path, [rows(score, began=BEGAN - 40 * DAY_S)])
    [old] = (tmp_path / "pump").iterdir()
    other = tmp_path / "pump" / "notes.txt"
    other.touch()
    for path in (old, other):
        os.utime(path, (1.7e9, 1.7e9))
    history(tmp_path, [rows(score, began=BEGAN)])
    assert sorted(path.name for path in (tmp_path / "pump").iterdir()) == ["20251126.scores", "notes.txt"]


def test_what_cannot_be_written_is_tried_again_and_counted(tmp_path: Path) -> None:
    blocked = tmp_path / "scores"
    blocked.write_text("a file where the folder should be")
    sink = ScoreHistory(blocked, keep_days=1)
    sink.scores(rows(some_scores(400)))
    sink.close()
    assert sink.dropped == 100
    assert sink.error is not None


def test_a_decision_takes_less_than_three_bytes(tmp_path: Path) -> None:
    score = np.random.default_rng(1).normal(1.0, 0.1, 240)  # two minutes at two decisions a second
    limits = (0.01, 2.0, 12.0)
    blocks = [Block(0.0, 0, False, 50, *limits, "0123456789ab", part, part > 9) for part in np.split(score, 2)]
    content = b"".join(map(as_bytes, blocks))
    assert len(content) < 3 * len(score)
    np.testing.assert_allclose(np.concatenate([one.score for one in blocks_in(content)]), score, rtol=1e-5)
