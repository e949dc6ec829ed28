"""Reference distributions are fitted on all normal sound, and its scores come from cross-validation."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from scipy import stats
from sklearn.covariance import EmpiricalCovariance, LedoitWolf, ShrunkCovariance

from monitor.config.schema import Config
from monitor.core.errors import DataError
from monitor.scoring.score_parts import PARTS, SCORE_KINDS, row_width
from support.builders import small_bundle, small_config
from train.calibration.observations import Observation
from train.calibration.reference import FOLDS, OBSERVATIONS_PER_DIMENSION, fit_references, gaussian, pool_of, scores_by
from train.data.feature_cache import Frames

BANDS = 4
DECISIONS = 4


def settings_of(*overrides: str, kind: str = "mahalanobis") -> Config:
    return small_config("features.n_mels=4", f"score.kind={kind}", *overrides)


def recording(
    generator: np.random.Generator,
    config: Config,
    *,
    pieces: int = 5,
    trained: bool = False,
    scale: float = 1.0,
) -> Observation:
    """A recording with Gaussian random statistics; `fine` and `decisions` are independent of `pieces`."""
    width = row_width(config.score.kind, BANDS)
    mixing = np.linalg.cholesky(0.6 + 0.4 * np.eye(width))

    def draw(count: int) -> np.ndarray:
        return scale * (generator.standard_normal((count, width)) @ mixing.T) + 1

    frames = Frames(Path("x.wav"), np.zeros((0, BANDS), np.float32), "")
    return Observation(
        frames, 10.0 * pieces, trained, draw(pieces), draw(3 * pieces), draw(DECISIONS), draw(1)[0], np.full(20, -30.0)
    )


def recordings(config: Config, count: int, *, seed: int = 0, **how: float) -> list[Observation]:
    generator = np.random.default_rng(seed)
    return [recording(generator, config, **how) for _ in range(count)]  # type: ignore[arg-type]


# A Gaussian


@pytest.mark.parametrize("shrinkage", [0.0, 0.01, 0.3, 1.0, "ledoit-wolf", None])
@pytest.mark.parametrize("scale", [1.0, 1e-4])
def test_the_squared_distance_is_that_of_scikit_learn(shrinkage: float | str | None, scale: float) -> None:
    generator = np.random.default_rng(4)
    normal = scale * (generator.standard_normal((400, 16)) @ generator.standard_normal((16, 16)) + 3)
    other = scale * (5 * generator.standard_normal((50, 16)) + 3)
    if not isinstance(shrinkage, float):
        estimator = LedoitWolf()
    else:
        estimator = ShrunkCovariance(shrinkage=shrinkage) if shrinkage else EmpiricalCovariance()
    expected = estimator.fit(normal).mahalanobis(other)
    centre, inverse_covariance = gaussian(normal, shrinkage)
    found = np.einsum("ni,ij,nj->n", other - centre, inverse_covariance, other - centre)
    np.testing.assert_allclose(found, expected, rtol=1e-6)


def test_fewer_observations_than_numbers_still_give_a_distance() -> None:
    normal = np.random.default_rng(5).standard_normal((6, 64))
    for shrinkage, estimator in ((0.01, ShrunkCovariance(shrinkage=0.01)), ("ledoit-wolf", LedoitWolf())):
        centre, inverse_covariance = gaussian(normal, shrinkage)
        offset = normal + 1 - centre
        expected = estimator.fit(normal).mahalanobis(normal + 1)
        np.testing.assert_allclose(np.einsum("ni,ij,nj->n", offset, inverse_covariance, offset), expected, rtol=1e-6)


@pytest.mark.parametrize("shrinkage", [0.0, 0.01, "ledoit-wolf"])
@pytest.mark.filterwarnings("ignore:invalid value encountered:RuntimeWarning")
def test_observations_that_are_all_the_same_still_give_a_finite_distance(shrinkage: float | str) -> None:
    centre, inverse_covariance = gaussian(np.zeros((9, 4)), shrinkage)
    assert np.isfinite(inverse_covariance).all()
    assert (1 - centre) @ inverse_covariance @ (1 - centre) > 1e6


# Fitted on all recordings, scored by cross-validation


@pytest.mark.parametrize("kind", ["mahalanobis", "spectrum", "fused"])
@pytest.mark.parametrize("shrinkage", ["auto", "0.1", "ledoit-wolf"])
@pytest.mark.parametrize("count", [10, 13])
def test_a_recording_is_scored_by_references_fitted_on_the_others_as_by_scikit_learn(
    kind: str, shrinkage: str, count: int
) -> None:
    """Ten folds are used for the scores; the returned reference distributions are fitted on all recordings."""
    config = settings_of(f"score.shrinkage={shrinkage}", kind=kind)
    observed = recordings(config, count)
    references, pool = fit_references(observed, config)
    folds = np.arange(count) % min(FOLDS, count)
    logs, usual = {}, {}
    for part in SCORE_KINDS[kind]:
        columns = part.slice(BANDS)
        pieces = [o.pieces[:, columns] for o in observed]
        enough = OBSERVATIONS_PER_DIMENSION * pieces[0].shape[1]
        assert sum(map(len, pieces)) >= 2 * 2 * BANDS > enough, "there are enough pieces for light shrinkage"
        shrink = {"auto": part.light_shrinkage, "0.1": 0.1}.get(shrinkage)
        estimator = LedoitWolf() if shrink is None else ShrunkCovariance(shrinkage=shrink)
        logs[part.name] = []
        for o, fold in zip(observed, folds, strict=True):
            estimator.fit(np.concatenate([p for p, f in zip(pieces, folds, strict=True) if f != fold]))
            rows = np.vstack((o.decisions, o.wholes))[:, columns]
            logs[part.name].append(np.log(estimator.mahalanobis(rows)))
        estimator.fit(np.concatenate(pieces))
        reference = references[part.name]
        np.testing.assert_allclose(reference.centre, estimator.location_, rtol=1e-9)
        np.testing.assert_allclose(reference.inverse_covariance, estimator.get_precision(), rtol=1e-6)
        by_decision = np.concatenate([found[:DECISIONS] for found in logs[part.name]])
        by_whole = np.concatenate([found[DECISIONS:] for found in logs[part.name]])
        usual[part.name] = np.array([[by_decision.mean(), by_decision.std()], [by_whole.mean(), by_whole.std()]])
        np.testing.assert_allclose(reference.log_distance, usual[part.name], rtol=1e-6)
    weights = {name: 1 / found[:, 1] for name, found in usual.items()}
    total = sum(weights.values())
    for number in range(count):
        score, whole = (
            sum((logs[name][number][rows] - usual[name][i, 0]) * weights[name][i] / total[i] for name in usual)
            for i, rows in enumerate((slice(DECISIONS), slice(DECISIONS, None)))
        )
        np.testing.assert_allclose(pool.scores[number], np.exp(score), rtol=1e-6)
        # A recording of five pieces counts as five whole recordings.
        np.testing.assert_allclose(pool.wholes[5 * number : 5 * number + 5], np.exp(whole), rtol=1e-6)


@pytest.mark.parametrize(("pieces", "light"), [(5, False), (6, True)])
def test_the_shrinkage_is_light_where_all_recordings_together_are_enough(pieces: int, light: bool) -> None:
    """Enough are 1.5 independent observations for each dimension, counted in all recordings, not in a fold. There are
    fewer than 2 for each dimension, so the means of `score.window_s` are fitted."""
    config = settings_of("features.n_mels=4")
    observed = recordings(config, pieces, pieces=1)
    references, pool = fit_references(observed, config)

    def fitted(which: list[Observation]) -> ShrunkCovariance | LedoitWolf:
        estimator = ShrunkCovariance(shrinkage=PARTS["residual"].light_shrinkage) if light else LedoitWolf()
        return estimator.fit(np.concatenate([o.fine[:, :BANDS] for o in which]))

    np.testing.assert_allclose(references["residual"].inverse_covariance, fitted(observed).get_precision(), rtol=1e-6)
    distance = fitted(observed[1:]).mahalanobis(observed[0].decisions[:, :BANDS])
    usual = np.exp(references["residual"].log_distance[0, 0])
    np.testing.assert_allclose(pool.scores[0], distance / usual, rtol=1e-6)


def test_a_few_long_recordings_are_scored_stretch_by_stretch_and_one_short_one_by_itself() -> None:
    """A recording is scored even if there is no other to fit a reference distribution on."""
    config = settings_of()
    long = recordings(config, 3, pieces=8)
    stretches = [
        replace(o, seconds=20.0, pieces=o.pieces[2 * i : 2 * i + 2], fine=o.fine[6 * i : 6 * i + 6],
                decisions=o.decisions[i : i + 1], whole=o.pieces[2 * i : 2 * i + 2].mean(axis=0))
        for o in long for i in range(4)
    ]  # fmt: skip
    (references, pool), (expected, parts) = fit_references(long, config), fit_references(stretches, config)
    assert np.array_equal(references["residual"].inverse_covariance, expected["residual"].inverse_covariance)
    assert np.concatenate(pool.scores) == pytest.approx(np.concatenate(parts.scores))
    assert pool.wholes == pytest.approx(parts.wholes)
    assert pool.seconds == parts.seconds
    [short] = recordings(config, 1, pieces=1)
    assert np.isfinite(fit_references([short], config)[1].wholes).all()


def test_with_much_sound_means_of_ten_seconds_are_fitted_and_not_finer_ones() -> None:
    config = settings_of()
    for count, columns in ((7, "fine"), (8, "pieces")):
        observed = recordings(config, count, pieces=1)
        chosen = [getattr(o, columns)[:, :BANDS] for o in observed]
        references, pool = fit_references(observed, config)
        np.testing.assert_allclose(references["residual"].centre, np.concatenate(chosen).mean(axis=0))
        # A fold, which has less sound, is fitted with the same kind of means as all recordings.
        others = ShrunkCovariance(shrinkage=PARTS["residual"].light_shrinkage).fit(np.concatenate(chosen[1:]))
        expected = others.mahalanobis(observed[0].decisions[:, :BANDS])
        np.testing.assert_allclose(
            pool.scores[0] * np.exp(references["residual"].log_distance[0, 0]), expected, rtol=1e-6
        )


def test_recordings_that_the_network_was_trained_on_score_as_if_it_were_not() -> None:
    """The network reconstructs them too well: their residuals are smaller by a factor, which is corrected."""
    config = settings_of()
    observed = recordings(config, 60, seed=1, trained=True, scale=0.5) + recordings(config, 60, seed=2)
    _, pool = fit_references(observed, config)
    for scores in (np.array([np.log(s).mean() for s in pool.scores]), np.log(pool.wholes)):
        half = len(scores) // 2
        assert scores[:half].mean() == pytest.approx(scores[half:].mean())
    _, uneven = fit_references([replace(o, trained=False) for o in observed], config)
    assert np.log(uneven.wholes[300:]).mean() > np.log(uneven.wholes[:300]).mean() + 0.7


def test_scores_of_trained_recordings_are_never_lowered_and_those_of_the_spectrum_not_changed() -> None:
    louder = settings_of()
    observed = recordings(louder, 40, seed=1, trained=True, scale=2.0) + recordings(louder, 40, seed=2)
    _, pool = fit_references(observed, louder)
    assert np.log(pool.wholes[:200]).mean() > np.log(pool.wholes[200:]).mean() + 0.7
    spectrum = settings_of(kind="spectrum")
    observed = recordings(spectrum, 40, seed=1, trained=True, scale=0.5) + recordings(spectrum, 40, seed=2)
    _, pool = fit_references(observed, spectrum)
    assert np.log(pool.wholes[200:]).mean() > np.log(pool.wholes[:200]).mean() + 0.7


@pytest.mark.parametrize("kind", ["mahalanobis", "fused"])
@pytest.mark.parametrize("count", [12, 40])
def test_fresh_normal_recordings_exceed_a_quantile_of_the_pool_as_often_as_it_says(kind: str, count: int) -> None:
    """Tested with many small data sets: scores by references fitted on the same recordings would be too low."""
    config = settings_of(kind=kind)
    above, total = 0, 0
    bundle = small_bundle(config)
    for seed in range(60):
        observed = recordings(config, count, seed=seed, pieces=3)
        references, pool = fit_references(observed, config)
        fresh = scores_by(replace(bundle, references=references), recordings(config, 20, seed=1000 + seed, pieces=1))
        above += int((fresh.wholes > np.quantile(pool.wholes, 0.9)).sum())
        total += 20
    # The quantile of so few recordings is itself uncertain, so it is exceeded a little more often.
    expected = 0.1 + 0.9 / count
    assert 0.07 < above / total < expected + 0.04


def test_recordings_that_a_bundle_was_not_fitted_on_are_scored_by_it() -> None:
    bundle = small_bundle(settings_of(kind="fused"))
    observed = recordings(bundle.config, 3, pieces=2)
    pool, scorer = scores_by(bundle, observed), bundle.scorer()
    wholes = pool.wholes.reshape(3, 2)
    for o, scores, errors, whole in zip(observed, pool.scores, pool.errors, wholes, strict=True):
        np.testing.assert_allclose(scores, scorer(o.decisions))
        np.testing.assert_allclose(errors, o.decisions[:, BANDS : 2 * BANDS].mean(axis=1))
        np.testing.assert_allclose(whole, scorer(o.pieces, whole_recordings=True))
    [short] = recordings(bundle.config, 1, pieces=1)
    np.testing.assert_allclose(scores_by(bundle, [short]).wholes, scorer(short.whole[None], whole_recordings=True))


def test_two_pieces_are_enough_and_less_is_refused() -> None:
    config = settings_of()
    [lone] = recordings(config, 1, pieces=1)
    with pytest.raises(DataError, match="Too little normal sound"):
        fit_references([replace(lone, fine=lone.fine[:1])], config)
    references, pool = fit_references(recordings(config, 1), config)
    assert np.isfinite(references["residual"].log_distance).all()
    assert np.isfinite(pool.wholes).all()


def test_recordings_too_short_to_have_a_score_leave_the_references_finite() -> None:
    config = settings_of()
    for missing in ("decisions", "whole"):
        observed = recordings(config, 16, pieces=1)
        if missing == "decisions":
            observed = [replace(o, decisions=o.decisions[:0]) for o in observed]
        else:
            observed = [replace(o, whole=np.full_like(o.whole, np.nan)) for o in observed]
        references, _ = fit_references(observed, config)
        assert np.isfinite(references["residual"].log_distance).all()
        assert np.array_equal(references["residual"].log_distance[0], references["residual"].log_distance[1])


def test_the_quietest_normal_sound_is_a_level_that_all_but_one_in_a_hundred_moments_exceed() -> None:
    config = settings_of()
    observed = recordings(config, 10)
    for number, o in enumerate(observed):
        o.levels[:] = -30 + number
    observed[0].levels[0] = -90
    pool = pool_of([o.decisions[:, 0] for o in observed], np.zeros(10), observed, config)
    assert pool.dbfs == pytest.approx(-30, abs=0.5)
    assert pool.seconds == 500


def test_normal_scores_of_gaussian_sound_are_distributed_like_fresh_ones() -> None:
    config = settings_of(kind="fused")
    observed = recordings(config, 150, seed=3)
    references, pool = fit_references(observed, config)
    fresh = scores_by(replace(small_bundle(config), references=references), recordings(config, 150, seed=4))
    found = stats.ks_2samp(np.concatenate(pool.scores), np.concatenate(fresh.scores))
    assert found.pvalue > 1e-3
