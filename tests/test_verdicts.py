"""Promises of a stream's verdicts: they do not depend on how the sound came in, and nothing waits for ever."""

from __future__ import annotations

import dataclasses
from dataclasses import replace

import numpy as np
import torch
from builders import noise, pieces, small_bundle, small_config
from hypothesis import given, settings
from hypothesis import strategies as st
from test_streams import Kept

from monitor.bundle.bundle import Bundle
from monitor.streaming.ensemble import Ensemble, Lane
from monitor.sources.source import Mark
from monitor.detection.detector import Verdicts

HOP, RATE = 160, 16000
SETTINGS = small_config(
    "alarm.warm_up_s=0.2", "alarm.run_up_s=0.5", "alarm.hold_s=0.3", "alarm.release_s=0.2", "alarm.cool_down_s=0.2"
)
LOUDNESS = [0.1] * 4 + [0.0] * 4 + [0.1] * 4 + [0.4] * 2 + [0.1] * 4  # by half-seconds


def bundle() -> Bundle:
    """A model to which about a tenth of this sound is an anomaly."""
    made = small_bundle(SETTINGS)
    sound = torch.from_numpy(heard())[None]
    [portion] = Ensemble(made, 1).push(sound, [0])
    limit = float(np.nanquantile(portion.score, 0.9))
    thresholds = made.thresholds | {"score": replace(made.thresholds["score"], value=limit)}
    return replace(made, thresholds=thresholds)


def heard() -> np.ndarray:
    loudness = np.repeat(np.array(LOUDNESS, np.float32), RATE // 2)
    return noise(len(loudness), seed=3, amplitude=1.0) * loudness


def listening(*, recordings: bool) -> tuple[Kept, Verdicts, Lane]:
    """What judges a stream of the model, with its only sink and where it is computed."""
    kept = Kept()
    verdicts = Verdicts(
        MODEL, MODEL.config, Mark(0, "recording", "x"), stream="", stream_speed=1.0, recordings=recordings,
        sinks=[kept], drift=None,
    )  # fmt: skip
    lane = Lane(Ensemble(MODEL, 1), 0)
    verdicts.join(lane)
    return kept, verdicts, lane


def judged(cuts: list[int]) -> tuple[list[dict[str, object]], Kept, Verdicts]:
    """Events, without their times of day, of the sound in portions of so many hops."""
    kept, verdicts, lane = listening(recordings=True)
    sound = heard()
    for part in pieces(len(sound) // HOP, cuts):
        verdicts.use(lane.push(torch.from_numpy(sound[part.start * HOP : part.stop * HOP])))
    verdicts.use(lane.flush(torch.zeros(0)))
    verdicts.end(len(sound) / RATE)
    events = [dataclasses.asdict(replace(event, wall_time=0.0)) for event in kept.events]
    return events, kept, verdicts


MODEL = bundle()


@settings(max_examples=10, deadline=None)
@given(cuts=st.lists(st.integers(3, 130), min_size=1, max_size=4))
def test_any_portions_tell_the_same_events_and_the_same_last_minute(cuts: list[int]) -> None:
    events, kept, verdicts = judged(cuts)
    expected, kept_whole, whole = judged([50])
    assert {event["kind"] for event in expected} == {"anomaly", "off"}
    assert [(e["kind"], e["start_s"], e["end_s"], e["told_s"], e["cause"]) for e in events] == [
        (e["kind"], e["start_s"], e["end_s"], e["told_s"], e["cause"]) for e in expected
    ]
    np.testing.assert_allclose([e["peak"] for e in events], [e["peak"] for e in expected], rtol=1e-4)
    np.testing.assert_allclose(kept.score, kept_whole.score, rtol=1e-4)
    for ours, theirs in zip(verdicts.history.view()[1:], whole.history.view()[1:], strict=True):
        np.testing.assert_allclose(ours, theirs, rtol=1e-3, atol=1e-3)
    assert verdicts.results[0].anomalies == whole.results[0].anomalies
    np.testing.assert_allclose(verdicts.results[0].score, whole.results[0].score, rtol=1e-4)


def test_an_anomaly_is_told_by_the_very_hop_that_decides_it() -> None:
    """However seldom it is judged otherwise."""
    expected = [event["told_s"] for event in judged([1])[0] if event["kind"] == "anomaly"]
    kept, verdicts, lane = listening(recordings=False)
    sound, windows, told = heard(), 0, []
    for start in range(0, len(sound), HOP):
        portion = lane.push(torch.from_numpy(sound[start : start + HOP]))
        before = len(kept.events)
        verdicts.use(portion)
        windows += len(portion.score)
        told += [
            (windows - 1) * HOP / RATE
            for event in kept.events[before:]
            if event.kind == "anomaly" and event.end_s is None
        ]
    assert told
    np.testing.assert_allclose(told, sorted(set(expected))[: len(told)], atol=1e-9)
