"""What is normal is fitted on all normal sound, and what normal sound scores is found on sound it was not fitted on."""

from __future__ import annotations

from dataclasses import replace
from itertools import pairwise
from pathlib import Path

import numpy as np
import pytest
import torch
from builders import small_bundle, small_config
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.lib.stride_tricks import sliding_window_view
from scipy import stats
from sklearn.covariance import EmpiricalCovariance, LedoitWolf, ShrunkCovariance

from monitor.detection.alarm import Alarm, Limits
from monitor.config.schema import Config
from monitor.core.errors import DataError
from monitor.scoring.scorer import PARTS, part_of
from monitor.streaming.stream import RowStream
from train.data.feature_cache import Frames
from train.calibration.reference import ENOUGH, FOLDS, LIGHT, Observed, fit_normal, gaussian, judge, observe, pool_of

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
) -> Observed:
    """An invented one, whose statistics are Gaussian numbers; `fine` and `decisions` are independent of `pieces`."""
    width = (4 if "spectrum" in PARTS[config.score.kind] else 2) * BANDS
    mixing = np.linalg.cholesky(0.6 + 0.4 * np.eye(width))

    def draw(count: int) -> np.ndarray:
        return scale * (generator.standard_normal((count, width)) @ mixing.T) + 1

    frames = Frames(Path("x.wav"), np.zeros((0, BANDS), np.float32), "")
    return Observed(
        frames, 10.0 * pieces, trained, draw(pieces), draw(3 * pieces), draw(DECISIONS), draw(1)[0], np.full(20, -30.0)
    )


def recordings(config: Config, count: int, *, seed: int = 0, **how: float) -> list[Observed]:
    generator = np.random.default_rng(seed)
    return [recording(generator, config, **how) for _ in range(count)]  # type: ignore[arg-type]


# A Gaussian


@pytest.mark.parametrize("shrinkage", [0.0, 0.01, 0.3, 1.0, "ledoit-wolf", None])
@pytest.mark.parametrize("scale", [1.0, 1e-4])
def test_the_distance_from_normal_is_that_of_scikit_learn(shrinkage: float | str | None, scale: float) -> None:
    generator = np.random.default_rng(4)
    normal = scale * (generator.standard_normal((400, 16)) @ generator.standard_normal((16, 16)) + 3)
    other = scale * (5 * generator.standard_normal((50, 16)) + 3)
    if not isinstance(shrinkage, float):
        estimator = LedoitWolf()
    else:
        estimator = ShrunkCovariance(shrinkage=shrinkage) if shrinkage else EmpiricalCovariance()
    expected = estimator.fit(normal).mahalanobis(other)
    centre, precision = gaussian(normal, shrinkage)
    found = np.einsum("ni,ij,nj->n", other - centre, precision, other - centre)
    np.testing.assert_allclose(found, expected, rtol=1e-6)


def test_fewer_observations_than_numbers_still_give_a_distance() -> None:
    normal = np.random.default_rng(5).standard_normal((6, 64))
    for shrinkage, estimator in ((0.01, ShrunkCovariance(shrinkage=0.01)), ("ledoit-wolf", LedoitWolf())):
        centre, precision = gaussian(normal, shrinkage)
        offset = normal + 1 - centre
        expected = estimator.fit(normal).mahalanobis(normal + 1)
        np.testing.assert_allclose(np.einsum("ni,ij,nj->n", offset, precision, offset), expected, rtol=1e-6)


@pytest.mark.parametrize("shrinkage", [0.0, 0.01, "ledoit-wolf"])
@pytest.mark.filterwarnings("ignore:invalid value encountered:RuntimeWarning")
def test_observations_that_are_all_the_same_still_give_a_finite_distance(shrinkage: float | str) -> None:
    centre, precision = gaussian(np.zeros((9, 4)), shrinkage)
    assert np.isfinite(precision).all()
    assert (1 - centre) @ precision @ (1 - centre) > 1e6


