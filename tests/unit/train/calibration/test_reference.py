"""Reference distributions are fitted on all normal sound, and its scores come from cross-validation."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from scipy import stats
from sklearn.covariance import LedoitWolf, ShrunkCovariance

from monitor.config.schema import Config
from monitor.core.errors import DataError
from monitor.scoring.gaussian import Reference
from monitor.scoring.rhythm import Rhythm
from monitor.scoring.row_layout import RowLayout
from monitor.scoring.score_parts import PARTS, SCORE_KINDS
from support.builders import small_bundle, small_config
from train.calibration.cross_validation import FOLDS
from train.calibration.gaussian_fit import best_shrinkage
from train.calibration.normal_pool import NormalPool, pool_of, scores_by
from train.calibration.observations import Observation
from train.calibration.reference import NETWORK_S, FittedReferences, fit_references
from train.data.feature_cache import Frames
from train.data.sessions import blocked_folds, recording_sessions

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
    width = RowLayout.of(config).row_width
    mixing = np.linalg.cholesky(0.6 + 0.4 * np.eye(width))

    def draw(count: int) -> np.ndarray:
        return scale * (generator.standard_normal((count, width)) @ mixing.T) + 1

    frames = Frames(Path(f"{generator.integers(10**9):09d}.wav"), np.zeros((0, BANDS), np.float32), "")
    return Observation(
        frames, 10.0 * pieces, trained, draw(pieces), draw(3 * pieces), draw(DECISIONS), draw(1)[0], np.full(20, -30.0)
    )


def recordings(config: Config, count: int, *, seed: int = 0, **how: float) -> list[Observation]:
    """Recordings in the order of their names; nothing says when they were made."""
    generator = np.random.default_rng(seed)
    found = [recording(generator, config, **how) for _ in range(count)]  # type: ignore[arg-type]
    return [replace(o, frames=replace(o.frames, path=Path(f"x{number:04d}.wav"))) for number, o in enumerate(found)]


def unpacked(found: FittedReferences) -> tuple[dict[str, Reference], Rhythm | None, NormalPool]:
    """The parts of a result."""
    return found.references, found.rhythm, found.pool


def blocks_of(observed: list[Observation], count: int = FOLDS) -> np.ndarray:
    """The fold of each recording."""
    seconds = [o.seconds for o in observed]
    return blocked_folds(recording_sessions([o.frames.path for o in observed], seconds), seconds, count)


def log_distances(fitted: np.ndarray, rows: np.ndarray, shrinkage: float | str) -> np.ndarray:
    """ln d² of rows by scikit-learn, of numbers in units of their standard deviations."""
    deviation = fitted.std(axis=0)
    estimator = ShrunkCovariance(shrinkage=shrinkage) if isinstance(shrinkage, float) else LedoitWolf()
    return np.log(estimator.fit(fitted / deviation).mahalanobis(rows / deviation))


def left_out(
    observed: list[Observation], rows: str, columns: slice, folds: np.ndarray, shrinkage: float | str
) -> list[np.ndarray]:
    """ln d² of rows of each recording, by what was fitted on the pieces of the recordings of other folds."""
    return [
        log_distances(
            np.concatenate([other.pieces[:, columns] for other, f in zip(observed, folds, strict=True) if f != fold]),
            getattr(o, rows)[:, columns],
            shrinkage,
        )
        for o, fold in zip(observed, folds, strict=True)
    ]


def effect_of_size(observed: list[Observation], columns: slice, shrinkage: float | str) -> float:
    """How much higher ln d² is if a fifth of the recordings is not fitted on, in place of a twentieth."""
    means = [
        np.concatenate(left_out(observed, "wholes", columns, np.arange(len(observed)) % folds, shrinkage)).mean()
        for folds in (min(5, len(observed)), min(20, len(observed)))
    ]
    return max(0.0, float(means[0] - means[1]))


# Fitted on all recordings, scored by cross-validation


@pytest.mark.parametrize("kind", ["mahalanobis", "spectrum", "fused"])
@pytest.mark.parametrize("shrinkage", [0.1, "ledoit-wolf"])
@pytest.mark.parametrize("count", [10, 13])
def test_a_recording_is_scored_by_references_fitted_on_other_blocks_as_by_scikit_learn(
    kind: str, shrinkage: float | str, count: int
) -> None:
    """The returned reference distributions are fitted on all recordings, so that distances are a little smaller."""
    config = settings_of(f"score.shrinkage={shrinkage}", kind=kind)
    observed = recordings(config, count)
    fitted = fit_references(observed, config)
    folds = blocks_of(observed)
    assert len(np.unique(folds)) == 5
    logs, usual = {}, {}
    for part in SCORE_KINDS[kind]:
        columns = RowLayout.of(config).columns(part)
        too_high = effect_of_size(observed, columns, shrinkage)
        logs[part.name] = [
            np.concatenate(rows) - too_high
            for rows in (left_out(observed, name, columns, folds, shrinkage) for name in ("decisions", "wholes"))
        ]
        usual[part.name] = np.array([[one.mean(), one.std()] for one in logs[part.name]])
        if part.needs_network:  # its weight is lower with less than ten minutes of sound
            usual[part.name][:, 1] /= min(1.0, 50.0 * count / NETWORK_S)
        reference = fitted.references[part.name]
        pieces = np.concatenate([o.pieces[:, columns] for o in observed])
        np.testing.assert_allclose(reference.centre, pieces.mean(axis=0), rtol=1e-9)
        other = np.random.default_rng(1).standard_normal((30, columns.stop - columns.start))
        expected = log_distances(pieces, other, shrinkage)
        np.testing.assert_allclose(np.log(reference.squared_distance(other)), expected, rtol=1e-6)
        np.testing.assert_allclose(reference.log_distance, usual[part.name], rtol=1e-6)
    weights = {name: 1 / found[:, 1] for name, found in usual.items()}
    total = sum(weights.values())
    decisions, wholes = (
        np.exp(sum((logs[name][i] - usual[name][i, 0]) * weights[name][i] / total[i] for name in usual)) for i in (0, 1)
    )
    np.testing.assert_allclose(np.concatenate(fitted.pool.scores), decisions, rtol=1e-6)
    np.testing.assert_allclose(fitted.pool.wholes, wholes, rtol=1e-6)  # a recording of five pieces counts as five


@pytest.mark.parametrize(("pieces", "light"), [(5, False), (6, True)])
def test_the_shrinkage_is_light_where_there_is_enough_sound_of_one_session(pieces: int, light: bool) -> None:
    """Enough are 1.5 independent observations for each dimension, counted in all recordings, not in a fold."""
    config = settings_of("features.n_mels=4")
    observed = recordings(config, pieces, pieces=1)
    reference = fit_references(observed, config).references["residual"]
    columns = np.concatenate([o.pieces[:, :BANDS] for o in observed])
    shrinkage = PARTS["residual"].light_shrinkage if light else best_shrinkage(columns, blocks_of(observed))
    assert (shrinkage == PARTS["residual"].light_shrinkage) == light
    other = np.random.default_rng(1).standard_normal((30, BANDS))
    np.testing.assert_allclose(
        np.log(reference.squared_distance(other)), log_distances(columns, other, shrinkage), rtol=1e-6
    )


def test_sound_of_several_sessions_is_shrunk_as_the_sessions_need() -> None:
    config = settings_of()
    observed = recordings(config, 60, pieces=1)
    by_day = [
        replace(o, frames=replace(o.frames, path=Path(f"2026-03-{1 + n // 12:02d}_{8 + n % 12:02d}00.wav")))
        for n, o in enumerate(observed)
    ]
    columns = np.concatenate([o.pieces[:, :BANDS] for o in observed])
    found = fit_references(by_day, config).references["residual"]
    shrinkage = best_shrinkage(columns, np.arange(60) // 12)
    other = np.random.default_rng(1).standard_normal((30, BANDS))
    np.testing.assert_allclose(
        np.log(found.squared_distance(other)), log_distances(columns, other, shrinkage), rtol=1e-6
    )


def test_a_session_is_scored_by_references_that_were_fitted_on_other_sessions_only() -> None:
    """A day on which the machine sounds different has high scores: limits from it hold on another such day."""
    config = settings_of()
    observed = recordings(config, 40, pieces=1)
    other_day = [replace(o, pieces=o.pieces + 4, decisions=o.decisions + 4, whole=o.whole + 4) for o in observed[30:]]
    days = [*observed[:30], *other_day]

    def pool_of_days(day_of: list[int]) -> np.ndarray:
        named = [
            replace(o, frames=replace(o.frames, path=Path(f"2026-03-{day_of[n]:02d}_{8 + n % 10:02d}{n:02d}.wav")))
            for n, o in enumerate(days)
        ]
        return np.array([scores.mean() for scores in fit_references(named, config).pool.scores])

    left_out_whole = pool_of_days([1 + n // 10 for n in range(40)])
    assert left_out_whole[30:].mean() > 5 * np.median(left_out_whole[:30])
    mixed = pool_of_days([1 + n % 4 for n in range(40)])
    assert mixed[30:].mean() < left_out_whole[30:].mean() / 2


@pytest.mark.parametrize(("minutes", "share"), [(2.5, 0.25), (5.0, 0.5), (10.0, 1.0), (30.0, 1.0)])
def test_with_less_than_ten_minutes_of_sound_the_network_has_proportionally_less_weight(
    minutes: float, share: float
) -> None:
    config = settings_of(kind="fused")
    observed = [replace(o, seconds=60 * minutes / 30) for o in recordings(config, 30, pieces=1)]
    less, full = (
        fit_references(some, config).references
        for some in (observed, [replace(o, seconds=NETWORK_S) for o in observed])
    )
    np.testing.assert_allclose(less["residual"].log_distance[:, 1], full["residual"].log_distance[:, 1] / share)
    np.testing.assert_allclose(less["spectrum"].log_distance, full["spectrum"].log_distance)


def test_a_few_long_recordings_are_scored_stretch_by_stretch_and_one_short_one_by_itself() -> None:
    """A recording is scored even if there is no other to fit a reference distribution on."""
    config = settings_of()
    long = recordings(config, 3, pieces=8)
    stretches = [
        replace(o, seconds=20.0, pieces=o.pieces[2 * i : 2 * i + 2], fine=o.fine[6 * i : 6 * i + 6],
                decisions=o.decisions[i : i + 1], whole=o.pieces[2 * i : 2 * i + 2].mean(axis=0))
        for o in long for i in range(4)
    ]  # fmt: skip
    (references, _, pool), (expected, _, parts) = (unpacked(fit_references(o, config)) for o in (long, stretches))
    assert np.array_equal(references["residual"].inverse_covariance, expected["residual"].inverse_covariance)
    assert np.concatenate(pool.scores) == pytest.approx(np.concatenate(parts.scores))
    assert pool.wholes == pytest.approx(parts.wholes)
    assert pool.seconds == parts.seconds
    [short] = recordings(config, 1, pieces=1)
    assert np.isfinite(fit_references([short], config).pool.wholes).all()


def test_means_of_ten_seconds_are_fitted_and_finer_ones_only_if_there_are_too_few() -> None:
    config = settings_of()
    for count, columns in ((4, "fine"), (5, "pieces")):
        observed = recordings(config, count, pieces=1)
        chosen = np.concatenate([getattr(o, columns)[:, :BANDS] for o in observed])
        references = fit_references(observed, config).references
        np.testing.assert_allclose(references["residual"].centre, chosen.mean(axis=0))


def test_recordings_that_the_network_was_trained_on_score_as_if_it_were_not() -> None:
    """The network reconstructs them too well: their residuals are smaller by a factor, which is corrected."""
    config = settings_of()
    observed = recordings(config, 60, seed=1, trained=True, scale=0.5) + recordings(config, 60, seed=2)
    pool = fit_references(observed, config).pool
    for scores in (np.array([np.log(s).mean() for s in pool.scores]), np.log(pool.wholes)):
        half = len(scores) // 2
        assert scores[:half].mean() == pytest.approx(scores[half:].mean())
    uneven = fit_references([replace(o, trained=False) for o in observed], config).pool
    assert np.log(uneven.wholes[300:]).mean() > np.log(uneven.wholes[:300]).mean() + 0.7


def test_scores_of_trained_recordings_are_never_lowered_and_those_of_the_spectrum_not_changed() -> None:
    louder = settings_of()
    observed = recordings(louder, 40, seed=1, trained=True, scale=2.0) + recordings(louder, 40, seed=2)
    pool = fit_references(observed, louder).pool
    assert np.log(pool.wholes[:200]).mean() > np.log(pool.wholes[200:]).mean() + 0.7
    spectrum = settings_of(kind="spectrum")
    observed = recordings(spectrum, 40, seed=1, trained=True, scale=0.5) + recordings(spectrum, 40, seed=2)
    pool = fit_references(observed, spectrum).pool
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
        references, _, pool = unpacked(fit_references(observed, config))
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
        np.testing.assert_allclose(errors, o.decisions[:, BANDS])
        np.testing.assert_allclose(whole, scorer(o.pieces, whole_recordings=True))
    [short] = recordings(bundle.config, 1, pieces=1)
    np.testing.assert_allclose(scores_by(bundle, [short]).wholes, scorer(short.whole[None], whole_recordings=True))


def test_two_pieces_are_enough_and_less_is_refused() -> None:
    config = settings_of()
    [lone] = recordings(config, 1, pieces=1)
    with pytest.raises(DataError, match="Too little normal sound"):
        fit_references([replace(lone, fine=lone.fine[:1])], config)
    references, _, pool = unpacked(fit_references(recordings(config, 1), config))
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
        references = fit_references(observed, config).references
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
    references, _, pool = unpacked(fit_references(observed, config))
    fresh = scores_by(replace(small_bundle(config), references=references), recordings(config, 150, seed=4))
    found = stats.ks_2samp(np.concatenate(pool.scores), np.concatenate(fresh.scores))
    assert found.pvalue > 1e-3


# Operating modes


def with_mode(o: Observation, mode: int, layout: RowLayout) -> Observation:
    """A recording whose rows say that all of it is in one mode."""

    def marked(rows: np.ndarray) -> np.ndarray:
        shares = np.zeros((*rows.shape[:-1], layout.modes))
        shares[..., mode] = 1
        return np.concatenate((rows[..., : layout.band_columns] + 9 * mode, shares), axis=-1)

    fields = {name: marked(getattr(o, name)) for name in ("pieces", "fine", "decisions", "whole")}
    return replace(o, cuts=np.empty((0, layout.mean_width)), **fields)


def test_sound_of_each_mode_has_the_reference_of_a_model_of_that_mode_alone() -> None:
    config = settings_of("score.shrinkage=0.1")
    layout = RowLayout.of(config, modes=2)
    observed = recordings(config, 40, pieces=2)
    both = fit_references([with_mode(o, n % 2, layout) for n, o in enumerate(observed)], config, layout)
    reference = both.references["residual"]
    other = np.random.default_rng(1).standard_normal((30, BANDS))
    for mode in (0, 1):
        alone = fit_references(observed[mode::2], config).references["residual"]
        shares = np.zeros((30, 2))
        shares[:, mode] = 1
        found = np.log(reference.squared_distance(other + 9 * mode, shares))
        expected = np.log(alone.squared_distance(other))
        assert np.ptp(found - expected) < 1e-9, "the same, but for a factor that makes modes comparable"
    # A change from one mode to the other is at the centre of both.
    mixed = (reference.centre[0] + 3 * reference.centre[1]) / 4
    assert reference.squared_distance(mixed, np.array([0.25, 0.75])) == pytest.approx(0, abs=1e-9)


def test_normal_sound_of_each_mode_is_as_usual_as_that_of_the_others() -> None:
    """Also if one mode is much more regular."""
    config = settings_of()
    layout = RowLayout.of(config, modes=2)
    observed = recordings(config, 40, pieces=2)
    uneven = [
        replace(o, pieces=0.1 * o.pieces, fine=0.1 * o.fine, decisions=0.1 * o.decisions, whole=0.1 * o.whole)
        if n % 2
        else o
        for n, o in enumerate(observed)
    ]
    pool = fit_references([with_mode(o, n % 2, layout) for n, o in enumerate(uneven)], config, layout).pool
    means = [np.log(np.concatenate(pool.scores[mode::2])).mean() for mode in (0, 1)]
    assert means[0] == pytest.approx(means[1], abs=1e-6)


def test_rare_sound_that_is_fitted_as_well_becomes_usual_and_does_not_change_what_the_limits_are_found_from() -> None:
    config = settings_of()
    known = recordings(config, 40, seed=1)
    [rare] = recordings(config, 1, seed=2)
    shift = np.zeros(rare.pieces.shape[1])
    shift[:2] = 8.0
    rare = replace(rare, pieces=rare.pieces + shift, fine=rare.fine + shift, decisions=rare.decisions + shift)

    def distance(fitted: FittedReferences) -> float:
        bundle = replace(small_bundle(config), references=fitted.references)
        return float(np.median(scores_by(bundle, [rare]).scores[0]))

    without, also, weighing = (fit_references(known, config, also=count * [rare]) for count in (0, 1, 8))
    assert distance(weighing) < distance(also) < 0.5 * distance(without)
    together = fit_references([*known, rare], config)
    assert len(also.pool.scores) == len(known)  # it is not scored, so it raises no limit
    assert max(map(np.max, also.pool.scores)) < 0.5 * max(map(np.max, together.pool.scores))
