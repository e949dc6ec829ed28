"""The streams of a batch get together what each of them would get alone, in any portions."""

from __future__ import annotations

import dataclasses
from collections.abc import Iterator
from dataclasses import replace

import numpy as np
import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from monitor.bundle.bundle import Bundle
from monitor.config.schema import Config
from monitor.core.events import Event
from monitor.core.thread_pool import single_threaded_blas
from monitor.core.types import IndexArray
from monitor.detection.detector import Detector
from monitor.detection.detectors import Detectors
from monitor.detection.recording import Recording
from monitor.streaming.portion import BatchResult
from monitor.streaming.stream_batch import StreamBatch
from support.builders import small_bundle, small_config
from support.listening import RememberingSink
from support.reference_detection.detector import Detector as OneByOne

QUICK = (
    "alarm.warm_up_s=0.2", "alarm.run_up_s=0.3", "alarm.hold_s=0.3", "alarm.release_s=0.2", "alarm.cool_down_s=0.2",
    "alarm.remind_s=0.5", "alarm.off_below_dbfs=-40",
)  # fmt: skip
BLOCKS = ("alarm.block_s=0", "alarm.block_s=0.04", "alarm.block_s=0.5")
HOPS, LATE = 500, 9  # hops of the sound, and frames whose windows are complete only later


def learnt(*overrides: str, modes: int = 0) -> Bundle:
    """A model whose normal scores are 0 to 8, and whose limit of the score is 10."""
    made = small_bundle(small_config(*QUICK, *overrides), modes=modes)
    values = {"score": 10.0, "cusum": 6.0, "error": 1.0, "recording": 20.0}
    thresholds = {name: one.model_copy(update={"value": values[name]}) for name, one in made.thresholds.items()}
    return replace(made, thresholds=thresholds, normal_scores=np.arange(1, 81) / 10)


BUNDLES = {block: learnt(block) for block in BLOCKS}
NEXT = {block: replace(learnt(block), normal_scores=np.arange(1, 50) / 5, model_id="next") for block in BLOCKS}


@pytest.fixture(autouse=True, scope="module")
def one_thread() -> Iterator[None]:
    """As in the engine: products this small are not worth sharing."""
    with single_threaded_blas():
        yield


class Sound:
    """Results of random sound of one stream, as a batch would give them."""

    def __init__(self, generator: np.random.Generator, batch: StreamBatch) -> None:
        layout, count = batch.layout, HOPS
        self.score = generator.uniform(0.1, 8.5, count)
        for value in generator.choice([np.nan, 9.0, 10.0, 13.0, 13.0, 4.0], generator.integers(0, 5)):
            start = int(generator.integers(0, count))
            self.score[start : start + int(generator.integers(1, 150))] = value
        self.score[: int(generator.integers(1, 60))] = np.nan
        self.mean_square = 10 ** generator.uniform(-3.0, -1.0, count)
        for _ in range(generator.integers(0, 3)):
            start = int(generator.integers(0, count))
            self.mean_square[start : start + int(generator.choice([8, 12, 60, 200]))] = 1e-6
        self.frames = generator.exponential(1e-3, (count, 64)).astype(np.float32)
        self.rows = generator.random((count, layout.row_width), np.float32)
        self.means = generator.random((count, layout.mean_width), np.float32)


def result_of(sounds: list[Sound], at: list[int], count: int, batch: StreamBatch) -> BatchResult:
    """The next `count` hops of sounds, each from hop `at` on; rows are LATE hops behind their frames."""

    def hops(name: str, late: int) -> np.ndarray:
        return np.stack(
            [np.take(getattr(one, name), np.arange(first - late, first - late + count), axis=0, mode="clip")
             for one, first in zip(sounds, at, strict=True)]
        )  # fmt: skip

    rows = np.array([min(count, max(0, first + count - LATE)) for first in at])
    return BatchResult(
        hops("frames", 0), hops("mean_square", 0), hops("rows", LATE), hops("means", LATE), hops("score", LATE),
        np.full(len(at), count), rows, batch.layout,
    )  # fmt: skip


def facts(events: list[Event]) -> list[dict[str, object]]:
    """All of events but their ids, with numbers that may differ by rounding cut."""
    found = []
    for event in events:
        one = dataclasses.asdict(event)
        del one["id"]
        bands = [(band.low_hz, band.high_hz, band.change, pytest.approx(band.share)) for band in event.bands]
        found.append(one | {"bands": bands, "mean": pytest.approx(event.mean), "peak": pytest.approx(event.peak)})
    return found


