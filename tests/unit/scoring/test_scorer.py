"""Scores are as defined: distances from the reference distributions, relative to those of normal sound."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
from scipy.stats import gmean
from sklearn.covariance import EmpiricalCovariance

from monitor.scoring.gaussian import Reference, SquaredDistance
from monitor.scoring.score_parts import PARTS
from monitor.scoring.scorer import Scorer, fuse, part_weights
from support.backends import BACKENDS, backend
from support.builders import small_config
from support.oracle import expected_score, scipy_distance
from support.scorers import (
    FITTED,
    KINDS,
    LAYOUT,
    MACHINES,
    WIDTH,
    machine_rows,
    random_bundle,
    random_rows,
    with_references,
)

# The score


@pytest.mark.parametrize("whole", [False, True])
@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("name", BACKENDS)
def test_the_score_is_the_weighted_geometric_mean_of_the_parts_distances_relative_to_normal_sound(
    whole: bool, kind: str, name: str
) -> None:
    """Normal distances differ between means over score.window_s and over whole recordings."""
    bundle, rows, arrays = random_bundle(kind), random_rows(5, 3, WIDTH), backend(name)
    found = np.asarray(bundle.scorer(backend=arrays)(arrays.upload(rows), whole_recordings=whole))
    assert found.dtype == np.float64
    expected = expected_score(bundle, rows.reshape(15, WIDTH), whole=whole).reshape(5, 3)
    np.testing.assert_allclose(found, expected, rtol=1e-9)


def test_squared_distances_are_equal_to_those_of_scipy_and_scikit_learn() -> None:
    random = np.random.default_rng(4)
    normal = random.standard_normal((300, 6)) @ random.standard_normal((6, 6))
    fitted = EmpiricalCovariance().fit(normal)
    reference = Reference(fitted.location_, fitted.precision_, np.zeros((2, 2)))
    means = random.standard_normal((7, 6))
    np.testing.assert_allclose(reference.squared_distance(means), fitted.mahalanobis(means), rtol=1e-9)
    np.testing.assert_allclose(reference.squared_distance(means), scipy_distance(reference, means), rtol=1e-9)
    share, offset = reference.terms(means)
    np.testing.assert_allclose(share.sum(axis=-1), 1)
    np.testing.assert_allclose(offset, means - normal.mean(axis=0))


@pytest.mark.parametrize("name", BACKENDS)
@pytest.mark.parametrize("machine", ["one mode", *MACHINES])
def test_scores_of_streams_in_float32_are_within_1e_5_of_those_in_float64(name: str, machine: str) -> None:
    """Also of statistics that are strongly correlated, as the extremes of a band's level are, and far from 0."""
    bundle, arrays, random = (
        random_bundle("fused", **MACHINES.get(machine, {})),
        backend(name),
        np.random.default_rng(2),
    )
    layout, references = bundle.layout, {}
    for part, one in bundle.references.items():
        size = one.size
        mixing = np.ones((size, size)) + 0.03 * random.standard_normal((size, size))
        inverse = np.linalg.inv(mixing @ mixing.T + 1e-3 * np.eye(size))
        inverse = np.tile(inverse, (layout.modes, 1, 1)) if layout.modes else inverse
        references[part] = Reference(one.centre + 3, inverse, one.log_distance)
    rows = (machine_rows(bundle, 6, 50) + 3).astype(np.float32)
    if layout.modes:
        rows[..., layout.mode_columns] -= 3
    scorer = Scorer(
        bundle.config, references, bundle.usual_band_error, layout=layout, rhythm=bundle.rhythm, streams=9,
        backend=arrays,
    )  # fmt: skip
    scorer.recentre({part.name: random.standard_normal(references[part.name].size) for part in scorer.parts}, 4)
    streams = np.array([7, 4, 1, 3, 0, 8])
    expected = np.asarray(scorer(arrays.upload(rows.astype(np.float64)), streams=streams))
    found = np.asarray(scorer(arrays.upload(rows), streams=streams))
    assert found.dtype == np.float64
    np.testing.assert_allclose(found, expected, rtol=1e-5)


@pytest.mark.parametrize("name", BACKENDS)
def test_statistics_that_never_varied_do_not_exceed_the_range_of_float32(name: str) -> None:
    """Their weights are 1e30, because calibration takes 1e-15 for their deviation."""
    arrays = backend(name)
    reference = Reference(np.zeros(3), np.diag([1.0, 1e30, 1e4]), np.zeros((2, 2)))
    means = np.array([[1, 0, 0], [0, 1e6, 0], [2, 0, 0.03]], np.float32)
    found = SquaredDistance(reference, arrays)(arrays.upload(means))
    np.testing.assert_allclose(np.asarray(found), [1, 1e42, 13], rtol=1e-6)


