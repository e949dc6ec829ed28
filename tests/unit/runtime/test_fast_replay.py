"""A replay as fast as possible takes long portions, which several threads share; nothing else changes by that."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from monitor.bundle.bundle import Bundle
from monitor.core.events import Event, ScoreRows
from monitor.core.types import FloatArray
from monitor.outputs.sink import Sink
from monitor.runtime.builder import build_engine
from monitor.runtime.engine import Engine
from monitor.scoring.window_stats import WindowStats
from monitor.sources.file_replay import FileReplay
from support.builders import RATE, noise, small_config, write_sound
from support.listening import RememberingSink, alarmed_by_loud_noise, plan, wait_until

PORTION_S = 1.5  # enough windows to be shared by threads


@pytest.fixture(autouse=True)
def _short_portions(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("FAST_CHUNK_S", "LONG_CHUNK_S"):
        monkeypatch.setattr(f"monitor.runtime.stream_input.{name}", PORTION_S)


@pytest.fixture(scope="module")
def bundle() -> Bundle:
    return alarmed_by_loud_noise(small_config())


@pytest.fixture(scope="module")
def recordings(tmp_path_factory: pytest.TempPathFactory) -> list[Path]:
    """Two with a fault, and two that are shorter than a portion."""
    folder = tmp_path_factory.mktemp("recordings")
    lengths = (20 * RATE, RATE // 3, 9 * RATE + 77, RATE)
    files = []
    for number, length in enumerate(lengths):
        samples = noise(length, seed=number)
        samples[length // 2 : length // 2 + 3 * RATE] *= 8
        files.append(write_sound(folder / f"{number}.wav", samples))
    return files


def replayed(
    bundle: Bundle, files: Sequence[Path], *sinks: Sink, processors: int, gapless: bool = False
) -> tuple[Engine, RememberingSink]:
    """Replays recordings, and returns the engine and what it told."""
    sink = RememberingSink()
    source = FileReplay(files, RATE, speed=math.inf, gapless=gapless)
    engine = build_engine(
        [plan(bundle, source, sinks=[sink, *sinks])], device="cpu", precision="float32", processors=processors
    )
    engine.start()
    try:
        wait_until(lambda: engine.finished, "the end of the sound")
    finally:
        engine.stop()
    return engine, sink


@pytest.mark.parametrize("gapless", [False, True])
def test_a_replay_gives_the_same_on_one_processor_and_on_several(
    bundle: Bundle, recordings: list[Path], gapless: bool
) -> None:
    (engine, sink), (expected_engine, expected) = (
        replayed(bundle, recordings, processors=count, gapless=gapless) for count in (3, 1)
    )
    assert engine.error is None
    assert [event.kind for event in expected.events].count("anomaly") >= 2
    assert [without_numbers(event) for event in sink.events] == [without_numbers(event) for event in expected.events]
    for ours, theirs in zip(sink.events, expected.events, strict=True):
        assert (ours.peak, ours.mean) == pytest.approx((theirs.peak, theirs.mean), rel=1e-4)
    np.testing.assert_allclose(sink.score, expected.score, rtol=1e-4)
    assert places_of(sink.rows) == places_of(expected.rows)
    [ours], [theirs] = engine.streams, expected_engine.streams
    assert [(one.name, one.seconds, one.anomalies) for one in ours.results] == [
        (one.name, one.seconds, one.anomalies) for one in theirs.results
    ]
    assert ours.scored == ours.captured == theirs.captured
    assert ours.latest.finished


def without_numbers(event: Event) -> Event:
    """An event without what differs by rounding, or from run to run."""
    return replace(event, id="", peak=0.0, mean=0.0, bands=())


def places_of(rows: Sequence[ScoreRows]) -> list[tuple[str, int]]:
    """The recording and the number of each window."""
    return [(one.source, one.first + index) for one in rows for index in range(len(one.score))]


class Sequenced(Sink):
    """Notes in which order sound and scores come: seconds of sound, or of scores."""

    def __init__(self) -> None:
        self.calls: list[tuple[str, float]] = []

    def samples(self, samples: FloatArray) -> None:
        self.calls.append(("sound", len(samples) / RATE))

    def scores(self, rows: ScoreRows) -> None:
        self.calls.append(("scores", len(rows.score) * rows.hop_s))


def test_a_sink_that_gets_the_sound_gets_its_scores_before_further_sound(
    bundle: Bundle, recordings: list[Path], monkeypatch: pytest.MonkeyPatch
) -> None:
    """A clip is cut from the last sound when an event is reported: it has to be there still."""
    monkeypatch.setattr("monitor.runtime.stream_input.LONG_CHUNK_S", 10 * PORTION_S)
    sequenced = Sequenced()
    replayed(bundle, recordings[:1], sequenced, processors=2)
    ahead = 0.0
    for kind, seconds in sequenced.calls:
        ahead += seconds if kind == "sound" else -seconds
        assert ahead <= PORTION_S + 0.2
    assert [kind for kind, _ in sequenced.calls].count("scores") > 5


def test_what_came_before_a_portion_that_cannot_be_computed_is_reported_and_nothing_after_it(
    bundle: Bundle, recordings: list[Path], monkeypatch: pytest.MonkeyPatch
) -> None:
    write, hop_s, failing_from = WindowStats.write, bundle.config.features.hop_s, 6 * PORTION_S
    computed: list[int] = []  # windows of each call, on any thread

    def fail(stats: WindowStats, frames: FloatArray, rows: FloatArray) -> None:
        computed.append(rows.shape[1])
        if sum(computed) * hop_s > failing_from:
            raise ZeroDivisionError("by nobody's fault")
        write(stats, frames, rows)

    monkeypatch.setattr(WindowStats, "write", fail)
    engine, sink = replayed(bundle, recordings, processors=2)
    assert "by nobody's fault" in str(engine.error)
    assert failing_from - 2 * PORTION_S <= len(sink.score) * hop_s <= failing_from
    assert places_of(sink.rows) == [("0.wav", number) for number in range(len(sink.score))], "none is missing"
    assert sink.closed == 1


def test_a_replay_that_is_stopped_reports_all_that_it_has_taken(bundle: Bundle, recordings: list[Path]) -> None:
    sink, hop = RememberingSink(), bundle.config.features.hop_length
    source = FileReplay(recordings[:1], RATE, speed=math.inf)
    engine = build_engine([plan(bundle, source, sinks=[sink])], device="cpu", precision="float32", processors=2)
    engine.start()
    try:
        wait_until(lambda: len(sink.rows) > 0, "scores")
    finally:
        engine.stop()
    [stream] = engine.streams
    assert engine.error is None
    assert stream.scored + stream.discarded == stream.captured
    assert len(sink.score) == stream.scored // hop + 1
    assert places_of(sink.rows) == [("0.wav", number) for number in range(len(sink.score))]
