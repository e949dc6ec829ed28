"""The scores of each stream in a batch are as defined, and independent of the other streams."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from monitor.bundle.bundle import Bundle
from monitor.bundle.bundle_io import save_bundle
from monitor.core.thread_pool import ThreadPool
from monitor.features import mel
from monitor.model import numpy_network, overlapping_windows, torch_network
from monitor.model.network import ON_CPU, Compute
from monitor.streaming import score_batch, stream_batch
from monitor.streaming.hops import HopCutter
from monitor.streaming.portion import Portion, joined
from monitor.streaming.stream_batch import StreamBatch
from support.backends import BACKENDS, compute
from support.builders import CUTS, noise, pieces, small_bundle, small_config
from support.oracle import Expected, expected_of

pytestmark = pytest.mark.filterwarnings("ignore:n_fft=.* is too large:UserWarning")  # librosa, of short signals

COUNT = 5
SETTINGS = (
    (),
    ("score.kind=error", "score.window_s=0"),
    ("score.kind=mahalanobis", "score.window_s=0.17"),
    ("features.hop_length=256",),
    ("features.n_fft=1024", "features.window_frames=6", "score.kind=spectrum"),
    ("features.hop_length=512", "features.window_frames=2"),
    ("features.scale=power",),
)
# What the machines with these settings have.
MACHINES = {0: {"modes": 3, "rhythm": True, "peaks": True}, 3: {"rhythm": True}, 4: {"modes": 2, "peaks": True}}
BUNDLES = [
    small_bundle(small_config(*overrides), seed=number, **MACHINES.get(number, {}))
    for number, overrides in enumerate(SETTINGS)
]

STREAM_SETS = st.sets(st.integers(0, COUNT - 1), min_size=1).map(sorted)
STEPS = st.lists(
    st.one_of(
        st.tuples(st.just("push"), STREAM_SETS, st.integers(0, 70)),
        st.tuples(st.just("push"), STREAM_SETS, st.integers(1, 9)),
        st.tuples(st.just("reset"), STREAM_SETS, st.just(0)),
        st.tuples(st.just("flush"), st.integers(0, COUNT - 1).map(lambda stream: [stream]), st.integers(0, 159)),
    ),
    min_size=1,
    max_size=14,
)


def assert_equal(found: Portion, expected: Portion, *, tolerance: float = 1e-5) -> None:
    """Equal except for rounding, because sums may be computed in another order."""
    for name in Portion._fields:
        ours, theirs = getattr(found, name), getattr(expected, name)
        assert ours.shape == theirs.shape, name
        largest = np.abs(np.nan_to_num(theirs)).max(initial=0.0)
        within = 0.0 if name in ("score", "mean_square") else tolerance * largest
        np.testing.assert_allclose(ours, theirs, rtol=tolerance, atol=within, equal_nan=True, err_msg=name)


def assert_as_defined(found: Portion, expected: Expected) -> None:
    """Compares float32 results with float64 ones; the tolerances are for float32 decibels that are squared twice."""
    for name in Expected._fields:
        ours, theirs = getattr(found, name), getattr(expected, name)
        assert ours.shape == theirs.shape, name
        largest = np.abs(np.nan_to_num(theirs)).max(initial=0.0)
        within = 1e-9 if name == "score" else 1e-5 * largest
        np.testing.assert_allclose(ours, theirs, rtol=2e-4, atol=within, equal_nan=True, err_msg=name)


def sound(bundle: Bundle, stream: int, step: int, hops: int, *, rest: int = 0) -> np.ndarray:
    """Noise whose level differs between steps and between streams."""
    samples = hops * bundle.config.features.hop_length + rest
    return noise(samples, seed=100 * step + stream, amplitude=10.0 ** -((step + stream) % 4))


def together(portions: Sequence[Portion]) -> Portion:
    """Concatenates consecutive portions of one stream."""
    whole = portions[0]
    for portion in portions[1:]:
        whole = joined(whole, portion)
    return whole


def scored(bundle: Bundle, samples: np.ndarray, cuts: Sequence[int], *, compute: Compute = ON_CPU) -> Portion:
    """All results of one stream of samples (n,) that arrive in pieces of any length."""
    batch, cutter = StreamBatch(bundle, compute=compute), HopCutter(bundle.config.features.hop_length)
    portions = []
    for part in pieces(len(samples), cuts):
        portions += batch.push(cutter.push(samples[part])[None], [0]).portions()
    return together([*portions, batch.flush(0, cutter.remainder)])


class Past:
    """The samples that one stream has received since its start, and the results."""

    def __init__(self) -> None:
        self.samples: list[np.ndarray] = []
        self.portions: list[Portion] = []

    def add(self, samples: np.ndarray, portion: Portion) -> None:
        self.samples.append(samples)
        self.portions.append(portion)

    def check(self, bundle: Bundle, *, ended: bool) -> None:
        """Compares the results with their definition, and clears the past."""
        if self.portions:
            expected = expected_of(bundle, np.concatenate(self.samples), ended=ended)
            assert_as_defined(together(self.portions), expected)
        self.samples, self.portions = [], []


# Independence of streams


@settings(max_examples=20)
@given(number=st.integers(0, len(SETTINGS) - 1), steps=STEPS)
def test_a_stream_in_a_batch_gives_the_results_of_a_single_stream(number, steps) -> None:
    """Both give the results by definition, computed from all of the stream's samples with other libraries."""
    bundle = BUNDLES[number]
    batch, alone = StreamBatch(bundle, COUNT), [StreamBatch(bundle) for _ in range(COUNT)]
    pasts = [Past() for _ in range(COUNT)]
    for step, (kind, streams, amount) in enumerate(steps):
        if kind == "reset":
            batch.reset(streams)
            for stream in streams:
                alone[stream].reset([0])
                pasts[stream].check(bundle, ended=False)
        elif kind == "flush":
            [stream] = streams
            rest = sound(bundle, stream, step, 0, rest=amount)
            found = batch.flush(stream, rest)
            assert_equal(found, alone[stream].flush(0, rest))
            pasts[stream].add(rest, found)
            pasts[stream].check(bundle, ended=True)
        else:
            samples = np.stack([sound(bundle, stream, step, amount) for stream in streams])
            for i, (stream, found) in enumerate(zip(streams, batch.push(samples, streams).portions(), strict=True)):
                [expected] = alone[stream].push(samples[i : i + 1], [0]).portions()
                assert_equal(found, expected)
                pasts[stream].add(samples[i], found)
    for past in pasts:
        past.check(bundle, ended=False)


