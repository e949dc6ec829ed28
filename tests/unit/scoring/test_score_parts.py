"""The registry of score parts is consistent with the settings and with the rows of window statistics."""

from __future__ import annotations

from typing import get_args

import pytest

from monitor.bundle.bundle import placeholder_references
from monitor.config.schema import Score
from monitor.scoring.score_parts import ALWAYS_MEASURED, PARTS, SCORE_KINDS, STATISTICS, row_width
from monitor.scoring.window_stats import WindowStats
from support.builders import small_config


def test_the_kinds_of_score_in_the_registry_are_those_in_the_settings() -> None:
    assert set(SCORE_KINDS) == set(get_args(Score.model_fields["kind"].annotation))
    assert {part.name for parts in SCORE_KINDS.values() for part in parts} == set(PARTS)
    assert all(PARTS[part.name] is part for parts in SCORE_KINDS.values() for part in parts)


def test_the_statistics_of_a_part_are_adjacent_and_its_sign_is_one_or_minus_one() -> None:
    """`ScorePart.columns` relies on this."""
    for part in PARTS.values():
        first, last = part.columns
        assert STATISTICS[first:last] == part.statistics
        assert part.sign_of_new in (1, -1)
        assert 0 < part.light_shrinkage < 1
        assert part.needs_network == bool({"residual", "band_error"} & set(part.statistics))


@pytest.mark.parametrize(("kind", "width"), [("fused", 32), ("mahalanobis", 16), ("spectrum", 32), ("error", 16)])
def test_a_row_has_residual_and_error_and_if_the_score_uses_them_level_and_change(kind: str, width: int) -> None:
    config = small_config("features.n_mels=8", f"score.kind={kind}")
    assert row_width(kind, 8) == WindowStats(config).width == width
    columns = list(range(width))
    assert ALWAYS_MEASURED == 2
    for part, own in (("residual", range(8)), ("spectrum", range(16, 32))):
        assert PARTS[part].size(8) == len(own)
        if PARTS[part] in SCORE_KINDS[kind]:
            assert columns[PARTS[part].slice(8)] == list(own)


@pytest.mark.parametrize("kind", SCORE_KINDS)
def test_there_is_a_placeholder_reference_for_each_part_of_a_score(kind: str) -> None:
    references = placeholder_references(small_config("features.n_mels=8", f"score.kind={kind}"))
    assert list(references) == [part.name for part in SCORE_KINDS[kind]]
    for name, reference in references.items():
        assert reference.inverse_covariance.shape == (PARTS[name].size(8),) * 2
