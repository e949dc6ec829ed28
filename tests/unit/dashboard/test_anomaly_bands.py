"""The panel "What is unusual": which frequencies raise the score, by new or by missing sound."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from monitor.core.events import State
from monitor.core.snapshot import Snapshot
from monitor.dashboard.layout import Screen, plan
from monitor.dashboard.render.theme import MONO
from monitor.dashboard.render.view import View
from support.snapshots import BANDS, contributions, drawn, snapshot

LIMIT = 110.0


def unusual(shown: Snapshot, width: int = 200, height: int = 60, **view: object) -> list[str]:
    """The rows of the panel below its title, and its legend."""
    side = plan(width, height).side
    rows = [row[-side:] for row in drawn(shown, width, height, **view)]
    first = next(i for i, row in enumerate(rows) if "What is unusual" in row) + 1
    return rows[first : first + plan(width, height).spectrogram + 1]


def percent(row: str) -> float:
    """The share of the limit that is written in a row."""
    return float(row.split("%")[0].split()[-1])


@pytest.mark.parametrize(("width", "height"), [(80, 24), (120, 36), (200, 60)])
def test_a_band_that_raises_the_score_is_named_by_its_frequency_and_its_share_of_the_limit(
    width: int, height: int
) -> None:
    shown = snapshot(band_contribution=contributions(b40=90.0))
    (row,) = [row for row in unusual(shown, width, height) if "%" in row]
    value, unit = row.split()[:2]
    hz = float(value) * {"Hz": 1.0, "kHz": 1000.0}[unit]
    bands_of_row = BANDS / plan(width, height).spectrogram
    assert hz == pytest.approx(float(shown.band_hz[40]), rel=0.1 * bands_of_row)
    assert 100 * 90 / LIMIT - 1 <= percent(row) <= 100 * (90 + 0.5 * bands_of_row) / LIMIT + 1


def test_every_row_has_its_frequency_with_the_unit() -> None:
    for width, height in ((80, 24), (120, 36), (200, 60)):
        *rows, _ = unusual(snapshot(), width, height)
        hertz = [float(row.split()[0]) * {"Hz": 1.0, "kHz": 1000.0}[row.split()[1]] for row in rows]
        assert hertz == sorted(hertz, reverse=True)


@pytest.mark.parametrize("ascii", [True, False])
def test_new_and_missing_sound_can_be_distinguished_without_colour(ascii: bool) -> None:
    *rows, legend = unusual(snapshot(band_contribution=contributions(b10=-90.0, b40=90.0)), ascii=ascii)
    new, missing = ("+", "-") if ascii else ("█", "░")
    assert [row.count(new * 5) > 0 for row in rows].count(True) == 1
    (more,) = [row for row in rows if new * 5 in row]
    (less,) = [row for row in rows if missing * 5 in row]
    assert rows.index(more) < rows.index(less), "the higher frequency is higher up"
    assert percent(more) == pytest.approx(100 * 90 / LIMIT, abs=2)
    assert percent(less) == pytest.approx(100 * 90 / LIMIT, abs=2)
    assert legend.split()[:6] == [new, "new", missing, "missing", ":" if ascii else "┊", "limit"]


def test_new_and_missing_sound_in_one_row_do_not_cancel() -> None:
    *rows, _ = unusual(snapshot(band_contribution=contributions(b40=60.0, b41=-50.0)), 80, 24)
    (row,) = [row for row in rows if "░" in row]
    assert "█" in row
    assert percent(row) == pytest.approx(100 * 110 / LIMIT, abs=6)


@pytest.mark.parametrize(("width", "height"), [(80, 24), (120, 36), (200, 60)])
def test_bars_are_short_and_without_figures_while_all_is_normal(width: int, height: int) -> None:
    normal = np.random.default_rng(0).dirichlet(np.full(BANDS, 4.0)) * 55
    rows = unusual(snapshot(score=55.0, band_contribution=normal.astype(np.float32)), width, height)[:-1]
    assert not any("%" in row or "█" in row for row in rows)
    assert all("┊" in row for row in rows), "none of them reaches the limit"


def test_a_bar_as_long_as_the_limit_reaches_its_mark_whatever_the_scale() -> None:
    for most in (100.0, 300.0, 1500.0):
        shown = snapshot(score=most, band_contribution=contributions(b5=110.5, b40=most))
        *shown_rows, _ = unusual(shown)
        rows = [row for row in shown_rows if "█" in row]
        marks = {row.index("┊") for row in shown_rows if "┊" in row}
        assert len(marks) == 1
        assert any(abs(len(row[: row.rindex("█") + 1]) - min(marks)) <= 1 for row in rows)


def test_the_scale_of_the_bars_grows_at_once_and_shrinks_only_when_a_third_would_be_enough() -> None:
    view = View()
    multiples = []
    for most in (10.0, 130.0, 105.0, 40.0, 500.0, 400.0, 100.0):
        Screen(snapshot(band_contribution=contributions(b40=most)), view).lines(200, 60, MONO)
        multiples.append(view.scales.band_high)
    assert multiples == [1.0, 2.0, 2.0, 1.0, 8.0, 8.0, 1.0]


def test_the_frequencies_of_a_lasting_anomaly_below_the_limit_are_named_all_the_same() -> None:
    calm = snapshot(score=40.0, band_contribution=contributions(b40=8.0), lasting_sum=0.2)
    assert not any("%" in row for row in unusual(calm))
    assert any("%" in row for row in unusual(replace(calm, state=State.ANOMALY, lasting_sum=1.1)))