def test_a_stream_that_is_not_pushed_does_not_change() -> None:
    bundle = BUNDLES[0]
    batch, undisturbed = StreamBatch(bundle, COUNT), StreamBatch(bundle, COUNT)
    first, other, second = (sound(bundle, 0, step, 45)[None] for step in range(3))
    for one in (batch, undisturbed):
        one.push(first, [2])
    batch.push(np.repeat(other, 4, axis=0), [4, 0, 3, 1])
    batch.reset([0, 3])
    batch.flush(4, other[0, :0])
    found, expected = (one.push(second, [2]) for one in (batch, undisturbed))
    assert np.array_equal(found.score, expected.score)
    assert not np.isnan(found.score).any()


@pytest.mark.parametrize("value", [np.nan, np.inf, 1e30])
@pytest.mark.parametrize("end", ["reset", "flush"])
@pytest.mark.filterwarnings("ignore::RuntimeWarning")  # numpy, of inf - inf
def test_after_a_restart_invalid_or_huge_samples_leave_no_trace(value: float, end: str) -> None:
    bundle = BUNDLES[0]
    batch = StreamBatch(bundle, 3)
    broken = np.full((1, 37 * 160), value, np.float32)
    batch.push(broken, [1])
    batch.reset([1]) if end == "reset" else batch.flush(1, broken[0, :0])
    samples = sound(bundle, 1, 1, 150)
    [found] = batch.push(samples[None], [1]).portions()
    assert_as_defined(found, expected_of(bundle, samples, ended=False))


@pytest.mark.filterwarnings("ignore::RuntimeWarning")  # numpy, of nan
def test_nan_samples_in_one_stream_do_not_change_the_scores_of_another() -> None:
    bundle = BUNDLES[0]
    samples = sound(bundle, 0, 1, 80)
    _, found = StreamBatch(bundle, 2).push(np.stack([np.full_like(samples, np.nan), samples]), [0, 1]).portions()
    assert_as_defined(found, expected_of(bundle, samples, ended=False))