# Fitted on all, tested apart


@pytest.mark.parametrize("kind", ["mahalanobis", "spectrum", "fused"])
@pytest.mark.parametrize("shrinkage", ["auto", "0.1", "ledoit-wolf"])
@pytest.mark.parametrize("count", [10, 13])
def test_a_recording_is_judged_by_the_others_as_scikit_learn_would(kind: str, shrinkage: str, count: int) -> None:
    """Of ten folds; in the end by all."""
    config = settings_of(f"score.shrinkage={shrinkage}", kind=kind)
    observed = recordings(config, count)
    normals, pool = fit_normal(observed, config)
    folds = np.arange(count) % min(FOLDS, count)
    logs, usual = {}, {}
    for part in PARTS[kind]:

        def columns(rows: np.ndarray, part: str = part) -> np.ndarray:
            return part_of(torch.from_numpy(rows), part, BANDS).numpy()

        pieces = [columns(o.pieces) for o in observed]
        assert sum(map(len, pieces)) >= 2 * 2 * BANDS > ENOUGH * pieces[0].shape[1], "there is enough of it"
        shrink = {"auto": LIGHT[part], "0.1": 0.1}.get(shrinkage)
        estimator = LedoitWolf() if shrink is None else ShrunkCovariance(shrinkage=shrink)
        logs[part] = [
            np.log(
                estimator.fit(np.concatenate([p for p, f in zip(pieces, folds, strict=True) if f != fold])).mahalanobis(
                    columns(np.vstack((o.decisions, o.wholes)))
                )
            )
            for o, fold in zip(observed, folds, strict=True)
        ]
        estimator.fit(np.concatenate(pieces))
        np.testing.assert_allclose(normals[part].centre, estimator.location_, rtol=1e-9)
        np.testing.assert_allclose(normals[part].precision, estimator.get_precision(), rtol=1e-6)
        by_decision = np.concatenate([found[:DECISIONS] for found in logs[part]])
        by_whole = np.concatenate([found[DECISIONS:] for found in logs[part]])
        usual[part] = np.array([[by_decision.mean(), by_decision.std()], [by_whole.mean(), by_whole.std()]])
        np.testing.assert_allclose(normals[part].usual, usual[part], rtol=1e-6)
    inverse = {part: 1 / usual[part][:, 1] for part in usual}
    for number in range(count):
        score = sum(
            (logs[part][number][:DECISIONS] - usual[part][0, 0]) * inverse[part][0] / sum(inverse.values())[0]
            for part in usual
        )
        np.testing.assert_allclose(pool.scores[number], np.exp(score), rtol=1e-6)
        whole = sum(
            (logs[part][number][DECISIONS:] - usual[part][1, 0]) * inverse[part][1] / sum(inverse.values())[1]
            for part in usual
        )
        # A recording that is as long as five pieces is five to be compared with.
        np.testing.assert_allclose(pool.wholes[5 * number : 5 * number + 5], np.exp(whole), rtol=1e-6)


@pytest.mark.parametrize(("pieces", "light"), [(5, False), (6, True)])
def test_the_shrinkage_is_light_where_all_sound_together_is_enough(pieces: int, light: bool) -> None:
    """A number and a half of independent observations each; decided by all the sound and not by a fold, which has
    less. Two numbers each are not there, so the finer means are fitted."""
    config = settings_of("features.n_mels=4")
    observed = recordings(config, pieces, pieces=1)
    normals, pool = fit_normal(observed, config)

    def fitted(which: list[Observed]) -> ShrunkCovariance | LedoitWolf:
        estimator = ShrunkCovariance(shrinkage=LIGHT["residual"]) if light else LedoitWolf()
        return estimator.fit(np.concatenate([o.fine[:, :BANDS] for o in which]))

    np.testing.assert_allclose(normals["residual"].precision, fitted(observed).get_precision(), rtol=1e-6)
    distance = fitted(observed[1:]).mahalanobis(observed[0].decisions[:, :BANDS])
    usual = np.exp(float(normals["residual"].usual[0, 0]))
    np.testing.assert_allclose(pool.scores[0], distance / usual, rtol=1e-6)


