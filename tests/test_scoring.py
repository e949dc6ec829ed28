"""Each score is what its definition says, however the sound arrives."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from builders import CUTS, frames_of, noise, pieces, reference_windows, small_bundle, small_config
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.lib.stride_tricks import sliding_window_view
from scipy.stats import gmean
from torch import Tensor

from monitor.bundle.bundle import Bundle
from monitor.config.schema import Features, Score
from monitor.scoring.scorer import (
    Normal,
    RecordingScore,
    RollingMean,
    Scorer,
    band_errors,
    frame_and_change,
    part_of,
    rolling_length,
    row_width,
    weights,
)
from monitor.streaming.stream import RowStream, Scores, ScoreStream

KINDS = ["fused", "mahalanobis", "spectrum", "error"]


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


# What is kept of a window


@pytest.mark.parametrize(("kind", "width"), [("fused", 32), ("mahalanobis", 16), ("spectrum", 32), ("error", 16)])
def test_a_row_is_residual_and_error_and_where_the_score_wants_them_frame_and_change(kind: str, width: int) -> None:
    config = small_config("features.n_mels=8", f"score.kind={kind}")
    assert row_width(config.score, config.features) == width
    rows = torch.arange(float(width))[None]
    assert part_of(rows, "residual", 8)[0].tolist() == list(range(8))
    if width == 32:
        assert part_of(rows, "spectrum", 8)[0].tolist() == list(range(16, 32))


@pytest.mark.parametrize(
    ("window", "hop", "lag"),
    [(20, 160, 3), (20, 512, 1), (4, 80, 2), (20, 1024, 1), (2, 160, 1)],
)
def test_frame_and_change_are_of_the_frame_that_a_window_is_named_by(window: int, hop: int, lag: int) -> None:
    """The window of frame t is frames t - W/2 to t + W/2 - 1; the change is over 32 ms, or what there is."""
    features = Features(window_frames=window, hop_length=hop, n_mels=4, n_fft=1024)
    frames = np.random.default_rng(window).standard_normal((50, 4)).astype(np.float32)
    windows = sliding_window_view(frames, window, axis=0).transpose(0, 2, 1).reshape(-1, window * 4)
    frame, change = frame_and_change(torch.from_numpy(windows.copy()), features)
    own = np.arange(len(windows)) + window // 2
    np.testing.assert_array_equal(frame, frames[own])
    np.testing.assert_allclose(change, np.abs(frames[own] - frames[own - lag]), atol=1e-7)


# The score


def random_scorer(kind: str, *, n_mels: int = 4, seed: int = 0) -> tuple[Scorer, dict[str, Normal]]:
    """A scorer with everything drawn at random."""
    config = small_config(f"features.n_mels={n_mels}", f"score.kind={kind}")
    bundle = small_bundle(config, seed=seed)
    return bundle.scorer(), bundle.normals


def numpy_distance(normal: Normal, mean: np.ndarray) -> np.ndarray:
    offset = mean - normal.centre.numpy()
    return np.einsum("...i,ij,...j->...", offset, normal.precision.numpy(), offset)


@pytest.mark.parametrize("whole", [False, True])
def test_the_score_is_the_distance_of_each_part_over_what_is_usual_and_their_weighted_geometric_mean(
    whole: bool,
) -> None:
    """Of windows and of whole recordings what is usual differs."""
    rows = torch.rand(5, 3, 16).double()
    numbers = rows.numpy()
    ratios, importance = [], []
    for part, columns in (("residual", slice(0, 4)), ("spectrum", slice(8, 16))):
        scorer, normals = random_scorer("fused")
        mean, deviation = normals[part].usual[int(whole)].numpy()
        ratios.append(numpy_distance(normals[part], numbers[..., columns]) / np.exp(mean))
        importance.append(1 / deviation)
    expected = gmean(ratios, axis=0, weights=np.broadcast_to(np.reshape(importance, (2, 1, 1)), (2, 5, 3)))
    np.testing.assert_allclose(scorer(rows, whole=whole), expected, rtol=1e-9)
    for kind, part, columns in (("mahalanobis", "residual", slice(0, 4)), ("spectrum", "spectrum", slice(8, 16))):
        scorer, normals = random_scorer(kind)
        usual = np.exp(normals[part].usual[int(whole), 0].numpy())
        np.testing.assert_allclose(
            scorer(rows, whole=whole), numpy_distance(normals[part], numbers[..., columns]) / usual, rtol=1e-9
        )
    scorer, _ = random_scorer("error")
    np.testing.assert_allclose(scorer(rows, whole=whole), numbers[..., 4:8].mean(axis=-1))


def test_one_is_usual_whatever_the_kind() -> None:
    """The geometric mean of the scores of the sound by which what is usual was found."""
    rows = torch.rand(400, 16).double()
    for kind in ("fused", "mahalanobis", "spectrum"):
        scorer, normals = random_scorer(kind)
        for part, normal in normals.items():
            logs = normal.distance(part_of(rows, part, 4)).log()
            normal.usual[0, 0], normal.usual[0, 1] = logs.mean(), logs.std()
        assert gmean(scorer(rows).numpy()) == pytest.approx(1)


def test_a_part_that_varies_less_on_normal_sound_weighs_more() -> None:
    usual = torch.tensor([[0.0, 0.1], [5.0, 0.3]]).double()
    np.testing.assert_allclose(weights(usual), [0.75, 0.25])
    assert weights(usual * 0).tolist() == [0.5, 0.5], "not even where it does not vary at all"


def test_normal_sound_itself_has_a_score_and_not_yet_any_sound_has_none() -> None:
    for kind in KINDS[:3]:
        scorer, normals = random_scorer(kind)
        centre = torch.zeros(16).double()
        for part, normal in normals.items():
            part_of(centre, part, 4)[:] = normal.centre
        assert 0 <= scorer(centre) < 1e-100
        assert scorer(torch.full((16,), torch.nan)).isnan()


def test_a_score_without_what_is_normal_is_refused() -> None:
    _, normals = random_scorer("mahalanobis")
    config = small_config("features.n_mels=4")
    with pytest.raises(ValueError, match="fused score needs to know what is normal of: spectrum"):
        Scorer(config.score, config.features, normals, torch.ones(4))


# Which bands carry it


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("whole", [False, True])
@pytest.mark.parametrize("seed", range(4))
def test_the_shares_of_the_bands_add_up_to_one(kind: str, whole: bool, seed: int) -> None:
    scorer, _ = random_scorer(kind, seed=seed)
    rows = torch.rand(7, 5, 16, generator=torch.Generator().manual_seed(seed)).double()
    share, more = scorer.shares(rows, whole=whole)
    assert share.shape == more.shape == (7, 5, 4)
    total = share.abs().sum(dim=-1) if kind == "error" else share.sum(dim=-1)
    torch.testing.assert_close(total, torch.ones(7, 5).double())


@pytest.mark.parametrize("kind", KINDS[:3])
def test_without_correlations_a_band_carries_what_its_own_offsets_add_to_the_distances(kind: str) -> None:
    scorer, normals = random_scorer(kind)
    rows = torch.rand(16).double()
    expected = np.zeros(4)
    parts_weights = weights(torch.stack([normal.usual[0] for normal in normals.values()])).numpy()
    for (part, normal), weight in zip(normals.items(), parts_weights, strict=True):
        normal.precision.copy_(torch.diag(1 + torch.arange(float(len(normal.centre)))))
        terms = (part_of(rows, part, 4) - normal.centre).square() * normal.precision.diag()
        expected += weight * (terms / terms.sum()).reshape(-1, 4).sum(dim=0).numpy()
    np.testing.assert_allclose(scorer.shares(rows)[0], expected)


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("sign", [1, -1])
def test_a_band_that_is_louder_or_missing_carries_the_score_with_its_sign(kind: str, sign: int) -> None:
    """What is new the autoencoder leaves out: x̂ - x is negative; what is missing it adds."""
    scorer, normals = random_scorer(kind, n_mels=6)
    rows = torch.zeros(24).double()
    for part, normal in normals.items():
        normal.precision.copy_(torch.eye(len(normal.centre)))
        part_of(rows, part, 6)[:] = normal.centre
    rows[6:12] = scorer._usual_error
    rows[2] -= 5 * sign  # residual
    rows[8] += 25  # its square
    rows[14] += 5 * sign  # frame
    rows[20] += 1  # change
    share, more = scorer.shares(rows)
    assert share.argmax() == 2
    assert share[2] == pytest.approx(1)
    assert more[2] * sign > 0


def test_the_change_of_a_band_carries_as_well() -> None:
    """A rattle that is no louder than the hum was."""
    scorer, normals = random_scorer("spectrum")
    normals["spectrum"].precision.copy_(torch.eye(8))
    rows = torch.zeros(16).double()
    rows[8:] = normals["spectrum"].centre
    rows[12 + 3] += 4
    torch.testing.assert_close(scorer.shares(rows)[0], torch.tensor([0.0, 0, 0, 1]).double())


# The score of a recording


def recording_value(bundle: Bundle, rows: Tensor, scores: Tensor, cuts: list[int]) -> float:
    config = bundle.config
    whole = RecordingScore(config.score, bundle.scorer(), row_width(config.score, config.features))
    for part in pieces(len(rows), cuts):
        whole.push(rows[part], scores[part])
    return whole.value()


@settings(max_examples=50, deadline=None)
@given(
    total=st.integers(0, 260),
    cut=st.sampled_from([0, 1, 50]),
    kind=st.sampled_from(KINDS),
    cuts=st.lists(st.integers(1, 90), min_size=1, max_size=5),
    warm_up=st.sampled_from([0, 30, 120]),
)
def test_a_recordings_score_is_the_mean_or_the_maximum_of_what_the_cut_leaves(total, cut, kind, cuts, warm_up) -> None:
    """`cut_frames` at each end do not count; rows may come in any portions."""
    names = ("features.n_mels=4", f"score.kind={kind}", f"score.cut_frames={cut}")
    by_mean = small_bundle(small_config(*names))
    by_max = small_bundle(small_config(*names, "score.recording=max"))
    generator = torch.Generator().manual_seed(total)
    rows = torch.rand(total, row_width(by_mean.config.score, by_mean.config.features), generator=generator)
    scores = torch.rand(total, generator=generator).double()
    scores[:warm_up] = torch.nan
    left = slice(cut, max(cut, total - cut))
    mean = recording_value(by_mean, rows, scores, cuts)
    if total > 2 * cut:
        expected = by_mean.scorer()(rows[left].double().mean(dim=0), whole=True)
        assert mean == pytest.approx(float(expected), rel=1e-9)
    else:
        assert np.isnan(mean)
    highest = recording_value(by_max, rows, scores, cuts)
    counted = scores[left][~scores[left].isnan()].numpy()
    if len(counted):
        assert highest == counted.max()
    else:
        assert np.isnan(highest)


def test_fifty_frames_are_cut_at_each_end_exactly() -> None:
    """The article's cut: the 51st frame counts, the 50th does not; so at the end."""
    bundle = small_bundle(small_config("score.kind=error", "score.cut_frames=50", "score.recording=max"))
    for counts, at in ((False, 49), (True, 50), (True, 149), (False, 150)):
        scores = torch.rand(200).double()
        scores[at] = 99.0
        assert (recording_value(bundle, torch.rand(200, 128), scores, [64]) == 99.0) == counts


