"""The registry of score parts is consistent with the settings, and rows have the columns that it says."""

from __future__ import annotations

from typing import get_args

import pytest

from monitor.bundle.bundle import placeholder_references
from monitor.config.schema import Score
from monitor.scoring.row_layout import RowLayout
from monitor.scoring.score_parts import (
    ALWAYS_MEASURED,
    PARTS,
    PEAKS,
    SCORE_KINDS,
    STATISTICS,
    parts_of,
)
from support.builders import small_config


def test_the_kinds_of_score_in_the_registry_are_those_in_the_settings() -> None:
    assert set(SCORE_KINDS) == set(get_args(Score.model_fields["kind"].annotation))
    assert {part.name for parts in SCORE_KINDS.values() for part in parts} == set(PARTS)
    assert all(PARTS[part.name] is part for parts in SCORE_KINDS.values() for part in parts)


def test_the_statistics_of_a_part_are_adjacent_and_its_sign_is_one_or_minus_one() -> None:
    """`ScorePart.range` relies on this."""
    for part in PARTS.values():
        first, last = part.range
        assert STATISTICS[first:last] == part.statistics
        assert part.sign_of_new in (1, -1)
        assert 0 < part.light_shrinkage < 1
        assert part.needs_network == bool({"residual", "error"} & set(part.statistics))


@pytest.mark.parametrize("extremes", ["true", "false"])
@pytest.mark.parametrize(
    ("kind", "widths"), [("fused", (41, 25)), ("mahalanobis", (9, 9)), ("spectrum", (41, 25)), ("error", (16, 16))]
)
def test_a_row_has_residual_and_error_and_what_else_the_score_uses(kind: str, extremes: str, widths) -> None:
    """Without `score.extremes`, as in models of older formats, there are no highest and lowest levels.

    Only the score that is the error needs that of each band.
    """
    config = small_config("features.n_mels=8", f"score.kind={kind}", f"score.extremes={extremes}")
    width = widths[extremes == "false"]
    layout = RowLayout.of(config)
    assert layout.row_width == layout.mean_width == width
    assert layout.has_levels == (width > 16)
    columns = list(range(width))
    assert ALWAYS_MEASURED == 2
    own = {"residual": range(8), "spectrum": range(9, width)}
    for part in parts_of(config.score):
        assert columns[layout.columns(part)] == list(own[part.name])
        assert part.size(8) == len(own[part.name])


def test_what_only_some_machines_have_follows_the_statistics_of_the_bands() -> None:
    config = small_config("features.n_mels=8")
    plain, full = RowLayout.of(config), RowLayout.of(config, modes=3, rhythm=True, peaks=True)
    assert (plain.row_width, plain.mean_width, plain.modes) == (41, 41, 0)
    assert (full.row_width, full.mean_width) == (46, 54)
    columns = list(range(54))
    assert columns[full.level_columns] == list(range(9, 17))
    assert columns[full.mode_columns] == [41, 42, 43]
    assert (full.surprise_column, full.impulse_column) == (44, 45)
    assert columns[full.columns(PEAKS)] == columns[full.peak_columns] == list(range(46, 54))
    assert RowLayout.of(config, modes=1).modes == 0, "one mode is not told from any other"


@pytest.mark.parametrize("modes", [0, 3])
@pytest.mark.parametrize("extremes", ["true", "false"])
@pytest.mark.parametrize("kind", SCORE_KINDS)
def test_there_is_a_placeholder_reference_for_each_part_of_a_score(kind: str, extremes: str, modes: int) -> None:
    config = small_config("features.n_mels=8", f"score.kind={kind}", f"score.extremes={extremes}")
    references = placeholder_references(config, modes)
    assert list(references) == [part.name for part in parts_of(config.score)]
    of_modes = (3,) if modes else ()
    for part in parts_of(config.score):
        reference, size = references[part.name], part.size(8)
        assert reference.size == size
        assert reference.centre.shape == (*of_modes, size)
        assert reference.inverse_covariance.shape == (*of_modes, size, size)
