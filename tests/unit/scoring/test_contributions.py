"""The bands' contributions to a score are as defined."""

from __future__ import annotations

import numpy as np
import pytest

from monitor.scoring.gaussian import Reference
from monitor.scoring.row_layout import RowLayout
from monitor.scoring.score_parts import PARTS, STATISTICS
from monitor.scoring.scorer import Scorer, part_weights
from support.scorers import (
    FITTED,
    KINDS,
    LAYOUT,
    MACHINES,
    WIDTH,
    machine_rows,
    random_bundle,
    random_rows,
    uncorrelated,
    with_references,
)


@pytest.mark.parametrize("machine", MACHINES)
def test_the_shares_of_the_bands_add_up_to_one_unless_the_rhythm_alone_is_unusual(machine: str) -> None:
    """An interval has no bands: a click that is late says nothing about frequencies."""
    bundle = random_bundle("fused", **MACHINES[machine])
    rows = machine_rows(bundle, 40)
    scorer = bundle.scorer()
    for whole in (False, True):
        share, direction = scorer.shares(rows, whole_recordings=whole)
        assert share.shape == direction.shape == (40, 4)
        of_rhythm = ~share.any(axis=-1)
        np.testing.assert_allclose(share.sum(axis=-1), np.where(of_rhythm, 0, 1))
        if bundle.rhythm is None:
            assert not of_rhythm.any()
            continue
        intervals = rows[:, bundle.layout.impulse_column]
        surprise = rows[:, bundle.layout.surprise_column] / np.where(intervals > 0, intervals, np.nan)
        usual, deviation = bundle.rhythm.log_distance[int(whole)]
        expected = np.log(scorer(rows, whole_recordings=whole))
        np.testing.assert_allclose(((surprise - usual) / deviation)[of_rhythm], expected[of_rhythm])
    score = scorer(rows)
    some = (np.maximum(scorer.shares(rows)[0], 0) > 0).any(axis=-1)
    np.testing.assert_allclose(np.abs(scorer.contributions(rows, score)).sum(axis=-1)[some], score[some], rtol=1e-5)


@pytest.mark.parametrize("sign", [1, -1])
def test_where_the_peaks_are_most_unusual_their_bands_have_the_shares(sign: int) -> None:
    """A click that is missing, or louder than usual, in band 2; the means are a little unusual in band 0."""
    bundle = random_bundle("fused", peaks=True)
    references, rows = uncorrelated(bundle), np.zeros(bundle.layout.mean_width)
    for part in ("residual", "spectrum"):
        rows[LAYOUT.columns(PARTS[part])] = references[part].centre
    rows[0] += 0.1  # residual, and level
    rows[LAYOUT.level_columns.start] += 0.1
    rows[bundle.layout.peak_columns] = references["peaks"].centre
    rows[bundle.layout.peak_columns][2] += 9 * sign
    scorer = Scorer(bundle.config, references, bundle.usual_band_error, layout=bundle.layout)
    share, direction = scorer.shares(rows)
    np.testing.assert_allclose(share, [0, 0, 1, 0], atol=1e-9)
    assert direction[2] * sign > 0
    rows[bundle.layout.peak_columns] = references["peaks"].centre
    np.testing.assert_allclose(scorer.shares(rows)[0], [1, 0, 0, 0], atol=1e-9)


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("whole", [False, True])
@pytest.mark.parametrize("seed", range(4))
def test_the_shares_of_the_bands_add_up_to_one(kind: str, whole: bool, seed: int) -> None:
    scorer, rows = random_bundle(kind, seed=seed).scorer(), random_rows(7, 5, WIDTH, seed=seed)
    share, direction = scorer.shares(rows, whole_recordings=whole)
    assert share.shape == direction.shape == (7, 5, 4)
    total = np.abs(share).sum(axis=-1) if kind == "error" else share.sum(axis=-1)
    np.testing.assert_allclose(total, np.ones((7, 5)))


