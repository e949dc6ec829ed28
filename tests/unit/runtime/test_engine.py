"""Many streams on one thread: each gives what it gives alone, and none disturbs another."""

from __future__ import annotations

import math
import threading
import time
from pathlib import Path

import numpy as np
import pytest

from monitor.bundle.bundle import Bundle
from monitor.core.errors import MonitorError
from monitor.core.events import Event, State
from monitor.detection.detectors import Detectors
from monitor.outputs.sink import Sink
from monitor.runtime.builder import StreamPlan, build_engine, build_streams
from monitor.runtime.change import Change
from monitor.runtime.monitored_stream import MonitoredStream
from monitor.sources.generated import BlockSource
from monitor.streaming.stream_batch import StreamBatch
from support.builders import RATE, noise, small_bundle, small_config, write_sound
from support.listening import (
    HandFedSource,
    RememberingSink,
    never_alarmed,
    plan,
    replay_plan,
    run_to_end,
    wait_until,
    with_thresholds,
)


@pytest.fixture(scope="module")
def recordings(tmp_path_factory: pytest.TempPathFactory) -> list[list[Path]]:
    """Of five streams, of different lengths, rates and channels."""
    folder = tmp_path_factory.mktemp("recordings")
    stereo = noise(2 * 44100 * 2, seed=4).reshape(-1, 2)
    return [
        [write_sound(folder / "a.wav", noise(5 * RATE + 123, seed=1))],
        [write_sound(folder / "b0.wav", noise(2 * RATE, seed=2)), write_sound(folder / "b1.wav", noise(RATE + 7))],
        [write_sound(folder / "c.wav", stereo, 44100)],
        [write_sound(folder / "d.wav", noise(RATE, seed=5))],
        [write_sound(folder / "e.wav", noise(60, seed=6))],
    ]


@pytest.fixture(scope="module")
def bundle() -> Bundle:
    return never_alarmed(small_bundle())


def blocks(bundle: Bundle, samples: np.ndarray, *, name: str = "") -> tuple[StreamPlan, RememberingSink]:
    """A stream of samples, and what it tells."""
    sink = RememberingSink()
    return plan(
        bundle, BlockSource(np.array_split(samples, 7), RATE, name=f"{name}.wav"), name=name, sinks=[sink]
    ), sink


# Each as if it were alone


@pytest.mark.parametrize("speed", [math.inf, 10.0])
def test_each_of_several_streams_scores_exactly_as_alone(recordings: list[list[Path]], speed: float) -> None:
    """Of different lengths and rates, some of one model and some of others."""
    models = [never_alarmed(small_bundle(seed=seed)) for seed in (0, 1)]
    models.append(never_alarmed(small_bundle(small_config("features.hop_length=256"), seed=2)))
    of_stream = [models[0], models[0], models[1], models[0], models[2]]
    together = [
        replay_plan(model, files, name=f"stream {number}", speed=speed)
        for number, (model, files) in enumerate(zip(of_stream, recordings, strict=True))
    ]
    engine = run_to_end(*(one for one, _ in together))
    assert engine.error is None
    for model, files, stream, (_, sink) in zip(of_stream, recordings, engine.streams, together, strict=True):
        one, sink_alone = replay_plan(model, files)
        [alone] = run_to_end(one).streams
        np.testing.assert_allclose(sink.score, sink_alone.score, rtol=1e-5)
        assert [row.name for row in stream.results] == [row.name for row in alone.results]
        for ours, theirs in zip(stream.results, alone.results, strict=True):
            assert ours.score == pytest.approx(theirs.score, rel=1e-5, nan_ok=True)
            assert ours.seconds == theirs.seconds
        assert stream.scored == stream.captured == alone.captured
        assert stream.latest.finished


