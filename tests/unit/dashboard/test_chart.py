"""The charts of score and error: honest about what is above the limit, and about what was not heard."""

from __future__ import annotations

import numpy as np
import pytest

from monitor.core.events import State
from monitor.dashboard.layout import Screen, plan
from monitor.dashboard.render.theme import COLOUR
from monitor.dashboard.render.view import View
from monitor.dashboard.widgets.chart import GUTTER
from support.snapshots import SLOTS, drawn, snapshot

LEFT = plan(120, 36, 2).left  # columns of the charts with their labels


def test_a_spike_is_drawn_above_the_limit_in_the_other_colour_and_nothing_else_is() -> None:
    history = np.full(SLOTS, 50, np.float32)
    history[400] = 160
    lines = Screen(snapshot(score_history=history), View()).lines(120, 36, COLOUR)
    title = next(i for i, line in enumerate(lines) if any("Anomaly score" in part.text for part in line))
    limit = next(
        i for i in range(title, 36) if lines[i][0].text.strip() == "limit" and lines[i][0].style == COLOUR.line
    )
    end = next(i for i in range(limit, 36) if any("Reconstruction" in part.text for part in lines[i]))

    def dots(rows: range, style: object) -> set[int]:
        columns = set()
        for row in rows:
            x = 0
            for part in lines[row]:
                if part.style == style and x >= GUTTER - 1:
                    columns |= {x + i for i, c in enumerate(part.text) if 0x2800 < ord(c) < 0x2900}
                x += len(part.text)
        return {x for x in columns if x < LEFT}

    spike = GUTTER + round(401 / SLOTS * (LEFT - GUTTER))
    above = dots(range(title + 1, limit + 1), COLOUR.alert)
    assert above
    assert all(abs(x - spike) <= 1 for x in above)
    assert not dots(range(limit + 1, end), COLOUR.alert)
    assert not dots(range(title + 1, limit + 1), COLOUR.trace)
    assert len(dots(range(limit + 1, end), COLOUR.trace)) > 70


@pytest.mark.parametrize("size", [1e-4, 1.0, 3e7])
@pytest.mark.parametrize("excess", [0.01, 1.2, 40.0, 1e4])
def test_the_limit_is_on_the_chart_whatever_the_history_does(size: float, excess: float) -> None:
    history = np.full(SLOTS, 0.4 * size, np.float32)
    history[-100:] = excess * size
    for height in (10, 24, 60):
        shown = snapshot(kind="error", threshold=size, error_threshold=size, error_history=history)
        lines = Screen(shown, View()).lines(80, height, COLOUR)
        labels = [line[0].text for line in lines if line[0].style == COLOUR.line and len(line[0].text) == GUTTER - 1]
        assert [label.strip() for label in labels] == ["limit"]


def test_the_title_says_the_newest_value_and_the_limit_in_figures() -> None:
    (score,) = [row for row in drawn(snapshot(State.ANOMALY)) if "Anomaly score" in row]
    (error,) = [row for row in drawn(snapshot(State.ANOMALY)) if "Reconstruction error" in row]
    assert score[:46].strip("─ ").split() == ["Anomaly", "score", "300", "─" * 14, "limit", "110"]
    assert error[:46].strip("─ ").split() == ["Reconstruction", "error", "0.700", "─" * 5, "limit", "0.450"]


def test_sound_that_was_not_heard_leaves_a_gap() -> None:
    rows = drawn(snapshot(State.LOST), 120, 36, colour=False)
    plots = [row[GUTTER:LEFT] for row in rows if row[GUTTER - 1] in "│┤"]
    gap = 80 * (LEFT - GUTTER) // SLOTS - 1
    trace = [plot[-gap:].replace("⣀", " ").strip() for plot in plots]
    assert trace == [""] * len(plots)