@pytest.mark.parametrize("kind", KINDS)
def test_no_rows_give_no_shares(kind: str) -> None:
    share, direction = random_bundle(kind).scorer().shares(np.zeros((0, WIDTH)))
    assert share.shape == direction.shape == (0, 4)


@pytest.mark.parametrize("kind", KINDS)
def test_contributions_are_in_the_units_of_the_score_and_negative_where_sound_is_missing(kind: str) -> None:
    bundle, rows = random_bundle(kind), random_rows(7, 5, WIDTH)
    scorer = bundle.scorer()
    score = scorer(rows)
    score[0, 0], rows[0, 1], score[0, 1] = np.nan, np.nan, np.nan
    contribution = scorer.contributions(rows, score)
    assert contribution.dtype == np.float32
    assert not contribution[0, :2].any(), "none where there is no score"
    share, direction = scorer.shares(rows)
    contributes = np.maximum(share, 0) > 1e-6
    contributes[0, :2] = False
    assert (np.sign(contribution)[contributes] == np.where(direction < 0, -1, 1)[contributes]).all()
    some = np.maximum(share, 0).sum(axis=-1) > 0
    some[0, :2] = False
    np.testing.assert_allclose(np.abs(contribution).sum(axis=-1)[some], score[some], rtol=1e-5)


@pytest.mark.parametrize("whole", [False, True])
@pytest.mark.parametrize("kind", FITTED)
def test_without_correlations_the_share_of_a_band_is_that_of_its_own_terms_in_the_distances(
    kind: str, whole: bool
) -> None:
    bundle, rows = random_bundle(kind), random_rows(WIDTH)
    references, expected = {}, np.zeros(4)
    weights_of_parts = part_weights(np.stack([one.log_distance[int(whole)] for one in bundle.references.values()]))
    for (part, one), weight in zip(bundle.references.items(), weights_of_parts, strict=True):
        diagonal = 1 + np.arange(float(len(one.centre)))
        references[part] = Reference(one.centre, np.diag(diagonal), one.log_distance)
        terms = (rows[LAYOUT.columns(PARTS[part])] - one.centre) ** 2 * diagonal
        expected += weight * (terms / terms.sum()).reshape(-1, 4).sum(axis=0)
    np.testing.assert_allclose(with_references(bundle, references).shares(rows, whole_recordings=whole)[0], expected)


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("sign", [1, -1])
def test_a_band_with_new_or_missing_sound_has_the_whole_share_and_the_right_direction(kind: str, sign: int) -> None:
    """The autoencoder does not reconstruct new sound (x̂ - x < 0), but does reconstruct missing sound (x̂ - x > 0)."""
    bundle = random_bundle(kind, n_mels=6)
    layout = RowLayout(6, len(STATISTICS), errors=bundle.layout.errors)
    rows, references = np.zeros(layout.row_width), uncorrelated(bundle)
    for part, reference in references.items():
        rows[layout.columns(PARTS[part])] = reference.centre
    if kind == "error":
        rows[layout.error_columns] = bundle.usual_band_error
    rows[2] -= 5 * sign  # residual
    rows[6 + 2 % layout.errors] += 25  # error
    rows[layout.level_columns.start + 2] += 5 * sign
    rows[layout.change_columns.start + 2] += 1
    share, direction = with_references(bundle, references).shares(rows)
    assert share.argmax() == 2
    assert share[2] == pytest.approx(1)
    assert direction[2] * sign > 0


def test_the_change_of_a_band_contributes_as_well() -> None:
    """For example a rattle with the same level as the normal hum."""
    bundle, rows = random_bundle("spectrum"), np.zeros(WIDTH)
    references = uncorrelated(bundle)
    rows[LAYOUT.columns(PARTS["spectrum"])] = references["spectrum"].centre
    rows[LAYOUT.change_columns.start + 3] += 4
    np.testing.assert_allclose(with_references(bundle, references).shares(rows)[0], [0, 0, 0, 1], atol=1e-12)
