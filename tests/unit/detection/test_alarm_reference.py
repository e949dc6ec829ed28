"""The alarm reports the same as a plain machine that looks at one score after the other."""

from __future__ import annotations

import math
from collections.abc import Sequence

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from monitor.core.events import State
from monitor.detection.anomaly import Anomaly
from monitor.detection.cusum import Limits
from support.alarms import NO_CUSUM, THRESHOLD, USUAL, alarm, alarm_settings
from support.builders import pieces

LEVELS = [1.0, 7.9, 8.0, 9.0, 9.95, 10.0, 10.5, 13.0]


class Plain:
    """The reference: one row at a time, in the words of the specification, from a record of everything."""

    def __init__(self, settings: dict[str, float], limit: float, window: int, normal_scores: Sequence[float]) -> None:
        self.s, self.limit, self.normal_scores = settings, limit, list(normal_scores)
        self.block = max(1, settings["block"])
        self.every = math.ceil(window / self.block)
        self.run_up = max(settings["run_up"], window - 1)  # a mean across a gap decides nothing
        self.gap = False
        self.scores: list[float] = []
        self.mean_rows: list[np.ndarray] = []
        self.decided: list[int] = []  # all rows with a decision
        self.states: list[str] = []
        self.events: list[tuple] = []
        self.begin(0, settings["warm_up"])

    def begin(self, row: int, warm_up: float) -> None:
        self.state = "LISTENING"
        self.life, self.ready, self.first = row, row + warm_up, None
        self.votes: list[bool] = []
        self.sum, self.grew_from, self.rose_from = 0.0, None, None
        self.start, self.quiet_from, self.cool_until = None, None, 0

    def facts(self, end: int) -> tuple:
        """What is known of the anomaly by its rows before `end`."""
        part = self.scores[self.start : end]
        mean_rows = [self.mean_rows[row] for row in self.decided if self.start <= row < end]
        return (self.cause, self.start, max(part), float(np.mean(part)), np.mean(mean_rows, axis=0).tolist())

    def row(self, score: float, mean_row: np.ndarray) -> None:
        row = len(self.scores)
        self.scores.append(score)
        self.mean_rows.append(mean_row)
        if math.isnan(score):
            if self.first is not None:
                if self.start is not None:
                    self.events.append(("end", row, *self.facts(row)))
                self.begin(row, 0)
                self.gap = True
        else:
            if self.first is None:
                self.first = row
                if self.gap:
                    self.ready, self.gap = row + self.run_up, False
            if (row - self.first) % self.block == 0:
                self.decided.append(row)
                if row >= self.ready:
                    self.decide(row, score)
        self.states.append(self.state)

    def decide(self, row: int, score: float) -> None:
        self.votes = [*self.votes, score > THRESHOLD][-int(self.s["n"]) :]
        if self.limit < math.inf and (row - self.first) // self.block % self.every == 0:
            as_high = sum(normal >= score for normal in self.normal_scores)
            surprising = min(3.0, -math.log((1 + as_high) / (1 + len(self.normal_scores))))
            before, self.sum = self.sum, min(max(0.0, self.sum + surprising - 1.5), 1.25 * self.limit)
            if before == 0 < self.sum:
                self.grew_from = max(self.life, self.first, row - self.every * self.block + 1)
        if self.votes[-1] and self.rose_from is None:
            self.rose_from = row
            while self.rose_from > max(self.life, self.first) and self.scores[self.rose_from - 1] > THRESHOLD:
                self.rose_from -= 1
        if not any(self.votes):
            self.rose_from = None
        self.begin_or_warn(row) if self.start is None else self.end_or_remind(row, score)

    def begin_or_warn(self, row: int) -> None:
        sudden, lasting = sum(self.votes) >= self.s["k"], self.sum > self.limit
        if (sudden or lasting) and row >= self.cool_until:
            self.state, self.reported, self.reminded = "ANOMALY", row, row
            self.cause, self.start = ("sudden", self.rose_from) if sudden else ("lasting", self.grew_from)
            self.events.append(("begin", row, *self.facts(row + 1)))
        else:
            self.state = "WARNING" if any(self.votes) or self.sum > 0.5 * self.limit else "NORMAL"

    def end_or_remind(self, row: int, score: float) -> None:
        if score < self.s["ratio"] * THRESHOLD and not self.sum > 0.5 * self.limit:
            self.quiet_from = row if self.quiet_from is None else self.quiet_from
        else:
            self.quiet_from = None
        known = row + 1 if self.quiet_from is None else self.quiet_from
        long_quiet = self.quiet_from is not None and row + 1 - self.quiet_from >= self.s["release"]
        if long_quiet and row + 1 - self.reported >= self.s["hold"]:
            self.events.append(("end", self.quiet_from, *self.facts(known)))
            self.begin(row + 1, 0)
            self.first, self.state, self.cool_until = row, "NORMAL", row + self.s["cool_down"]
        elif row - self.reminded >= self.s["remind"]:
            self.reminded = row
            self.events.append(("remind", row, *self.facts(known)))


