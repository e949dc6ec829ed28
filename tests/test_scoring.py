"""Each score is what its definition says, however the sound arrives."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from builders import CUTS, frames_of, noise, pieces, reference_windows, small_bundle, small_config
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.lib.stride_tricks import sliding_window_view
from sklearn.covariance import EmpiricalCovariance, LedoitWolf, ShrunkCovariance
from torch import Tensor

from monitor.bundle import Bundle
from monitor.config import Config, Features, Score
from monitor.scoring import NormalResidual, RecordingScore, RollingMean, Scorer, band_errors, rolling_length
from monitor.stream import ErrorStream, Scores, ScoreStream
from train.calibrate import fit_normal_residual


def rolled(rows: np.ndarray, length: int, cuts: list[int]) -> np.ndarray:
    """Rolling means of (N, k, width) rows that arrive in pieces."""
    rolling = RollingMean(length, rows.shape[2], len(rows))
    return np.concatenate([rolling.push(torch.from_numpy(rows[:, p])).numpy() for p in pieces(rows.shape[1], cuts)], 1)


# Error and residual of a window


def test_residual_and_error_of_each_band_are_means_over_the_windows_frames() -> None:
    generator = np.random.default_rng(0)
    windows, reconstructions = generator.standard_normal((2, 7, 20 * 64)).astype(np.float32)
    residual, error = band_errors(torch.from_numpy(windows), torch.from_numpy(reconstructions), 64)
    difference = (reconstructions.astype(np.float64) - windows).reshape(7, 20, 64)
    np.testing.assert_allclose(residual, difference.mean(axis=1), atol=1e-6)
    np.testing.assert_allclose(error, (difference**2).mean(axis=1), rtol=1e-5)
    whole = ((reconstructions.astype(np.float64) - windows) ** 2).mean(axis=1)
    np.testing.assert_allclose(error.mean(dim=1), whole, rtol=1e-5)


# Rolling mean


@settings(max_examples=60, deadline=None)
@given(
    total=st.integers(1, 120),
    length=st.integers(1, 40),
    cuts=st.lists(st.integers(1, 50), min_size=1, max_size=5),
    seed=st.integers(0, 999),
)
def test_the_rolling_mean_is_numpys_and_does_not_depend_on_how_rows_arrive(total, length, cuts, seed) -> None:
    rows = np.random.default_rng(seed).standard_normal((2, total, 3)).astype(np.float32)
    expected = np.full(rows.shape, np.nan)
    if total >= length:
        expected[:, length - 1 :] = sliding_window_view(rows.astype(np.float64), length, axis=1).mean(axis=-1)
    whole = rolled(rows, length, [total])
    np.testing.assert_allclose(whole, expected, rtol=1e-12, atol=1e-13)
    assert np.array_equal(np.isnan(whole), np.isnan(expected))
    for other in (cuts, [1]):
        assert np.array_equal(rolled(rows, length, other), whole, equal_nan=True)
    for number in range(2):
        assert np.array_equal(rolled(rows[number : number + 1], length, cuts)[0], whole[number], equal_nan=True)


@pytest.mark.parametrize("huge", [1e30, np.inf])
@pytest.mark.parametrize("at", [0, 4, 9, 10, 17])
def test_a_huge_value_that_left_the_window_leaves_nothing_behind(huge: float, at: int) -> None:
    rows = np.random.default_rng(1).standard_normal((1, 60, 2)).astype(np.float32)
    calm = rolled(rows, 10, [60])
    rows[0, at, 0] = huge
    loud = rolled(rows, 10, [7])
    touched = slice(at, at + 10)
    assert (loud[0, touched, 0][~np.isnan(loud[0, touched, 0])] > 1e28).all()
    untouched = np.ones(60, bool)
    untouched[touched] = False
    assert np.array_equal(loud[0, untouched], calm[0, untouched], equal_nan=True)
    assert np.array_equal(loud[..., 1], calm[..., 1], equal_nan=True)


def test_the_rolling_mean_does_not_drift_in_a_long_stream() -> None:
    rows = np.random.default_rng(2).random((1, 100_000, 1)).astype(np.float32)
    last = rolled(rows, 200, [997])[0, -1, 0]
    assert last == pytest.approx(rows[0, -200:, 0].astype(np.float64).mean(), rel=1e-14)


def test_a_reset_forgets_all_rows() -> None:
    rows = np.random.default_rng(3).standard_normal((1, 50, 2)).astype(np.float32)
    rolling = RollingMean(8, 2)
    rolling.push(torch.full((1, 29, 2), 1e9))
    rolling.reset()
    assert np.array_equal(rolling.push(torch.from_numpy(rows)).numpy(), rolled(rows, 8, [50]), equal_nan=True)


def test_the_anomaly_score_is_a_mean_over_window_s_and_of_one_window_at_least() -> None:
    assert rolling_length(Score(window_s=2.0), Features()) == 200
    assert rolling_length(Score(window_s=2.0), Features(hop_length=512)) == 62
    assert rolling_length(Score(kind="error", window_s=0.0), Features()) == 1


# Distance from normal


@pytest.mark.parametrize("shrinkage", [0.0, 0.01, 0.3, 1.0, "ledoit-wolf"])
@pytest.mark.parametrize("scale", [1.0, 1e-4])
def test_the_mahalanobis_distance_is_that_of_scikit_learn(shrinkage: float | str, scale: float) -> None:
    generator = np.random.default_rng(4)
    normal = scale * (generator.standard_normal((400, 16)) @ generator.standard_normal((16, 16)) + 3)
    other = scale * (5 * generator.standard_normal((50, 16)) + 3)
    if shrinkage == "ledoit-wolf":
        estimator = LedoitWolf()
    else:
        estimator = ShrunkCovariance(shrinkage=shrinkage) if shrinkage else EmpiricalCovariance()
    expected = estimator.fit(normal).mahalanobis(other)
    ours = fit_normal_residual(normal, Score(shrinkage=shrinkage))
    found = ours.distance(torch.from_numpy(other))
    assert found.dtype == torch.float64
    np.testing.assert_allclose(found, expected, rtol=1e-6)
    assert found.shape == (50,)
    torch.testing.assert_close(ours.distance(torch.from_numpy(other.reshape(2, 25, 16))).flatten(), found)
    assert ours.distance(ours.centre) == 0


def test_fewer_residuals_than_bands_still_give_a_distance() -> None:
    normal = np.random.default_rng(5).standard_normal((6, 64))
    for shrinkage in (0.01, "ledoit-wolf"):
        estimator = ShrunkCovariance(shrinkage=0.01) if shrinkage == 0.01 else LedoitWolf()
        expected = estimator.fit(normal).mahalanobis(normal + 1)
        found = fit_normal_residual(normal, Score(shrinkage=shrinkage)).distance(torch.from_numpy(normal + 1))
        np.testing.assert_allclose(found, expected, rtol=1e-6)


@pytest.mark.parametrize(("count", "estimator"), [(128, ShrunkCovariance(shrinkage=0.01)), (127, LedoitWolf())])
def test_by_default_the_shrinkage_is_light_where_there_is_enough_to_go_by(count: int, estimator) -> None:
    """Two observations a band are enough."""
    normal = np.random.default_rng(6).standard_normal((count, 64))
    found = fit_normal_residual(normal, Score()).distance(torch.from_numpy(normal))
    np.testing.assert_allclose(found, estimator.fit(normal).mahalanobis(normal), rtol=1e-6)


@pytest.mark.parametrize("shrinkage", [0.0, 0.01, "ledoit-wolf"])
@pytest.mark.filterwarnings("ignore:invalid value encountered:RuntimeWarning")
def test_residuals_that_are_all_the_same_still_give_a_finite_distance(shrinkage: float | str) -> None:
    found = fit_normal_residual(np.zeros((9, 4)), Score(shrinkage=shrinkage))
    assert torch.isfinite(found.precision).all()
    assert found.distance(torch.ones(4)) > 1e6


def test_the_score_is_the_mean_error_or_the_distance_as_the_settings_say() -> None:
    residual, error = torch.rand(5, 3, 4), torch.rand(5, 3, 4)
    normal = NormalResidual(torch.rand(4).double(), torch.eye(4).double() * torch.tensor([1.0, 2, 3, 4]).double())
    by_error = Scorer(Score(kind="error"), None)(residual, error)
    torch.testing.assert_close(by_error, error.double().mean(dim=-1))
    by_distance = Scorer(Score(kind="mahalanobis"), normal)(residual, error)
    offset = residual.double() - normal.centre
    torch.testing.assert_close(by_distance, (offset**2 * torch.tensor([1.0, 2, 3, 4])).sum(dim=-1))
    with pytest.raises(ValueError, match="mahalanobis"):
        Scorer(Score(kind="mahalanobis"), None)(residual, error)


# The score of a recording


def recording_value(config: Config, rows: dict[str, Tensor], normal: NormalResidual | None, cuts: list[int]) -> float:
    whole = RecordingScore(config.score, Scorer(config.score, normal), config.features.n_mels)
    for part in pieces(len(rows["score"]), cuts):
        whole.push(rows["residual"][part], rows["error"][part], rows["score"][part])
    return whole.value()


def random_rows(total: int, n_mels: int, *, warm_up: int = 0, seed: int = 0) -> dict[str, Tensor]:
    generator = torch.Generator().manual_seed(seed)
    rows = {name: torch.rand(total, n_mels, generator=generator) for name in ("residual", "error")}
    rows["score"] = torch.rand(total, generator=generator).double()
    rows["score"][:warm_up] = torch.nan
    return rows


@settings(max_examples=50, deadline=None)
@given(
    total=st.integers(0, 260),
    cut=st.sampled_from([0, 1, 50]),
    kind=st.sampled_from(["mahalanobis", "error"]),
    cuts=st.lists(st.integers(1, 90), min_size=1, max_size=5),
    warm_up=st.sampled_from([0, 30, 120]),
)
def test_a_recordings_score_is_the_mean_or_the_maximum_of_what_the_cut_leaves(total, cut, kind, cuts, warm_up) -> None:
    """`cut_frames` at each end do not count; rows may come in any portions."""
    normal = NormalResidual(torch.rand(4).double(), 2 * torch.eye(4).double())
    rows = random_rows(total, 4, warm_up=warm_up, seed=total)
    left = slice(cut, max(cut, total - cut))
    config = {
        way: small_config(
            "features.n_mels=4", f"score.kind={kind}", f"score.cut_frames={cut}", f"score.recording={way}"
        )
        for way in ("mean", "max")
    }
    mean = recording_value(config["mean"], rows, normal, cuts)
    if total > 2 * cut:
        offset = rows["residual"][left].double().mean(dim=0) - normal.centre
        distance = 2 * offset.square().sum()
        expected = distance if kind == "mahalanobis" else rows["error"][left].double().mean()
        assert mean == pytest.approx(float(expected), rel=1e-9)
    else:
        assert np.isnan(mean)
    highest = recording_value(config["max"], rows, normal, cuts)
    scores = rows["score"][left].numpy()
    scores = scores[~np.isnan(scores)]
    if len(scores):
        assert highest == scores.max()
    else:
        assert np.isnan(highest)


def test_fifty_frames_are_cut_at_each_end_exactly() -> None:
    """The article's cut: the 51st frame counts, the 50th does not; so at the end."""
    for counts, at in ((False, 49), (True, 50), (True, 149), (False, 150)):
        rows = random_rows(200, 64)
        rows["score"][at] = 99.0
        value = recording_value(small_config("score.cut_frames=50", "score.recording=max"), rows, None, [64])
        assert (value == 99.0) == counts


