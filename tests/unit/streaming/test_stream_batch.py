"""The scores of each stream in a batch are as defined, and independent of the other streams."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from monitor.bundle.bundle import Bundle
from monitor.core.thread_pool import ThreadPool
from monitor.features import mel
from monitor.streaming import score_batch, stream_batch
from monitor.streaming.portion import Portion
from monitor.streaming.stream_batch import StreamBatch
from support.backends import BACKENDS, compute
from support.builders import pieces, small_bundle
from support.oracle import expected_of
from support.stream_kinds import BUNDLES, COUNT, SETTINGS, assert_as_defined, assert_equal, sound, together

pytestmark = pytest.mark.filterwarnings("ignore:n_fft=.* is too large:UserWarning")  # librosa, of short signals
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
    monkeypatch.setattr(mel, "SHARED_SAMPLES_AT_ONCE", 16 * 512)
    monkeypatch.setattr(mel, "FRAMES_A_THREAD", 4)
    bundle, pool = BUNDLES[0], ThreadPool(3)
    for streams in (1, 3):
        samples = np.stack([sound(bundle, stream, 1, hops) for stream in range(streams)])
        shared, alone = StreamBatch(bundle, streams, pool=pool), StreamBatch(bundle, streams)
        pairs = [one.push(samples, range(streams)).portions() for one in (shared, alone)]
        pairs = [[*found, one.flush(0, samples[0, :99])] for found, one in zip(pairs, (shared, alone), strict=True)]
        for found, expected in zip(*pairs, strict=True):
            assert_equal(found, expected)
    pool.close()
