"""Comparisons of the bench: rivals run in turn, and what counts is the median of their ratios."""

from __future__ import annotations

from monitor.bench.timing import Timings, time_all
from monitor.config.schema import Config
from monitor.model.folded_inference import window_operations


def test_a_ratio_is_the_median_over_rounds_and_not_of_the_sums() -> None:
    timings = Timings({"slow": [4.0, 100.0, 6.0], "fast": [2.0, 1.0, 2.0]})
    assert timings.ratio("slow", "fast") == 3.0
    assert timings.seconds("slow") == 6.0


def test_rivals_run_in_turn_after_a_round_that_does_not_count() -> None:
    ran: list[str] = []
    timings = time_all({"a": lambda: ran.append("a"), "b": lambda: ran.append("b")}, rounds=2)
    assert ran == ["a", "b"] * 3
    assert [len(rounds) for rounds in timings.rounds.values()] == [2, 2]


def test_a_window_takes_twice_as_many_operations_as_the_network_has_weights() -> None:
    assert window_operations(Config()) == 2 * 2 * (1280 * 512 + 512 * 256 + 256 * 128)
