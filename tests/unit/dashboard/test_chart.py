"""The charts: honest about what is above the limit, about what was not heard, and about their scales."""

from __future__ import annotations

import numpy as np
import pytest

from monitor.core.events import State
from monitor.dashboard.layout import Plan, Screen, plan
from monitor.dashboard.render.axis import Scales
from monitor.dashboard.render.theme import COLOUR
from monitor.dashboard.render.view import View
from monitor.dashboard.widgets.chart import GUTTER
from support.snapshots import SLOTS, drawn, snapshot

HISTORIES = ("error_history", "score_history", "share_history", "lasting_history", "spectrogram")
LEFT = plan(120, 36).left  # columns of the charts with their labels


def test_a_spike_is_drawn_above_the_limit_in_the_other_colour_and_nothing_else_is() -> None:
    history = np.full(SLOTS, 0.5, np.float32)
    history[400] = 1.4
    lines = Screen(snapshot(share_history=history), View()).lines(120, 36, COLOUR)
    title = next(i for i, line in enumerate(lines) if any("Share of limit" in part.text for part in line))
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
        shown = snapshot(threshold=size, error_threshold=size, error_history=history, share_history=history)
        at = plan(80, height)
        lines = Screen(shown, View()).lines(80, height, COLOUR)
        labels = [line[0].text for line in lines if line[0].style == COLOUR.line and len(line[0].text) == GUTTER - 1]
        assert [label.strip() for label in labels] == ["limit"] * sum(rows > 1 for rows in charts_of(at))


def charts_of(at: Plan) -> tuple[int, int, int]:
    """The rows of the charts."""
    return at.share, at.error, at.lasting


def rows_of(title: str, rows: list[str]) -> list[str]:
    """The rows of the chart with this title."""
    start = next(number for number, row in enumerate(rows) if row.startswith(f"─ {title}"))
    end = next(number for number in range(start + 1, len(rows)) if rows[number][GUTTER - 1 : GUTTER] not in "│┤")
    return rows[start + 1 : end]


@pytest.mark.parametrize("height", [24, 30, 36, 48, 60])
def test_the_limit_of_the_share_is_at_two_thirds_of_the_height_and_the_axis_never_changes(height: int) -> None:
    view: dict[str, object] = {"scales": Scales()}
    labels = []
    for level in (0.01, 0.6, 1.2, 900.0, 0.3):
        shown = snapshot(share_history=np.full(SLOTS, level, np.float32), share_of_limit=level)
        chart = rows_of("Share of limit", drawn(shown, 120, height, **view))
        labels.append([row[: GUTTER - 1].strip() for row in chart])
    assert all(one == labels[0] for one in labels)
    above = labels[0].index("limit") + 1  # the line is at the lower edge of its row
    assert above == pytest.approx(len(labels[0]) / 3, abs=0.51)


def test_an_alarm_by_small_deviations_that_last_is_above_the_limit_on_the_chart() -> None:
    share = np.full(SLOTS, 0.9, np.float32)
    share[-50:] = 1.02
    shown = snapshot(State.ANOMALY, score=60.0, share_history=share, share_of_limit=1.02, lasting_sum=1.02)
    chart = rows_of("Share of limit", drawn(shown, 120, 36))
    limit = next(number for number, row in enumerate(chart) if row.lstrip().startswith("limit"))
    assert any("⣿" in row[-45:] or "⣶" in row[-45:] or "⣀" in row[LEFT - 8 : LEFT] for row in chart[: limit + 1])
    assert any("102 %" in row for row in drawn(shown, 120, 36) if "share of limit" in row)


def test_a_new_scale_of_the_error_is_announced_for_some_seconds() -> None:
    scales = Scales()

    def title(error: float, slot: int) -> str:
        shown = snapshot(error_history=np.full(SLOTS, error, np.float32), first_slot=slot)
        return next(row for row in drawn(shown, scales=scales) if "Reconstruction error" in row)

    assert "new scale" not in title(0.3, 0)
    assert "new scale" in title(30.0, 1)
    assert "new scale" in title(30.0, 40)
    assert "new scale" not in title(30.0, 60)


def test_the_lasting_sum_has_a_chart_of_its_own_where_there_is_room() -> None:
    assert not any(row.startswith("─ Lasting") for row in drawn(snapshot(), 80, 24))
    for width, height in ((120, 36), (160, 48), (200, 60)):
        assert any(row.startswith("─ Lasting") for row in drawn(snapshot(), width, height))


def test_the_title_says_the_newest_value_and_the_limit_in_figures() -> None:
    (share,) = [row for row in drawn(snapshot(State.ANOMALY)) if "Share of limit" in row]
    (error,) = [row for row in drawn(snapshot(State.ANOMALY)) if "Reconstruction error" in row]
    assert share[:46].strip("─ ").split() == ["Share", "of", "limit", "273", "%", "─────", "alarm", "above", "100", "%"]
    assert error[:46].strip("─ ").split() == ["Reconstruction", "error", "0.700", "─" * 5, "limit", "0.450"]


@pytest.mark.parametrize("ascii", [True, False])
def test_sound_that_was_not_heard_is_hatched_in_every_chart(ascii: bool) -> None:
    rows = drawn(snapshot(State.LOST), 120, 36, colour=False, ascii=ascii)
    plots = [row[GUTTER:LEFT] for row in rows if row[GUTTER - 1] in "│┤|+" and row[0] not in "-─"]
    gap = 80 * (LEFT - GUTTER) // SLOTS - 1
    hatch = "/" if ascii else "╱"
    assert len(plots) == sum(charts_of(plan(120, 36))) + plan(120, 36).spectrogram
    assert all(set(plot[-gap:]) == {hatch} for plot in plots)
    assert not any(hatch in plot[: -gap - 2] for plot in plots)


def test_a_long_gap_says_that_it_was_not_heard_and_the_time_before_the_start_is_no_gap() -> None:
    levels = np.array(snapshot().spectrogram)
    levels[100:400] = np.nan
    rows = drawn(snapshot(spectrogram=levels), 120, 36)
    assert any(" not heard " in row for row in rows_of("Share of limit", rows))
    young = snapshot(**{name: getattr(snapshot(), name)[:50] for name in HISTORIES}, first_slot=0)
    assert not any("╱" in row for row in drawn(young, 120, 36))