def test_an_inverse_covariance_that_is_singular_to_rounding_has_distances() -> None:
    direction = np.array([[1.0, 2.0, -1.0]])
    reference = Reference(np.zeros(3), direction.T @ direction, np.zeros((2, 2)))
    means = np.random.default_rng(0).standard_normal((9, 3))
    np.testing.assert_allclose(reference.squared_distance(means), (means @ direction[0]) ** 2, atol=1e-12)


@pytest.mark.parametrize("size", [1, 127, 128, 129, 300])
def test_distances_of_many_statistics_are_those_of_the_inverse_covariance(size: int) -> None:
    """A triangular matrix is multiplied in blocks of columns."""
    random = np.random.default_rng(size)
    root = random.standard_normal((size, size))
    reference = Reference(random.standard_normal(size), root @ root.T + np.eye(size), np.zeros((2, 2)))
    means = random.standard_normal((4, 2, size))
    offset = means - reference.centre
    expected = np.einsum("nki,ij,nkj->nk", offset, reference.inverse_covariance, offset)
    np.testing.assert_allclose(reference.squared_distance(means), expected, rtol=1e-9)
    np.testing.assert_allclose(reference.squared_distance(means.astype(np.float32)), expected, rtol=1e-5)


def test_the_geometric_mean_of_scores_of_normal_sound_is_one() -> None:
    """Of the sound that the mean of ln d² was computed from."""
    rows = random_rows(400, WIDTH)
    for kind in FITTED:
        bundle, references = random_bundle(kind), {}
        for part, reference in bundle.references.items():
            logs = np.log(reference.squared_distance(rows[:, LAYOUT.columns(PARTS[part])]))
            usual = np.array([[logs.mean(), logs.std()], reference.log_distance[1]])
            references[part] = Reference(reference.centre, reference.inverse_covariance, usual)
        assert gmean(with_references(bundle, references)(rows)) == pytest.approx(1)


def test_a_part_that_varies_less_on_normal_sound_has_a_larger_weight() -> None:
    usual = np.array([[0.0, 0.1], [5.0, 0.3]])
    np.testing.assert_allclose(part_weights(usual), [0.75, 0.25])
    assert part_weights(usual * 0).tolist() == [0.5, 0.5], "also if the parts do not vary at all"


@pytest.mark.parametrize("kind", FITTED)
def test_scores_fused_from_distances_are_equal_to_scores_of_rows(kind: str) -> None:
    """Calibration stores ln d², not rows."""
    bundle, rows = random_bundle(kind), random_rows(9, WIDTH)
    distances = [one.squared_distance(rows[:, LAYOUT.columns(PARTS[part])]) for part, one in bundle.references.items()]
    usual = np.stack([one.log_distance[0] for one in bundle.references.values()])
    np.testing.assert_allclose(fuse(np.log(np.stack(distances, axis=-1)), usual), bundle.scorer()(rows), rtol=1e-12)


@pytest.mark.parametrize("kind", FITTED)
def test_the_centre_has_a_finite_score_and_nan_has_none(kind: str) -> None:
    bundle, centre = random_bundle(kind), np.zeros(WIDTH)
    for part, reference in bundle.references.items():
        centre[LAYOUT.columns(PARTS[part])] = reference.centre
    assert 0 <= bundle.scorer()(centre) < 1e-100
    assert np.isnan(bundle.scorer()(np.full(WIDTH, np.nan)))


def test_a_missing_reference_distribution_is_an_error() -> None:
    references = random_bundle("mahalanobis").references
    with pytest.raises(ValueError, match="fused score needs reference distributions of: spectrum"):
        Scorer(small_config("features.n_mels=4"), references, np.ones(4, np.float32))


@pytest.mark.parametrize("name", BACKENDS)
@pytest.mark.parametrize("kind", KINDS)
def test_recentre_moves_the_centres_of_one_stream_by_offsets_from_the_models(kind: str, name: str) -> None:
    bundle, rows, arrays = random_bundle(kind), random_rows(3, 5, WIDTH), backend(name)
    scorer, streams = bundle.scorer(streams=4, backend=arrays), np.array([2, 0, 3])
    offsets = {part: random_rows(len(one.centre), seed=7) for part, one in bundle.references.items()}
    before = {part: one.centre.copy() for part, one in bundle.references.items()}
    scorer.recentre({part: offset + 1 for part, offset in offsets.items()}, 0)
    scorer.recentre(offsets, 0)
    found = np.asarray(scorer(arrays.upload(rows), streams=streams))
    for i, stream in enumerate(streams):
        expected = expected_score(bundle, rows[i], offsets=offsets if stream == 0 else None)
        np.testing.assert_allclose(found[i], expected, rtol=1e-9)
    for part, centre in before.items():
        assert np.array_equal(bundle.references[part].centre, centre), "the model's own centre is not moved"