def test_a_sink_that_streams_share_is_closed_once_and_knows_them_by_name() -> None:
    alarmed, shared = with_thresholds(small_bundle(), 1e-9), RememberingSink()
    plans = [
        plan(alarmed, BlockSource([noise(5 * RATE, seed=i)], RATE, name=f"{i}.wav"), name=f"s{i}", sinks=[shared])
        for i in (0, 1)
    ]
    run_to_end(*plans)
    assert shared.closed == 1
    assert {rows.stream for rows in shared.rows} == {"s0", "s1"}
    assert {(event.stream, event.source) for event in shared.events} == {("s0", "0.wav"), ("s1", "1.wav")}


def test_one_that_ends_early_is_finished_while_the_others_go_on(bundle: Bundle) -> None:
    """The long one is a microphone, which would go on for ever."""
    long, (short, sink) = HandFedSource(), blocks(bundle, noise(RATE), name="short")
    engine = build_engine([plan(bundle, long, name="long"), short], device="cpu")
    engine.start()
    try:
        long.write(noise(RATE))
        wait_until(lambda: engine.latest[1].finished, "the end of the short one")
        assert not engine.latest[0].finished
        assert not engine.finished
        assert len(sink.score) == 101
    finally:
        engine.stop()
    assert engine.latest[0].finished


def test_a_lost_and_a_silent_microphone_delay_no_other(bundle: Bundle) -> None:
    """And every sample of each is accounted for."""
    lost, silent, heard = HandFedSource(), HandFedSource(), HandFedSource()
    lost.lost_since = time.monotonic()
    names = ("lost", "silent", "heard")
    engine = build_engine(
        [plan(bundle, source, name=name) for name, source in zip(names, (lost, silent, heard), strict=True)],
        device="cpu",
    )
    streams = engine.streams
    engine.start()
    try:
        silent.write(np.zeros(RATE, np.float32))
        heard.write(noise(2 * RATE))
        wait_until(lambda: streams[2].scored == 2 * RATE, "all of the sound")
        wait_until(
            lambda: [shown.state for shown in engine.latest[:2]] == [State.LOST, State.NO_SIGNAL], "LOST and NO SIGNAL"
        )
        assert engine.latest[2].state not in (State.LOST, State.NO_SIGNAL)
        heard.end()
        wait_until(lambda: engine.latest[2].finished, "the end of the sound")
        assert not engine.finished
    finally:
        engine.stop()
    assert [stream.captured for stream in streams] == [0, RATE, 2 * RATE]
    assert [stream.scored for stream in streams] == [0, 0, 2 * RATE]


# What fails


def failing_source(after: int) -> BlockSource:
    """A source that breaks after some blocks of sound."""

    def sound() -> object:
        yield from np.split(noise(after * RATE, seed=3), after)
        raise ZeroDivisionError("by nobody's fault")

    return BlockSource(sound, RATE, name="failing")


def test_a_source_that_breaks_ends_its_stream_alone_after_all_that_came_and_says_why(bundle: Bundle) -> None:
    sink, (other, other_sink) = RememberingSink(), blocks(bundle, noise(3 * RATE), name="other")
    engine = run_to_end(plan(bundle, failing_source(2), name="failing", sinks=[sink]), other)
    broken, healthy = engine.streams
    assert "by nobody's fault" in str(broken.error)
    assert engine.error is broken.error
    assert healthy.error is None
    assert broken.latest.state is State.LOST
    assert "by nobody's fault" in broken.latest.failure
    assert not healthy.latest.failure
    assert len(sink.score) == 201
    assert len(other_sink.score) == 301


