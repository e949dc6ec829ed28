"""Minute values: every second of a stream is in its minute, with its state, whatever happens to the clock."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from monitor.core.events import ScoreRows, State
from monitor.store.minute_row import STATES, MinuteRow
from monitor.store.minute_tally import MinuteTally
from monitor.store.score_sums import ScoreSums
from support.builders import CUTS
from support.score_rows import MINUTE, START, cut, following, made_rows

ONLY = np.array([0])  # the number of the only stream


class Written(dict[int, MinuteRow]):
    """The minutes that were written, by their numbers since the beginning; those written twice are merged."""

    def __init__(self) -> None:
        self.tally = MinuteTally(self.write)
        self.tally.begin(0, "pump")

    def write(self, rows: Sequence[MinuteRow]) -> None:
        for row in rows:
            number = row.minute - int(MINUTE)
            self[number] = self[number].merged(row) if number in self else row

    def scores(self, *rows: ScoreRows) -> Written:
        for one in rows:
            self.tally.scores(ONLY, [one.state], ScoreSums.of([one]))
        return self

    def done(self) -> Written:
        self.tally.flush(ONLY)
        return self


def seconds(row: MinuteRow) -> dict[str, int]:
    """The seconds in each state as the table has them, without those that are 0."""
    columns = row.columns()
    return {state: columns[f"{state}_s"] for state in STATES if columns[f"{state}_s"]}


def test_a_minute_has_mean_and_highest_of_error_score_and_share() -> None:
    rows = made_rows(60.0)
    shares = np.linspace(0.1, 1.3, 600)
    shares[:10] = np.nan
    rows = replace(rows, share=shares, score=2 * shares)
    [row] = Written().scores(rows).done().values()
    assert (row.stream, row.minute) == ("pump", int(MINUTE))
    assert (row.share_mean, row.share_max) == pytest.approx((np.nanmean(shares), 1.3))
    assert (row.score_mean, row.score_max) == pytest.approx((2 * np.nanmean(shares), 2.6))
    assert (row.error_mean, row.error_max) == pytest.approx((0.1, 0.1))
    assert seconds(row) == {"normal": 60}


def test_seconds_are_those_of_the_states_and_a_full_minute_has_sixty() -> None:
    states = [State.LISTENING, State.NORMAL, State.WARNING, State.ANOMALY, State.NORMAL, State.OFF, State.NEW_MODE]
    written = Written().scores(*following(*((20.3, state, 0.5) for state in states))).done()
    assert seconds(written[0]) == {"listening": 20, "normal": 20, "warning": 20}
    assert [sum(seconds(row).values()) for row in written.values()] == [60, 60, 22]
    assert "off" in seconds(written[1])
    assert seconds(written[2]) == {"off": 2, "new_mode": 20}


def test_a_minute_is_written_as_soon_as_it_is_over() -> None:
    written = Written().scores(made_rows(59.9))
    assert not written
    written.scores(made_rows(0.5, first=599))
    assert list(written) == [0]


def test_a_gap_is_time_that_was_not_heard() -> None:
    written = Written().scores(made_rows(20.0), made_rows(60.0, first=350)).done()
    assert seconds(written[0]) == {"normal": 45, "not_heard": 15}
    assert seconds(written[1]) == {"normal": 35}


def test_minutes_without_sound_are_written_while_it_is_lost() -> None:
    written = Written().scores(made_rows(30.0))
    for tenth in range(300, 1800):
        written.tally.not_heard_until(0, START + tenth / 10)
    assert [seconds(written[number]) for number in (0, 1)] == [{"normal": 30, "not_heard": 30}, {"not_heard": 60}]
    assert math.isnan(written[1].share_mean)
    written.scores(made_rows(60.0, first=1800)).done()
    assert [seconds(written[number]) for number in (2, 3)] == [{"not_heard": 60}, {"normal": 60}]


def test_a_stream_that_begins_without_sound_is_recorded_from_then_on() -> None:
    written = Written()
    for second in range(70):
        written.tally.not_heard_until(0, START + 30 + second)
    assert seconds(written.done()[0]) == {"not_heard": 30}


def test_a_clock_that_steps_back_destroys_no_minute() -> None:
    written = Written().scores(made_rows(150.0, share=0.5))
    again = made_rows(150.0, share=0.9, first=1500, wall_time=START + 60)
    written.scores(again).done()
    assert [seconds(row) for row in written.values()] == [{"normal": 60}] * 3 + [{"normal": 30}]
    assert written[0].share_max == pytest.approx(0.5)
    assert written[1].share_max == pytest.approx(0.9)
    assert written[1].share_mean == pytest.approx(0.7)


def test_a_clock_that_is_set_forward_by_years_makes_no_years_of_minutes() -> None:
    later = START + 20 * 365 * 86_400
    written = Written().scores(made_rows(30.0), made_rows(30.0, first=300, wall_time=later)).done()
    assert len(written) == 2
    assert [seconds(row) for row in written.values()] == [{"normal": 30}] * 2


@pytest.mark.parametrize("speed", [1, 4, 1000])
def test_a_replay_of_any_speed_fills_its_minutes(speed: int) -> None:
    """Recordings state when they were made; a source without such a time goes by the clock."""
    recorded = Written().scores(*cut(made_rows(180.0), [speed * 5])).done()
    assert [seconds(row) for row in recorded.values()] == [{"normal": 60}] * 3
    heard_now = Written()
    for rows in cut(made_rows(600.0), [40]):
        heard_now.scores(replace(rows, wall_time=START + (rows.wall_time - START) / speed))
    assert all(sum(seconds(row).values()) <= 60 for row in heard_now.done().values())


def test_recordings_of_other_times_follow_each_other_without_minutes_between_them() -> None:
    day_before = made_rows(30.0, source="b.wav", wall_time=START - 86_400)
    written = Written().scores(made_rows(90.0), day_before, made_rows(30.0, source="c.wav", wall_time=START + 600))
    assert sorted(written.done()) == [-1440, 0, 1, 10]


def test_the_level_is_the_mean_power_and_silence_is_a_number() -> None:
    written = Written().scores(made_rows(1.0))
    for level in (-20.0, -40.0):
        written.tally.level(0, level)
    written.scores(made_rows(60.0, first=10))
    written.tally.level(0, -math.inf)
    written.done()
    assert written[0].level == pytest.approx(10 * math.log10((10**-2 + 10**-4) / 2))
    assert written[1].columns()["level"] == -2000
    assert MinuteRow("pump", 0).columns()["level"] is None


@settings(max_examples=30)
@given(lengths=CUTS, offset=st.floats(0, 120), gap=st.integers(0, 180))
def test_however_scores_are_cut_the_minutes_are_the_same(lengths: list[int], offset: float, gap: int) -> None:
    random = np.random.default_rng(1)
    whole = made_rows(130.0, wall_time=START + offset, hop_s=0.5)
    shares = np.where(random.random(260) < 0.1, np.nan, random.random(260))
    whole = replace(whole, share=shares, score=3 * shares, error=random.random(260).astype(np.float32))
    after = replace(whole, first=260 + gap, state=State.WARNING, wall_time=whole.wall_time + 130 + gap / 2)
    at_once = Written().scores(whole, after).done()
    in_pieces = Written().scores(*cut(whole, lengths), *cut(after, lengths)).done()
    assert list(in_pieces) == list(at_once)
    for number, row in at_once.items():
        found = in_pieces[number]
        for name in ("error_mean", "error_max", "score_mean", "score_max", "share_mean", "share_max"):
            assert getattr(found, name) == pytest.approx(getattr(row, name), rel=1e-6, nan_ok=True)
        assert {**dict.fromkeys(STATES, 0.0), **found.seconds} == pytest.approx(
            {**dict.fromkeys(STATES, 0.0), **row.seconds}, abs=1e-5
        )
        assert abs(sum(seconds(row).values()) - 60) <= 1 or number in (min(at_once), max(at_once))


@settings(max_examples=30)
@given(
    offsets=st.lists(st.floats(0, 120), min_size=1, max_size=4),
    lengths=st.lists(st.integers(1, 200), min_size=1, max_size=6),
    steps=st.lists(st.floats(-8, 8), min_size=1, max_size=3),
)
def test_streams_that_are_added_up_together_have_the_minutes_that_each_has_alone(
    offsets: list[float], lengths: list[int], steps: list[float]
) -> None:
    """With clocks that are set in between, to and fro."""
    random = np.random.default_rng(2)
    blocks: list[list[ScoreRows]] = []
    for number, offset in enumerate(offsets):
        rows = made_rows(200.0, stream=f"stream {number}", wall_time=START + offset, hop_s=0.5, share=random.random())
        parts = [
            replace(part, wall_time=part.wall_time + steps[turn % len(steps)], state=list(State)[turn % 6])
            for turn, part in enumerate(cut(rows, lengths))
        ]
        blocks.append(parts)
    found: dict[str, list[MinuteRow]] = {f"stream {number}": [] for number in range(len(offsets))}
    tally = MinuteTally(lambda rows: [found[row.stream].append(row) for row in rows])  # type: ignore[func-returns-value]
    for number in range(len(offsets)):
        tally.begin(number, f"stream {number}")
    together = np.arange(len(offsets))
    for turn in zip(*blocks, strict=True):
        tally.scores(together, [rows.state for rows in turn], ScoreSums.of(turn))
    tally.flush(together)
    for number, parts in enumerate(blocks):
        alone: list[MinuteRow] = []
        single = MinuteTally(alone.extend)
        single.begin(0, f"stream {number}")
        for rows in parts:
            single.scores(ONLY, [rows.state], ScoreSums.of([rows]))
        single.flush(ONLY)
        assert list(map(repr, found[f"stream {number}"])) == list(map(repr, alone))  # NaN is not equal to itself


def test_a_row_of_the_table_is_read_as_it_was_written() -> None:
    row = MinuteRow("pump", 7, 0.25, 0.5, 40.0, 80.0, 0.4, 1.25, -31.5, {"normal": 50.0, "not_heard": 10.0})
    assert MinuteRow.of_columns("pump", 7, row.columns()).columns() == row.columns()
    huge = MinuteRow("pump", 7, math.inf, math.nan, share_max=1e30, seconds={"normal": 1e9}).columns()
    assert (huge["error_mean"], huge["error_max"], huge["share_max"], huge["normal_s"]) == (None, None, 32_767, 32_767)