# Operating modes, peaks and rhythm


@pytest.mark.parametrize("kind", ["fused", "spectrum"])
@pytest.mark.parametrize("machine", MACHINES)
@pytest.mark.parametrize("name", BACKENDS)
def test_the_score_of_a_machine_with_modes_peaks_and_rhythm_is_as_defined(kind: str, machine: str, name: str) -> None:
    """It is the highest of the fused score, by the Gaussians of the modes, and of the alternatives."""
    bundle, arrays = random_bundle(kind, **MACHINES[machine]), backend(name)
    rows = machine_rows(bundle, 6, 50)
    for whole in (False, True):
        found = np.asarray(bundle.scorer(backend=arrays)(arrays.upload(rows), whole_recordings=whole))
        expected = expected_score(bundle, rows.reshape(300, -1), whole=whole).reshape(6, 50)
        np.testing.assert_allclose(found, expected, rtol=1e-9)
        single = np.asarray(
            bundle.scorer(backend=arrays)(arrays.upload(rows.astype(np.float32)), whole_recordings=whole)
        )
        np.testing.assert_allclose(single, expected, rtol=1e-3, err_msg="mean rows of streams are float32")


def test_in_the_rows_of_these_tests_each_alternative_is_sometimes_the_score() -> None:
    for machine in ("peaks", "rhythm"):
        bundle = random_bundle("fused", **MACHINES[machine])
        rows = machine_rows(bundle, 300)
        references = {name: one for name, one in bundle.references.items() if name != "peaks"}
        fused = replace(bundle, references=references, rhythm=None)
        higher = bundle.scorer()(rows) > fused.scorer()(rows[:, : fused.layout.mean_width])
        assert 0.05 < higher.mean() < 0.95, machine


def test_a_mean_over_a_change_of_mode_at_the_centres_of_both_has_no_distance() -> None:
    reference = random_bundle("spectrum", **MACHINES["modes"]).references["spectrum"]
    for share in (0.0, 0.25, 0.5, 1.0):
        shares = np.array([share, 0.0, 1 - share])
        mixed = share * reference.centre[0] + (1 - share) * reference.centre[2]
        assert 0 <= reference.squared_distance(mixed, shares) < 1e-20
        if 0 < share < 1:
            assert reference.squared_distance(mixed, np.array([1.0, 0, 0])) > 0.1


def test_sound_of_one_mode_has_the_distance_and_the_shares_of_that_modes_gaussian_alone() -> None:
    reference = random_bundle("spectrum", **MACHINES["modes"]).references["spectrum"]
    means = random_rows(7, reference.size)
    for mode in range(3):
        alone = Reference(reference.centre[mode], reference.inverse_covariance[mode], reference.log_distance)
        shares = np.tile(np.eye(3)[mode], (7, 1))
        np.testing.assert_allclose(reference.squared_distance(means, shares), alone.squared_distance(means), rtol=1e-12)
        for found, expected in zip(reference.terms(means, shares), alone.terms(means), strict=True):
            np.testing.assert_allclose(found, expected, rtol=1e-9)


@pytest.mark.parametrize("name", BACKENDS)
def test_recentre_moves_the_centres_of_all_modes_of_one_stream(name: str) -> None:
    bundle, arrays = random_bundle("fused", **MACHINES["all"]), backend(name)
    rows, scorer = machine_rows(bundle, 2, 5), bundle.scorer(streams=3, backend=arrays)
    offsets = {part: random_rows(one.size, seed=7) for part, one in bundle.references.items()}
    scorer.recentre(offsets, 2)
    found = np.asarray(scorer(arrays.upload(rows), streams=np.array([2, 0])))
    for i, by in enumerate((offsets, None)):
        np.testing.assert_allclose(found[i], expected_score(bundle, rows[i], offsets=by), rtol=1e-9)


def test_the_rhythm_counts_only_where_there_are_intervals() -> None:
    """A pause of the machine is no unusual rhythm, and leaves the score of the other parts as it is."""
    bundle = random_bundle("fused", rhythm=True)
    rows, layout = machine_rows(bundle, 50), bundle.layout
    rows[:, [layout.surprise_column, layout.impulse_column]] = 0
    without = replace(bundle, rhythm=None)
    np.testing.assert_allclose(bundle.scorer()(rows), without.scorer()(rows[:, : layout.surprise_column]), rtol=1e-12)
    surprising = rows.copy()
    surprising[:, layout.surprise_column], surprising[:, layout.impulse_column] = 0.02 * 50, 0.02
    assert (bundle.scorer()(surprising) > bundle.scorer()(rows)).all()