def test_a_stream_that_cannot_be_computed_ends_alone_and_says_why(
    bundle: Bundle, monkeypatch: pytest.MonkeyPatch
) -> None:
    (first, sink), (third, third_sink) = (blocks(bundle, noise(3 * RATE, seed=i), name=str(i)) for i in (1, 3))
    accept = MonitoredStream.accept

    def fail(stream: MonitoredStream, samples: np.ndarray, row: int) -> None:
        if stream.name == "broken":
            raise ZeroDivisionError("by nobody's fault")
        accept(stream, samples, row)

    monkeypatch.setattr(MonitoredStream, "accept", fail)
    source = BlockSource(np.split(noise(20 * RATE), 20), RATE)
    engine = run_to_end(first, StreamPlan(bundle, bundle.config, source, name="broken"), third)
    broken = engine.streams[1]
    assert "by nobody's fault" in str(broken.error)
    assert engine.error is broken.error
    assert broken.latest.state is State.LOST
    for number, received in ((1, sink), (3, third_sink)):
        alone, expected = blocks(bundle, noise(3 * RATE, seed=number))
        run_to_end(alone)
        np.testing.assert_allclose(received.score, expected.score, rtol=1e-5)


@pytest.mark.parametrize("of_batch", [StreamBatch, Detectors], ids=["scores", "decisions"])
def test_an_error_in_a_models_batch_ends_its_streams_and_no_other_models(
    bundle: Bundle, monkeypatch: pytest.MonkeyPatch, of_batch: type[StreamBatch] | type[Detectors]
) -> None:
    push = of_batch.push

    def fail(one: StreamBatch | Detectors, *arguments: object) -> object:
        if (one if isinstance(one, StreamBatch) else one.batch).bundle is bundle:
            raise ZeroDivisionError("by nobody's fault")
        return push(one, *arguments)  # type: ignore[arg-type]

    monkeypatch.setattr(of_batch, "push", fail)
    (one, _), (two, _) = (blocks(bundle, noise(2 * RATE), name=name) for name in "ab")
    other, received = blocks(small_bundle(seed=5), noise(2 * RATE), name="c")
    engine = run_to_end(one, two, other)
    assert ["by nobody's fault" in str(stream.error) for stream in engine.streams] == [True, True, False]
    assert "ZeroDivisionError" in str(engine.error), "and it is not taken for the end of the sound"
    assert engine.streams[2].error is None
    assert len(received.score) == 201


class Broken(Sink):
    """A sink that cannot take events, nor be closed."""

    def __init__(self) -> None:
        self.calls = 0

    def event(self, event: Event) -> None:
        self.calls += 1
        raise ZeroDivisionError("by nobody's fault")

    def close(self) -> None:
        raise MonitorError("nor can it be closed")


def test_a_sink_that_raises_ends_no_stream_and_is_the_error_of_the_run(bundle: Bundle) -> None:
    alarmed = with_thresholds(bundle, 1e-20)
    sink, broken = RememberingSink(), Broken()
    engine = run_to_end(plan(alarmed, BlockSource([noise(8 * RATE)], RATE), sinks=[broken, sink]))
    assert "by nobody's fault" in str(engine.error)
    assert broken.calls == 1
    assert len(sink.score) == 801
    assert len(sink.events) >= 2
    assert engine.streams[0].error is None
    assert engine.latest[0].state is State.ANOMALY
    assert sink.closed == 1


# From other threads


def test_a_threshold_is_scaled_from_any_thread_for_one_stream(bundle: Bundle) -> None:
    """Between two turns of the engine, from the next score on."""
    sources, sinks = [HandFedSource(live=False) for _ in range(2)], [RememberingSink(), RememberingSink()]
    engine = build_engine(
        [plan(bundle, source, name=str(i), sinks=[sinks[i]]) for i, source in enumerate(sources)], device="cpu"
    )
    threshold = bundle.thresholds["score"].value
    engine.start()
    try:
        for source in sources:
            source.write(noise(RATE))
        wait_until(lambda: all(len(sink.score) for sink in sinks), "scores")
        engine.scale_threshold(0.5, "1")
        wait_until(lambda: engine.latest[1].threshold == threshold / 2, "the new threshold on the screen")
        for source in sources:
            source.write(noise(RATE, seed=1))
            source.end()
        wait_until(lambda: engine.finished, "the end of the sound")
    finally:
        engine.stop()
    assert [{rows.threshold for rows in sink.rows} for sink in sinks] == [{threshold}, {threshold, threshold / 2}]
    assert engine.latest[1].error_threshold == bundle.thresholds["error"].value / 2