# The whole path


def whole_path(bundle: Bundle, samples: np.ndarray, cuts: list[int]) -> tuple[Tensor, Scores]:
    """All frames and scores of streams (N, n) that arrive in pieces."""
    stream = ScoreStream(bundle, len(samples))
    parts = [stream.push(torch.from_numpy(samples[:, part])) for part in pieces(samples.shape[1], cuts)]
    parts.append(stream.flush())
    names = ("residual", "band_error", "rolling_band_error", "score")
    joined = Scores(*(torch.cat([getattr(scores, name) for _, scores in parts], dim=1) for name in names))
    return torch.cat([frames for frames, _ in parts], dim=1), joined


def assert_same_scores(found: Scores, expected: Scores) -> None:
    for name in ("residual", "band_error", "rolling_band_error", "score"):
        a, b = getattr(found, name), getattr(expected, name)
        largest = float(b[~b.isnan()].abs().max()) if (~b.isnan()).any() else 1.0
        torch.testing.assert_close(a, b, rtol=1e-5, atol=1e-5 * largest, equal_nan=True)


@pytest.fixture(scope="module", params=["mahalanobis", "error"])
def bundle(request: pytest.FixtureRequest) -> Bundle:
    return small_bundle(small_config(f"score.kind={request.param}"))


@settings(max_examples=12, deadline=None)
@given(length=st.integers(1, 12_000), cuts=CUTS)
def test_samples_in_any_chunks_give_the_scores_of_one_push(bundle: Bundle, length: int, cuts: list[int]) -> None:
    samples = noise(length, seed=length)[None]
    frames, whole = whole_path(bundle, samples, [length])
    pieced_frames, pieced = whole_path(bundle, samples, cuts)
    count = 1 + length // 160
    assert frames.shape[1] == pieced_frames.shape[1] == count
    assert whole.score.shape[1] == (count if count >= 10 else 0)
    assert_same_scores(pieced, whole)