# The whole path


COMPARED = ("rows", "rolling", "score")


def whole_path(bundle: Bundle, samples: np.ndarray, cuts: list[int]) -> tuple[Tensor, Scores]:
    """All frames and scores of streams (N, n) that arrive in pieces."""
    stream = ScoreStream(bundle, len(samples))
    parts = [stream.push(torch.from_numpy(samples[:, part])) for part in pieces(samples.shape[1], cuts)]
    parts.append(stream.flush())
    joined = [torch.cat([getattr(scores, name) for _, scores in parts], dim=1) for name in COMPARED]
    return torch.cat([frames for frames, _ in parts], dim=1), Scores(*joined, bundle.config.features.n_mels)


def assert_same_scores(found: Scores, expected: Scores) -> None:
    for name in COMPARED:
        a, b = getattr(found, name), getattr(expected, name)
        largest = float(b[~b.isnan()].abs().max()) if (~b.isnan()).any() else 1.0
        torch.testing.assert_close(a, b, rtol=1e-5, atol=1e-5 * largest, equal_nan=True)


@pytest.fixture(scope="module", params=["fused", "mahalanobis", "error"])
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
    np.testing.assert_allclose(found.rows[0, :, :64], residual, atol=1e-5)
    np.testing.assert_allclose(found.rows[0, :, 64:128], square, rtol=1e-4, atol=1e-5)
    np.testing.assert_allclose(found.error[0], (difference**2).mean(axis=1), rtol=1e-5)
    rows = np.concatenate((residual, square), axis=1)
    if bundle.config.score.kind == "fused":
        change = np.abs(windows[:, 10 * 64 : 11 * 64] - windows[:, 7 * 64 : 8 * 64])
        np.testing.assert_allclose(found.rows[0, :, 128:192], scaled, atol=1e-5)
        np.testing.assert_allclose(found.rows[0, :, 192:], change, atol=1e-5)
        rows = np.concatenate((rows, scaled, change), axis=1)
    rolled_rows = sliding_window_view(rows, length, axis=0).mean(axis=-1)
    assert found.score[0, : length - 1].isnan().all()
    assert found.rolling_error[0, : length - 1].isnan().all()
    np.testing.assert_allclose(found.rolling[0, length - 1 :], rolled_rows, atol=1e-5)
    np.testing.assert_allclose(found.rolling_error[0, length - 1 :], rolled_rows[:, 64:128].mean(axis=1), rtol=1e-5)
    expected = bundle.scorer()(torch.from_numpy(rolled_rows))
    assert found.score.dtype == torch.float64
    np.testing.assert_allclose(found.score[0, length - 1 :], expected, rtol=1e-4)