class Both:
    """One stream in the batch, and the same alone by the reference, each with its sink."""

    def __init__(self, bundle: Bundle, detectors: Detectors, number: int, *, whole: bool) -> None:
        self.sinks = RememberingSink(), RememberingSink()
        options = {"stream": "a", "keep_recording_scores": whole, "wall_time": lambda position_s: 1e9 + position_s}
        batch, config = detectors.batch, bundle.config
        self.ours = Detector(bundle, config, batch, number, self.sinks[0], detectors=detectors, **options)
        self.alone = OneByOne(bundle, config, batch, number, self.sinks[1], **options)
        for one in (self.ours, self.alone):
            one.begin(Recording("x"))

    def check(self) -> None:
        """Compares everything that there is to know."""
        ours, alone = self.ours, self.alone
        for one in (ours, alone):
            one.decide()
        assert (ours.state, ours.anomalies, ours.until_decision) == (alone.state, alone.anomalies, alone.until_decision)
        assert ours.last == pytest.approx(alone.last, nan_ok=True)
        assert ours.share_of_limit == pytest.approx(alone.share_of_limit, nan_ok=True)
        assert ours.lasting_sum == pytest.approx(alone.lasting_sum)
        assert (ours.anomaly is None) == (alone.anomaly is None)
        np.testing.assert_allclose(ours.band_contribution(), alone.band_contribution(), rtol=1e-4, atol=1e-5)
        for found, expected in zip(
            (*ours.timeline.view(), *ours.timeline.levels()), (*alone.timeline.view(), *alone.timeline.levels()),
            strict=True,
        ):  # fmt: skip
            np.testing.assert_allclose(found, expected, rtol=1e-4)

    def check_reports(self) -> None:
        """Compares all that was reported."""
        ours, alone = self.sinks
        assert facts(ours.events) == facts(alone.events)
        np.testing.assert_array_equal(ours.score, alone.score)
        for name in ("error", "share"):
            found, expected = (np.concatenate([getattr(rows, name) for rows in sink.rows]) for sink in self.sinks)
            np.testing.assert_allclose(found, expected, rtol=1e-6)
        assert decisions(ours) == decisions(alone)
        frames = [np.concatenate([power for _, power in sink.power]) for sink in self.sinks]
        np.testing.assert_array_equal(*frames)
        for found, expected in zip(self.ours.results, self.alone.results, strict=True):
            names = ("name", "score", "seconds", "anomalies", "highest_share", "off_s", "new_mode_s")
            for name in names:
                value = getattr(expected, name)
                assert getattr(found, name) == (value if name == "name" else pytest.approx(value, nan_ok=True))


def decisions(sink: RememberingSink) -> list[tuple[int, int, bool]]:
    """The windows that were decided on, the numbers of the decisions, and whether the score was held back."""
    found = []
    for rows in sink.rows:
        assert rows.decisions is not None
        of = rows.decisions
        found += list(zip((rows.first + of.index).tolist(), of.number.tolist(), of.held_back.tolist(), strict=True))
    return found


ANYTHING = given(
    seed=st.integers(0, 10_000),
    block=st.sampled_from(BLOCKS),
    cuts=st.lists(st.integers(1, 120), min_size=1, max_size=5),
    whole=st.booleans(),
)


@settings(max_examples=3, deadline=None)
@example(seed=986, block=BLOCKS[2], cuts=[112, 120, 19], whole=False)  # a lasting anomaly after calm decisions
@ANYTHING
def test_streams_get_together_what_each_gets_alone_whatever_happens_to_them(
    seed: int, block: str, cuts: list[int], whole: bool
) -> None:
    """Other settings, another model, a gap, another recording: at any time, to any of the streams."""
    compare(seed, block, cuts, whole=whole)


@pytest.mark.long
@settings(max_examples=150, deadline=None)
@ANYTHING
def test_many_streams_get_together_what_each_gets_alone(seed: int, block: str, cuts: list[int], whole: bool) -> None:
    """The same with many more cases."""
    compare(seed, block, cuts, whole=whole)