def test_one_sample_at_a_time_gives_the_scores_of_one_push(bundle: Bundle) -> None:
    samples = noise(6000)[None]
    assert_same_scores(whole_path(bundle, samples, [1])[1], whole_path(bundle, samples, [6000])[1])


def test_scores_are_those_computed_by_hand_from_the_models_reconstructions(bundle: Bundle) -> None:
    """Frames -> dB -> standardised -> the article's windows -> the model -> x̂ - x -> means -> score."""
    samples = noise(20_000, seed=8)[None]
    power = frames_of(bundle.config, samples)[0].double().numpy()
    scaled = (10 * np.log10(np.maximum(power, 1e-10)) - bundle.mean.numpy()) / bundle.deviation.numpy()
    windows = reference_windows(scaled)
    with torch.no_grad():
        reconstructions = bundle.model.double()(torch.from_numpy(windows)).numpy()
    bundle.model.float()
    difference = reconstructions - windows
    residual = difference.reshape(-1, 20, 64).mean(axis=1)
    square = (difference**2).reshape(-1, 20, 64).mean(axis=1)
    length = 30  # 0.3 s

    _, found = whole_path(bundle, samples, [3000])
    np.testing.assert_allclose(found.residual[0], residual, atol=1e-5)
    np.testing.assert_allclose(found.band_error[0], square, rtol=1e-4, atol=1e-5)
    np.testing.assert_allclose(found.error[0], (difference**2).mean(axis=1), rtol=1e-5)
    rolling_square = sliding_window_view(square, length, axis=0).mean(axis=-1)
    assert found.score[0, : length - 1].isnan().all()
    assert found.rolling_error[0, : length - 1].isnan().all()
    np.testing.assert_allclose(found.rolling_error[0, length - 1 :], rolling_square.mean(axis=1), rtol=1e-5)
    if bundle.normal_residual is None:
        expected = rolling_square.mean(axis=1)
    else:
        rolling_residual = sliding_window_view(residual, length, axis=0).mean(axis=-1)
        offset = rolling_residual - bundle.normal_residual.centre.numpy()
        expected = np.einsum("ti,ij,tj->t", offset, bundle.normal_residual.precision.numpy(), offset)
    assert found.score.dtype == torch.float64
    np.testing.assert_allclose(found.score[0, length - 1 :], expected, rtol=1e-4)