def test_a_few_long_recordings_are_judged_stretch_by_stretch_and_one_short_one_by_itself() -> None:
    """A recording that only another moment of its own machine could judge is not lost."""
    config = settings_of()
    long = recordings(config, 3, pieces=8)
    stretches = [
        replace(o, seconds=20.0, pieces=o.pieces[2 * i : 2 * i + 2], fine=o.fine[6 * i : 6 * i + 6],
                decisions=o.decisions[i : i + 1], whole=o.pieces[2 * i : 2 * i + 2].mean(axis=0))
        for o in long for i in range(4)
    ]  # fmt: skip
    (normals, pool), (expected, parts) = fit_normal(long, config), fit_normal(stretches, config)
    assert torch.equal(normals["residual"].precision, expected["residual"].precision)
    assert np.concatenate(pool.scores) == pytest.approx(np.concatenate(parts.scores))
    assert pool.wholes == pytest.approx(parts.wholes)
    assert pool.seconds == parts.seconds
    [short] = recordings(config, 1, pieces=1)
    assert np.isfinite(fit_normal([short], config)[1].wholes).all()


def test_where_there_is_much_sound_means_of_ten_seconds_are_fitted_and_not_finer_ones() -> None:
    config = settings_of()
    for count, columns in ((7, "fine"), (8, "pieces")):
        observed = recordings(config, count, pieces=1)
        chosen = [getattr(o, columns)[:, :BANDS] for o in observed]
        normals, pool = fit_normal(observed, config)
        np.testing.assert_allclose(normals["residual"].centre, np.concatenate(chosen).mean(axis=0))
        # A fold, which has less sound, is fitted like the whole.
        others = ShrunkCovariance(shrinkage=LIGHT["residual"]).fit(np.concatenate(chosen[1:]))
        expected = others.mahalanobis(observed[0].decisions[:, :BANDS])
        np.testing.assert_allclose(pool.scores[0] * np.exp(float(normals["residual"].usual[0, 0])), expected, rtol=1e-6)


def test_what_the_autoencoder_was_trained_on_is_scored_as_if_it_were_not() -> None:
    """It reconstructs it too well: smaller residuals, by a factor; evened out, normal sound is alike again."""
    config = settings_of()
    observed = recordings(config, 60, seed=1, trained=True, scale=0.5) + recordings(config, 60, seed=2)
    _, pool = fit_normal(observed, config)
    for scores in (np.array([np.log(s).mean() for s in pool.scores]), np.log(pool.wholes)):
        half = len(scores) // 2
        assert scores[:half].mean() == pytest.approx(scores[half:].mean())
    _, uneven = fit_normal([replace(o, trained=False) for o in observed], config)
    assert np.log(uneven.wholes[300:]).mean() > np.log(uneven.wholes[:300]).mean() + 0.7


def test_what_was_trained_on_is_never_moved_down_and_its_spectrum_not_at_all() -> None:
    louder = settings_of()
    observed = recordings(louder, 40, seed=1, trained=True, scale=2.0) + recordings(louder, 40, seed=2)
    _, pool = fit_normal(observed, louder)
    assert np.log(pool.wholes[:200]).mean() > np.log(pool.wholes[200:]).mean() + 0.7
    spectrum = settings_of(kind="spectrum")
    observed = recordings(spectrum, 40, seed=1, trained=True, scale=0.5) + recordings(spectrum, 40, seed=2)
    _, pool = fit_normal(observed, spectrum)
    assert np.log(pool.wholes[200:]).mean() > np.log(pool.wholes[:200]).mean() + 0.7