def compare(seed: int, block: str, cuts: list[int], *, whole: bool) -> None:
    """Lets anything happen to several streams, and compares them with the reference."""
    generator = np.random.default_rng(seed)
    streams = int(generator.choice([3, 10]))  # few are evaluated one by one, many together
    detectors = Detectors(StreamBatch(BUNDLES[block], streams + 1))
    numbers = generator.permutation(streams + 1)[:streams]
    both = [Both(BUNDLES[block], detectors, int(number), whole=whole) for number in numbers]
    sounds = [Sound(generator, detectors.batch) for _ in both]
    at, moved = [0] * streams, Detectors(StreamBatch(NEXT[block], streams + 1))
    in_first = np.ones(streams, bool)
    while min(at) < HOPS - max(cuts):
        count = int(generator.choice(cuts))
        chosen = np.flatnonzero(generator.random(streams) < 0.8)
        for group, which in ((detectors, chosen[in_first[chosen]]), (moved, chosen[~in_first[chosen]])):
            which_sounds, where = [sounds[i] for i in which], [at[i] for i in which]
            push(group, [both[i] for i in which], which_sounds, where, count, numbers[which])
        for i in chosen:
            at[i] += count
            happened = generator.integers(0, 40)
            if happened < 4:
                both[i].check()
            elif happened == 4 and in_first[i]:
                in_first[i] = False
                use_model(both[i], NEXT[block], moved, int(numbers[i]))
            else:
                happen(both[i], int(happened), generator, block, at[i])
    for one in both:
        one.check()
        for detector in (one.ours, one.alone):
            detector.end(7.0)
        one.check_reports()


def push(
    detectors: Detectors, both: list[Both], sounds: list[Sound], at: list[int], count: int, numbers: IndexArray
) -> None:
    """Pushes the next hops of streams, together and one by one."""
    if not both:
        return
    result = result_of(sounds, at, count, detectors.batch)
    np.testing.assert_array_equal(detectors.push(result, numbers), result.valid_rows > 0)
    for one, portion in zip(both, result.portions(), strict=True):
        one.alone.push(portion)


def use_model(one: Both, bundle: Bundle, detectors: Detectors, number: int) -> None:
    one.ours.use_model(bundle, bundle.config, detectors.batch, number, detectors=detectors)
    one.alone.use_model(bundle, bundle.config, detectors.batch, number)


def happen(one: Both, what: int, generator: np.random.Generator, block: str, at: int) -> None:
    """Does to a stream what may happen to it."""
    share, level = generator.choice([0.9, 1.1]), generator.choice([-45.0, -35.0])
    config: Config = small_config(*QUICK, block, f"alarm.off_below_dbfs={level}", "alarm.n=4")
    for detector in (one.ours, one.alone):
        match what:
            case 5:
                detector.scale_threshold(share)
            case 6:
                detector.change_alarm(config.alarm)
            case 7:
                detector.interrupt()
                detector.resume(at / 100 + 1.0)
            case 8:
                detector.end(at / 100)
                detector.begin(Recording("next", began=2e9))
            case 9:
                detector.rename("renamed")
            case 10:
                detector.advance(at / 100 + 2.0)


def test_an_error_in_one_stream_is_told_and_the_others_go_on() -> None:
    class Broken(RememberingSink):
        def scores(self, rows: object) -> None:
            raise ZeroDivisionError("by nobody's fault")

    bundle, generator = BUNDLES[BLOCKS[1]], np.random.default_rng(0)
    detectors = Detectors(StreamBatch(bundle, 3))
    sinks = [RememberingSink(), Broken(), RememberingSink()]
    kept = [
        Detector(bundle, bundle.config, detectors.batch, i, sink, detectors=detectors) for i, sink in enumerate(sinks)
    ]
    sounds, told = [Sound(generator, detectors.batch) for _ in sinks], list[tuple[int, Exception]]()
    for first in range(0, 300, 60):
        result = result_of(sounds, [first] * 3, 60, detectors.batch)
        detectors.push(result, np.arange(3), lambda number, error: told.append((number, error)))
    assert {number for number, _ in told} == {1}
    assert isinstance(told[0][1], ZeroDivisionError)
    assert len(sinks[0].score) == len(sinks[2].score) == 300 - LATE
    with pytest.raises(ZeroDivisionError):
        detectors.push(result_of(sounds, [300] * 3, 60, detectors.batch), np.arange(3))
    assert len(kept) == 3


def test_a_listener_that_wants_neither_frames_nor_scores_gets_the_events_alone() -> None:
    class EventsOnly(RememberingSink):
        wants_frames = wants_scores = False  # type: ignore[assignment]

    bundle, found = BUNDLES[BLOCKS[1]], []
    batch = StreamBatch(bundle)
    for sink in (RememberingSink(), EventsOnly()):
        detector, sound = Detector(bundle, bundle.config, batch, 0, sink), Sound(np.random.default_rng(5), batch)
        sound.score[200:300] = 20.0
        for first in range(0, 600, 20):
            detector.push(result_of([sound], [first], 20, batch).portions()[0])
        detector.end(6.0)
        found.append(sink)
    everything, events_only = found
    assert everything.rows
    assert everything.power
    assert not events_only.rows
    assert not events_only.power
    assert [event.kind for event in events_only.events] == [event.kind for event in everything.events] != []