def test_a_model_that_was_left_in_training_is_scored_with_like_any_other(bundle: Bundle) -> None:
    """Else dropout would make noise of the scores, and what is heard would change the batch norms."""
    samples = noise(6000)[None]
    _, expected = whole_path(bundle, samples, [6000])
    bundle.model.train()
    _, found = whole_path(bundle, samples, [6000])
    assert torch.equal(found.residual, expected.residual)


def test_streams_scored_together_have_the_scores_of_each_alone(bundle: Bundle) -> None:
    samples = noise(9000, streams=3) * np.array([[1], [1e-2], [10]], np.float32)
    _, together = whole_path(bundle, samples, [1777])
    for number in range(3):
        _, alone = whole_path(bundle, samples[number : number + 1], [9000])
        rows = (together.residual, together.band_error, together.rolling_band_error, together.score)
        assert_same_scores(Scores(*(row[number : number + 1] for row in rows)), alone)


@pytest.mark.parametrize("end", ["reset", "flush"])
def test_after_a_reset_or_a_flush_sound_has_no_past(bundle: Bundle, end: str) -> None:
    samples = noise(8000, seed=1)[None]
    stream = ScoreStream(bundle)
    stream.push(torch.from_numpy(noise(7777, amplitude=20.0)[None]))
    getattr(stream, end)()
    parts = [stream.push(torch.from_numpy(samples))[1], stream.flush()[1]]
    _, expected = whole_path(bundle, samples, [8000])
    score = torch.cat([part.score for part in parts], dim=1)
    torch.testing.assert_close(score, expected.score, rtol=1e-5, atol=1e-5, equal_nan=True)


def test_mel_frames_from_the_cache_give_the_scores_of_their_sound(bundle: Bundle) -> None:
    """Training and calibration begin with frames, listening with samples: the scores are the same."""
    samples = noise(30_000, seed=2)[None]
    frames, expected = whole_path(bundle, samples, [1600])
    stream = ScoreStream(bundle)
    parts = [stream.push_frames(frames[:, :60]), stream.push_frames(frames[:, 60:]), stream.flush_frames()]
    score = torch.cat([part.score for part in parts], dim=1)
    torch.testing.assert_close(score, expected.score, rtol=1e-5, atol=1e-4, equal_nan=True)
    errors = ErrorStream(bundle)
    rows = torch.cat((errors.push(frames), errors.flush()), dim=1)
    torch.testing.assert_close(rows[..., :64], expected.residual, rtol=1e-5, atol=1e-5)


def test_a_stream_longer_than_a_batch_has_the_scores_of_its_parts(bundle: Bundle) -> None:
    """More windows at once than go through the model at once, with two streams."""
    frames = torch.rand(2, 1500, 64) + 0.1
    stream = ScoreStream(bundle, 2)
    at_once = torch.cat([stream.push_frames(frames).score, stream.flush_frames().score], dim=1)
    parts = [stream.push_frames(part).score for part in frames.split(100, dim=1)]
    torch.testing.assert_close(
        torch.cat([*parts, stream.flush_frames().score], dim=1), at_once, rtol=1e-5, atol=1e-4, equal_nan=True
    )
    assert at_once.shape == (2, 1500)