@pytest.mark.parametrize("kind", ["mahalanobis", "fused"])
@pytest.mark.parametrize("count", [12, 40])
def test_fresh_normal_recordings_exceed_the_quantile_of_the_pool_as_often_as_it_says(kind: str, count: int) -> None:
    """Over many small data sets: scores of recordings that judged themselves would be too low."""
    config = settings_of(kind=kind)
    above, total = 0, 0
    bundle = small_bundle(config)
    for seed in range(60):
        observed = recordings(config, count, seed=seed, pieces=3)
        normals, pool = fit_normal(observed, config)
        fresh = judge(replace(bundle, normals=normals), recordings(config, 20, seed=1000 + seed, pieces=1))
        above += int((fresh.wholes > np.quantile(pool.wholes, 0.9)).sum())
        total += 20
    # The quantile of so few recordings is itself a guess: it is exceeded a little more often.
    expected = 0.1 + 0.9 / count
    assert 0.07 < above / total < expected + 0.04


def test_recordings_that_a_finished_bundle_does_not_know_have_its_scores() -> None:
    bundle = small_bundle(settings_of(kind="fused"))
    observed = recordings(bundle.config, 3, pieces=2)
    pool, scorer = judge(bundle, observed), bundle.scorer()
    wholes = pool.wholes.reshape(3, 2)
    for o, scores, errors, whole in zip(observed, pool.scores, pool.errors, wholes, strict=True):
        np.testing.assert_allclose(scores, scorer(torch.from_numpy(o.decisions)))
        np.testing.assert_allclose(errors, o.decisions[:, BANDS : 2 * BANDS].mean(axis=1))
        np.testing.assert_allclose(whole, scorer(torch.from_numpy(o.pieces), whole=True))
    [short] = recordings(bundle.config, 1, pieces=1)
    np.testing.assert_allclose(judge(bundle, [short]).wholes, scorer(torch.from_numpy(short.whole[None]), whole=True))


def test_two_pieces_are_the_least_and_less_is_refused() -> None:
    config = settings_of()
    [lone] = recordings(config, 1, pieces=1)
    with pytest.raises(DataError, match="Too little normal sound"):
        fit_normal([replace(lone, fine=lone.fine[:1])], config)
    normals, pool = fit_normal(recordings(config, 1), config)
    assert normals["residual"].usual.isfinite().all()
    assert np.isfinite(pool.wholes).all()


def test_recordings_shorter_than_a_window_or_than_what_is_cut_leave_what_is_usual_finite() -> None:
    config = settings_of()
    for missing in ("decisions", "whole"):
        observed = recordings(config, 16, pieces=1)
        if missing == "decisions":
            observed = [replace(o, decisions=o.decisions[:0]) for o in observed]
        else:
            observed = [replace(o, whole=np.full_like(o.whole, np.nan)) for o in observed]
        normals, _ = fit_normal(observed, config)
        assert normals["residual"].usual.isfinite().all()
        assert torch.equal(normals["residual"].usual[0], normals["residual"].usual[1])


def test_the_quietest_normal_sound_is_exceeded_by_all_but_one_in_a_hundred_moments() -> None:
    config = settings_of()
    observed = recordings(config, 10)
    for number, o in enumerate(observed):
        o.levels[:] = -30 + number
    observed[0].levels[0] = -90
    pool = pool_of([o.decisions[:, 0] for o in observed], np.zeros(10), observed, config)
    assert pool.dbfs == pytest.approx(-30, abs=0.5)
    assert pool.seconds == 500


# What is observed of a recording