def test_with_remove_level_loudness_does_not_count() -> None:
    samples = noise(12_000, seed=9)[None]
    for removed in ("true", "false"):
        judge = small_bundle(small_config(f"features.remove_level={removed}"))
        judge.mean.zero_()  # of levels that are relative to their mean
        quiet, loud = (whole_path(judge, gain * samples, [5000])[1] for gain in (0.5, 4))
        assert torch.allclose(quiet.score, loud.score, rtol=1e-3, equal_nan=True) == (removed == "true")


def test_a_model_that_was_left_in_training_is_scored_with_like_any_other(bundle: Bundle) -> None:
    """Else dropout would make noise of the scores, and what is heard would change the batch norms."""
    samples = noise(6000)[None]
    _, expected = whole_path(bundle, samples, [6000])
    bundle.model.train()
    _, found = whole_path(bundle, samples, [6000])
    assert torch.equal(found.rows, expected.rows)


def test_streams_scored_together_have_the_scores_of_each_alone(bundle: Bundle) -> None:
    samples = noise(9000, streams=3) * np.array([[1], [1e-2], [10]], np.float32)
    _, together = whole_path(bundle, samples, [1777])
    for number in range(3):
        _, alone = whole_path(bundle, samples[number : number + 1], [9000])
        one = (getattr(together, name)[number : number + 1] for name in COMPARED)
        assert_same_scores(Scores(*one, together.n_mels), alone)


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
    stream = RowStream(bundle)
    rows = torch.cat((stream.push(frames), stream.flush()), dim=1)
    torch.testing.assert_close(rows, expected.rows, rtol=1e-5, atol=1e-5)


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