def test_a_loud_moment_leaves_no_error_after_it_has_left_the_mean() -> None:
    bundle = small_bundle(modes=3, peaks=True)
    length = 30
    batch, calm = StreamBatch(bundle), StreamBatch(bundle)
    quiet = sound(bundle, 0, 1, 60)[None]
    for one, peak in ((batch, 1e12), (calm, 0.1)):
        one.push(np.float32(peak) * quiet, [0])
    rest = sound(bundle, 0, 2, 3 * length)[None]
    found, expected = (one.push(rest, [0]) for one in (batch, calm))
    left = length + 22  # rows until no window in the mean (20 frames, and the samples of two more) has the loud moment
    assert np.array_equal(found.means[:, left:], expected.means[:, left:])
    assert not np.array_equal(found.means[:, :left], expected.means[:, :left])


def test_recentre_moves_the_centre_of_one_stream_only_and_a_reset_keeps_it() -> None:
    bundle = BUNDLES[0]
    random = np.random.default_rng(0)
    offsets = {part: random.random(reference.size) for part, reference in bundle.references.items()}
    samples = sound(bundle, 0, 1, 60)
    expected = [expected_of(bundle, samples, ended=False, offsets=by) for by in (offsets, None)]
    for name in BACKENDS:
        batch = StreamBatch(bundle, 3, compute=compute(name))
        batch.recentre({part: 2 * offset for part, offset in offsets.items()}, 2)
        batch.recentre(offsets, 2)  # relative to the model's centre, not to the moved one
        batch.reset([2])
        for found, by_definition in zip(batch.push(np.stack([samples] * 2), [2, 0]).portions(), expected, strict=True):
            assert_as_defined(found, by_definition)
        row = batch.push(np.stack([samples] * 2), [2, 0]).means[:, -1]
        for position, stream in enumerate((2, 0)):
            share, _ = batch.shares(row[position], stream)
            alone = StreamBatch(bundle, 1)
            if stream == 2:
                alone.recentre(offsets, 0)
            np.testing.assert_allclose(share, alone.shares(row[position], 0)[0], rtol=1e-9, atol=1e-12)


def test_the_contributions_of_a_streams_bands_add_up_to_its_score() -> None:
    for bundle in BUNDLES:
        batch = StreamBatch(bundle, 2)
        result = batch.push(np.stack([sound(bundle, stream, 1, 60) for stream in (1, 0)]), [1, 0])
        for position, stream in enumerate((1, 0)):
            score = float(result.score[position, -1])
            contribution = batch.contributions(result.means[position, -1], score, stream)
            assert contribution.shape == (bundle.config.features.n_mels,)
            assert np.abs(contribution).sum() == pytest.approx(score, rel=1e-5)


def test_streams_pushed_by_several_threads_have_the_same_scores_as_with_one_thread() -> None:
    bundle = BUNDLES[0]
    by_one, by_many = StreamBatch(bundle, 8), StreamBatch(bundle, 8)
    samples = np.stack([sound(bundle, stream, 1, 240) for stream in range(8)])
    expected = [by_one.push(samples[:, part], range(8)).portions() for part in pieces(samples.shape[1], [4800])]

    def push(streams: list[int]) -> list[list[Portion]]:
        return [by_many.push(samples[streams, part], streams).portions() for part in pieces(samples.shape[1], [4800])]

    groups = [[0, 5], [1, 2, 7], [3], [4, 6]]
    with ThreadPoolExecutor(len(groups)) as threads:
        for group, found in zip(groups, threads.map(push, groups), strict=True):
            for step, portions in enumerate(found):
                for stream, portion in zip(group, portions, strict=True):
                    assert_equal(portion, expected[step][stream])