@given(
    count=st.integers(20, 2300),
    window=st.sampled_from([0.1, 0.3, 2.0]),
    block=st.sampled_from([0.0, 0.07, 0.5]),
    cut=st.sampled_from([0, 7, 50]),
    kind=st.sampled_from(["fused", "error"]),
    chunk=st.sampled_from([13, 100, 4096]),
)
@settings(max_examples=40, deadline=None)
def test_statistics_are_those_of_all_rows_at_once_and_decisions_those_of_the_alarm(
    count, window, block, cut, kind, chunk
) -> None:
    """However long the recording is, and in whatever chunks it is read."""
    config = settings_of(
        f"score.window_s={window}", f"alarm.block_s={block}", f"score.cut_frames={cut}", kind=kind
    )  # fmt: skip
    bundle = small_bundle(config)
    power = np.random.default_rng(count).random((count, BANDS)).astype(np.float32) + 0.01
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("train.calibration.reference.CHUNK", chunk)
        [found] = observe(bundle, [Frames(Path("x"), power, "")], torch.device("cpu"), trained=True)
    stream = RowStream(bundle)
    rows = torch.cat((stream.push(torch.from_numpy(power)[None]), stream.flush()), 1)[0].double().numpy()
    assert len(rows) == count
    close = {"rtol": 1e-4, "atol": 1e-5}

    edges = np.linspace(0, count, max(1, count // 1000) + 1).astype(int)
    expected = [rows[a:b].mean(axis=0) for a, b in pairwise(edges)]
    np.testing.assert_allclose(found.pieces, expected, **close)
    length = max(1, round(window / 0.01))
    fine = [rows[a : a + length].mean(axis=0) for a in range(0, max(1, count - length + 1), length)]
    np.testing.assert_allclose(found.fine, fine, **close)
    kept = rows[cut : max(cut, count - cut)]
    np.testing.assert_allclose(found.whole, kept.mean(axis=0) if len(kept) else np.full(rows.shape[1], np.nan), **close)
    assert (found.seconds, found.trained) == (pytest.approx(count / 100), True)

    at_every_decision = {"warm_up_s": 0.0, "k": 1, "n": 1, "remind_s": 1e-9}
    alarm = Alarm(config.alarm.model_copy(update=at_every_decision), Limits(0.0, np.inf, np.empty(0)), 0.01, length)
    scores = np.ones(count)
    scores[: length - 1] = np.nan
    decided = [row for row in range(count) if alarm.update(scores[row : row + 1])]
    rolled = sliding_window_view(rows, length, axis=0).mean(axis=-1) if count >= length else rows[:0]
    np.testing.assert_allclose(found.decisions, rolled[np.array(decided, int) - (length - 1)], **close)
    assert len(found.levels) == max(1, count // 50)


def test_levels_are_those_of_each_half_second() -> None:
    config = settings_of()
    power = np.repeat(np.float32([1.0, 0.01, 1e-4]), 50)[:, None] * np.ones((1, BANDS), np.float32)
    [found] = observe(
        small_bundle(config), [Frames(Path("x"), np.vstack((power, power[:20] * 1e6)), "")], torch.device("cpu"),
        trained=False,
    )  # fmt: skip
    np.testing.assert_allclose(found.levels - found.levels[0], [0, -20, -40], atol=1e-3)


def test_a_recordings_statistics_have_nothing_of_the_one_before() -> None:
    bundle = small_bundle(settings_of(kind="fused"))
    frames = [
        Frames(Path("x"), np.random.default_rng(seed).random((123, BANDS)).astype(np.float32), "") for seed in range(2)
    ]
    both = observe(bundle, frames, torch.device("cpu"), trained=False)
    alone = observe(bundle, frames[1:], torch.device("cpu"), trained=False)
    for name in ("pieces", "fine", "decisions", "whole", "levels"):
        np.testing.assert_array_equal(getattr(both[1], name), getattr(alone[0], name))


def test_normal_scores_of_gaussian_sound_are_distributed_as_fresh_ones_are() -> None:
    config = settings_of(kind="fused")
    observed = recordings(config, 150, seed=3)
    normals, pool = fit_normal(observed, config)
    fresh = judge(replace(small_bundle(config), normals=normals), recordings(config, 150, seed=4))
    found = stats.ks_2samp(np.concatenate(pool.scores), np.concatenate(fresh.scores))
    assert found.pvalue > 1e-3