def test_a_threshold_that_is_scaled_before_the_start_holds_from_the_first_score_on(bundle: Bundle) -> None:
    one, sink = blocks(bundle, noise(8 * RATE))
    engine = build_engine([one], device="cpu")
    engine.scale_threshold(1e-20)
    engine.start()
    try:
        wait_until(lambda: engine.finished, "the end of the sound")
    finally:
        engine.stop()
    assert engine.anomalies == 1
    assert sink.events[0].threshold == bundle.thresholds["score"].value * 1e-20


def test_streams_are_added_and_removed_from_any_thread_while_it_runs(bundle: Bundle) -> None:
    """The sinks of one that is removed are closed, except those that others use."""
    shared, sinks = RememberingSink(), [RememberingSink() for _ in range(3)]
    sources = [HandFedSource(live=False) for _ in range(3)]
    plans = [
        plan(bundle, source, name=str(i), sinks=[shared, sinks[i]]) for i, source in enumerate(sources)
    ]  # fmt: skip
    engine = build_engine(plans[:2], device="cpu")
    engine.start()
    try:
        for source in sources:
            source.write(noise(RATE))
        wait_until(lambda: all(len(sink.score) for sink in sinks[:2]), "scores")
        [added] = build_streams(plans[2:], device="cpu", precision="float32", pool=None)
        first, second = engine.streams
        engine.change(Change((added, first)))
        assert engine.streams == (added, first)
        assert [shown.stream for shown in engine.latest] == ["2", "0"]
        assert second.latest.finished
        wait_until(lambda: len(sinks[2].score) and sinks[1].closed, "scores of the new one, and the end of the old one")
        assert [sink.closed for sink in (shared, sinks[0], sinks[2])] == [0, 0, 0]
        for source in (sources[0], sources[2]):
            source.end()
        wait_until(lambda: engine.finished, "the end of the sound")
        with pytest.raises(MonitorError, match="has ended"):
            engine.change(Change((added,)))
    finally:
        engine.stop()
    assert [sink.closed for sink in (shared, *sinks)] == [1, 1, 1, 1]
    assert [len(sink.score) for sink in (sinks[0], sinks[2])] == [101, 101]


def test_an_engine_goes_on_where_its_last_stream_is_replaced(bundle: Bundle) -> None:
    one, other = HandFedSource(), HandFedSource()
    engine = build_engine([plan(bundle, one, name="one")], device="cpu")
    engine.start()
    try:
        streams = build_streams([plan(bundle, other, name="other")], device="cpu", precision="float32", pool=None)
        engine.change(Change(tuple(streams)))
        other.write(noise(RATE))
        wait_until(lambda: streams[0].scored == RATE, "all of the sound")
        assert not engine.finished
    finally:
        engine.stop()


def test_stopping_scores_what_has_come_and_ends_what_lasts(bundle: Bundle) -> None:
    source, sink = HandFedSource(), RememberingSink()
    engine = build_engine([plan(with_thresholds(bundle, 1e-20), source, sinks=[sink])], device="cpu")
    engine.start()
    source.write(noise(4 * RATE + 70))
    wait_until(lambda: sink.events, "an anomaly")
    engine.stop()
    assert len(sink.score) == 401
    begun, ended = sink.events
    assert begun.id == ended.id
    assert ended.end_s == pytest.approx(4.01)
    assert sink.closed == 1
    assert [thread.name for thread in threading.enumerate() if thread.name == "engine"] == []


def test_an_engine_that_was_never_started_can_be_stopped(bundle: Bundle) -> None:
    engine = build_engine([blocks(bundle, noise(RATE))[0]], device="cpu")
    engine.stop()
    assert not engine.finished