@pytest.mark.parametrize("hops", [7, 40, 41, 300])
def test_threads_that_share_a_push_give_the_same_results_as_one(hops: int, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(score_batch, "MIN_SHARED_WINDOWS", 20)
    monkeypatch.setattr(stream_batch, "MIN_SHARED_HOPS", 1)
    monkeypatch.setattr(mel, "FRAMES_AT_ONCE", 16)
    bundle, pool = BUNDLES[0], ThreadPool(3)
    for streams in (1, 3):
        samples = np.stack([sound(bundle, stream, 1, hops) for stream in range(streams)])
        shared, alone = StreamBatch(bundle, streams, pool=pool), StreamBatch(bundle, streams)
        pairs = [one.push(samples, range(streams)).portions() for one in (shared, alone)]
        pairs = [[*found, one.flush(0, samples[0, :99])] for found, one in zip(pairs, (shared, alone), strict=True)]
        for found, expected in zip(*pairs, strict=True):
            assert_equal(found, expected)
    pool.close()


# Division into pushes, backends and precision


@pytest.fixture(scope="module", params=["fused", "mahalanobis", "error"])
def bundle(request: pytest.FixtureRequest) -> Bundle:
    return small_bundle(small_config(f"score.kind={request.param}"))


@settings(max_examples=12)
@given(length=st.integers(1, 12_000), cuts=CUTS)
def test_samples_in_any_pieces_give_the_scores_of_the_whole_recording(
    bundle: Bundle, length: int, cuts: list[int]
) -> None:
    samples = noise(length, seed=length)
    expected = expected_of(bundle, samples)
    assert len(expected.frames) == 1 + length // 160
    assert len(expected.score) == (len(expected.frames) if len(expected.frames) >= 10 else 0)
    for some in ([length], cuts):
        assert_as_defined(scored(bundle, samples, some), expected)


def test_one_sample_at_a_time_gives_the_scores_of_the_whole_recording(bundle: Bundle) -> None:
    samples = noise(6000)
    assert_as_defined(scored(bundle, samples, [1]), expected_of(bundle, samples))


@pytest.mark.parametrize("name", BACKENDS)
def test_streams_and_hops_in_several_groups_give_the_same_results(
    bundle: Bundle, name: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Many streams are computed in groups, and long pushes in parts."""
    for module, size, value in (
        (stream_batch, "HOPS_AT_ONCE", 14),
        (stream_batch, "HOPS_PER_STREAM", 7),
        (stream_batch, "GPU_HOPS_AT_ONCE", 100),
        (numpy_network, "WINDOWS_AT_ONCE", 5),
        (overlapping_windows, "WINDOWS_AT_ONCE", 60),
        (torch_network, "WINDOWS_AT_ONCE", 5),
        (torch_network, "GPU_WINDOWS_AT_ONCE", 70),
        (mel, "FRAMES_AT_ONCE", 11),
        (mel, "GPU_FRAMES_AT_ONCE", 40),
    ):
        monkeypatch.setattr(module, size, value)
    streams = [3, 1, 4, 0, 2]
    samples = np.stack([sound(bundle, stream, 1, 61) for stream in streams])
    portions = StreamBatch(bundle, COUNT, compute=compute(name)).push(samples, streams).portions()
    for position, found in enumerate(portions):
        assert_as_defined(found, expected_of(bundle, samples[position], ended=False))
    long = noise(160 * 250)
    assert_as_defined(scored(bundle, long, [len(long)], compute=compute(name)), expected_of(bundle, long))


@pytest.mark.parametrize("name", BACKENDS[1:])
@pytest.mark.parametrize("number", range(len(SETTINGS)))
def test_torch_and_a_device_with_its_own_memory_give_the_results_of_numpy(name: str, number: int) -> None:
    bundle, streams = BUNDLES[number], [3, 1, 4]
    here, there = StreamBatch(bundle, COUNT), StreamBatch(bundle, COUNT, compute=compute(name))
    for step, hops in enumerate((50, 7, 0, 230, 1)):
        samples = np.stack([sound(bundle, stream, step, hops) for stream in streams])
        pairs = zip(there.push(samples, streams).portions(), here.push(samples, streams).portions(), strict=True)
        for found, expected in pairs:
            assert isinstance(found.score, np.ndarray)
            assert_equal(found, expected, tolerance=5e-5)
    rest = sound(bundle, 3, 9, 0, rest=100)
    assert_equal(there.flush(3, rest), here.flush(3, rest), tolerance=5e-5)
    samples = sound(bundle, 1, 10, 40)[None]
    for one in (here, there):
        one.reset([1])
    assert_equal(*(one.push(samples, [1]).portions()[0] for one in (there, here)), tolerance=5e-5)


@pytest.mark.parametrize("name", BACKENDS)
def test_bfloat16_scores_are_within_one_percent_of_float32(name: str) -> None:
    bundle = BUNDLES[0]
    samples = np.stack([sound(bundle, stream, 1, 400) for stream in range(COUNT)])
    single, half = (
        StreamBatch(bundle, COUNT, compute=compute(name, precision)).push(samples, range(COUNT)).score[:, 60:]
        for precision in ("float32", "bfloat16")
    )
    assert np.quantile(np.abs(half / single - 1), 0.99) < 0.01
    assert not np.array_equal(half, single)


def test_the_caller_may_overwrite_its_buffer_after_a_push(bundle: Bundle) -> None:
    """The stream keeps copies."""
    samples, buffer, batch = noise(1600 * 10), np.empty((1, 1600), np.float32), StreamBatch(bundle)
    portions = []
    for part in pieces(len(samples), [1600]):
        buffer[0] = samples[part]
        portions += batch.push(buffer, [0]).portions()
        buffer[:] = 1e6
    ending = noise(100, seed=1)
    found = together([*portions, batch.flush(0, ending)])
    assert_as_defined(found, expected_of(bundle, np.concatenate((samples, ending))))


def test_with_remove_level_scores_do_not_depend_on_loudness() -> None:
    samples = noise(12_000, seed=9)
    for removed in ("true", "false"):
        drawn = small_bundle(small_config(f"features.remove_level={removed}"))
        bundle = replace(drawn, mean=np.zeros_like(drawn.mean))  # levels are relative to their mean
        quiet, loud = (scored(bundle, np.float32(gain) * samples, [5000]) for gain in (0.5, 4))
        assert np.allclose(quiet.score, loud.score, rtol=1e-3, equal_nan=True) == (removed == "true")
        assert_as_defined(loud, expected_of(bundle, 4 * samples))


def test_frames_and_windows_are_returned_with_the_hop_of_their_last_sample(bundle: Bundle) -> None:
    """Frame t needs 256 samples after its centre, which are two hops; its window needs nine more frames."""
    batch = StreamBatch(bundle)
    results = [batch.push(noise(160)[None], [0]) for _ in range(60)]
    assert [int(result.valid_frames[0]) for result in results] == [0] + [1] * 59
    assert [int(result.valid_rows[0]) for result in results] == [0] * 10 + [1] * 50
    assert [not np.isnan(result.portions()[0].score).any() for result in results[10:]] == [False] * 29 + [True] * 21


def test_a_stream_without_samples_has_no_results(bundle: Bundle) -> None:
    batch, none = StreamBatch(bundle, 2), np.zeros(0, np.float32)
    for _ in range(2):
        [portion] = batch.push(np.zeros((1, 0), np.float32), [1]).portions()
        for found in (portion, batch.flush(1, none)):
            assert [len(values) for values in found] == [0] * len(Portion._fields)
        batch.push(noise(480)[None], [1])
        batch.flush(1, none)


@pytest.mark.parametrize(("samples", "streams"), [(161, [0, 1]), (160, [1, 1]), (160, [0])])
def test_samples_that_are_not_whole_hops_of_different_streams_are_an_error(samples: int, streams: list[int]) -> None:
    with pytest.raises(ValueError, match="whole hops"):
        StreamBatch(BUNDLES[0], 2).push(np.zeros((2, samples), np.float32), streams)


def test_a_remainder_of_a_whole_hop_is_an_error() -> None:
    with pytest.raises(ValueError, match="push it first"):
        StreamBatch(BUNDLES[0]).flush(0, np.zeros(160, np.float32))


def test_listening_on_a_processor_does_not_import_torch(tmp_path: Path) -> None:
    """Importing torch takes seconds and hundreds of megabytes."""
    bundle, samples = BUNDLES[0], noise(16_000)
    save_bundle(bundle, tmp_path / "model.safetensors")
    np.save(tmp_path / "samples.npy", samples)
    program = """
import sys, numpy as np
from pathlib import Path
from monitor.bundle.bundle_io import load_bundle
from monitor.model.device import listening_device
from monitor.model.network import Compute
from monitor.model.precision_choice import listening_precision
from monitor.streaming.stream_batch import StreamBatch
bundle = load_bundle(Path("model.safetensors"))
precision = listening_precision("auto", bundle.config, 1, "cpu")
batch = StreamBatch(bundle, compute=Compute.on(listening_device("cpu"), precision))
result = batch.push(np.load("samples.npy")[None], [0])
batch.contributions(result.means[0, -1], float(result.score[0, -1]), 0)
batch.flush(0, np.zeros(7, np.float32))
np.save("scores.npy", result.score)
print(*[name for name in ("torch", "torchaudio") if name in sys.modules])
"""
    done = subprocess.run([sys.executable, "-c", program], cwd=tmp_path, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    assert done.stdout.split() == []
    expected = StreamBatch(bundle).push(samples[None], [0]).score
    np.testing.assert_allclose(np.load(tmp_path / "scores.npy"), expected, rtol=1e-6)