@settings(max_examples=400, deadline=None)
@given(
    rows=st.lists(
        st.tuples(st.one_of(st.sampled_from(LEVELS), st.sampled_from([1.0, 9.95, 13.0, math.nan])), st.integers(1, 9)),
        max_size=40,
    ),
    late=st.integers(0, 6),
    cuts=st.lists(st.integers(1, 25), min_size=1, max_size=5),
    times=st.fixed_dictionaries(
        {
            "block": st.integers(0, 5), "warm_up": st.integers(0, 12), "run_up": st.integers(0, 12),
            "hold": st.integers(0, 12), "release": st.integers(0, 8), "cool_down": st.integers(0, 20),
            "remind": st.integers(1, 30),
        }
    ),
    n=st.integers(1, 4),
    k=st.integers(1, 4),
    ratio=st.sampled_from([0.8, 1.0]),
    limit=st.sampled_from([NO_CUSUM, 2.0, 4.0, 7.0]),
    window=st.integers(1, 9),
)  # fmt: skip
def test_it_reports_the_same_as_a_plain_machine_in_any_portions(
    rows, late, cuts, times, n, k, ratio, limit, window
) -> None:
    """States, and what each report says by the scores that had come then. The same settings again change nothing."""
    scores = np.array([math.nan] * late + [score for score, times in rows for _ in range(times)])
    rolling = np.stack((np.arange(len(scores), dtype=float), scores), axis=1)
    options = times | {"n": n, "k": min(k, n), "ratio": ratio}
    plain = Plain(options, limit, window, USUAL)
    for score, mean_row in zip(scores, rolling, strict=True):
        plain.row(float(score), mean_row)
    machine = alarm(**options, limit=limit, window=window)
    found: list[Anomaly] = []
    for part in pieces(len(scores), cuts):
        found += machine.push(scores[part], rolling[part].__getitem__)
        machine.change(alarm_settings(**options), Limits(THRESHOLD, limit, USUAL))
        assert machine.state == plain.states[part.stop - 1]
        assert (machine.anomaly is not None) == (machine.state is State.ANOMALY)
    expected = list(plain.events)
    if lasting := machine.finish():
        found.append(lasting)
        expected.append(("end", len(scores), *plain.facts(len(scores))))
    ids: list[str] = []
    for anomaly, (what, row, cause, start, peak, mean, mean_row) in zip(found, expected, strict=True):
        if what == "begin":
            assert anomaly.id not in ids
            ids.append(anomaly.id)
            reported, reminders = row, 0
        reminders += what == "remind"
        assert (anomaly.id, anomaly.reported, anomaly.reminders) == (ids[-1], reported, reminders)
        assert (anomaly.end, anomaly.cause, anomaly.start) == (row if what == "end" else None, cause, start)
        assert (anomaly.peak, anomaly.mean) == (peak, pytest.approx(mean))
        assert anomaly.mean_row == pytest.approx(mean_row)
