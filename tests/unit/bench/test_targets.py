"""The bench says of each of its targets what was measured, and whether it is reached."""

from __future__ import annotations

import math

import pytest

from monitor.bench.targets import Target, target_lines


@pytest.mark.parametrize(
    ("target", "met"),
    [
        (Target("speed", 5.1, 5.0), True),
        (Target("speed", 4.9, 5.0), False),
        (Target("delay", 2.9, 3.0, "ms", at_most=True), True),
        (Target("delay", 3.1, 3.0, "ms", at_most=True), False),
        (Target("delay", math.nan, 3.0, "ms", at_most=True), False),
    ],
)
def test_an_aim_is_a_lower_or_an_upper_bound_and_nothing_measured_reaches_none(target: Target, met: bool) -> None:
    assert target.met == met


def test_each_target_is_a_line_that_says_if_it_was_missed() -> None:
    reached, missed = target_lines([Target("streams", 1234.5, 457.0), Target("delay", 12.34, 10.0, "ms", at_most=True)])
    assert reached == "streams    1,234  (aim: at least 457)"
    assert missed == "delay       12.3 ms  (aim: at most 10; missed)"
