"""A clip that is played again gives the scores and the anomaly of the stream that it was cut from."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import soundfile

import monitor
from monitor.audio.writer import as_int16
from monitor.bundle.bundle import Bundle
from monitor.clips.clip_sink import ClipSink
from monitor.clips.folder import ClipFolder
from monitor.config.plant import Clips
from monitor.core.events import Event
from monitor.outputs.named import NamedSink
from monitor.store import queries
from monitor.store.database import Store
from monitor.store.recorder import Recorder
from monitor.store.writer import StoreWriter
from support.builders import RATE, noise, small_config
from support.clock import Clock
from support.listening import RememberingSink, alarmed_by_loud_noise, replay_plan, run_to_end
from support.live_stream import MODULES, LiveStream
from train.demo.machine import Machine, MachineSound

pytestmark = pytest.mark.long

SAME = {"rtol": 1e-4, "atol": 1e-4}


def settings(**changed: Any) -> Clips:
    return Clips(**{"min_free_gb": 0, "pictures": False} | changed)


def machine(seconds: float, fault: str | None = None) -> np.ndarray:
    return MachineSound(Machine(sample_rate=RATE, seed=100, passing_noises=False), fault=fault).read(
        round(seconds * RATE)
    )


def with_fault(share: float) -> np.ndarray:
    """The machine with a fault from 40.03 s to 65 s, of a share of its strength: (n,)."""
    sound, faulty = machine(95.0), machine(95.0, "belt")
    where = slice(round(40.03 * RATE), 65 * RATE)
    sound[where] += share * (faulty - sound)[where]
    return sound


def anomalies(sink: RememberingSink, shift_s: float = 0.0) -> list[tuple[float | None, ...]]:
    """Start, report, end and peak of each anomaly."""
    return [
        (event.start_s + shift_s, event.reported_s + shift_s, event.end_s + shift_s, event.peak)
        for event in sink.events
        if event.kind == "anomaly" and event.end_s is not None
    ]


def run_up_of(bundle: Bundle) -> int:
    """Scores at the beginning of a clip that the sound before it would have changed."""
    return round(bundle.config.score.window_s / bundle.config.features.hop_s) + 2 * bundle.config.features.window_frames


@pytest.mark.parametrize(("share", "cause"), [(1.0, "sudden"), (0.3, "lasting")])
def test_a_clip_gives_the_same_scores_and_the_same_anomaly(
    tmp_path: Path, model: Path, bundle: Bundle, share: float, cause: str
) -> None:
    soundfile.write(tmp_path / "long.wav", with_fault(share), RATE, subtype="PCM_16")
    plan, sink = replay_plan(bundle, [tmp_path / "long.wav"])
    clips = ClipSink(ClipFolder(tmp_path / "clips", settings()), bundle, wait=True)
    run_to_end(replace(plan, sinks=[sink, NamedSink(clips, "pump")]))
    [event] = [one for one in sink.events if one.kind == "anomaly" and one.end_s is not None]
    assert event.cause == cause
    [clip] = (tmp_path / "clips" / "pump").rglob("*.flac")

    plan, again = replay_plan(bundle, [clip])
    run_to_end(plan)
    hop_s = bundle.config.features.hop_s
    first = np.flatnonzero(np.isfinite(again.score))[0]
    wall = again.rows[0].wall_time - sink.rows[0].wall_time  # where the clip begins, by its metadata
    began, ends = round(wall / hop_s), round(wall / hop_s) + len(again.score)
    assert began * hop_s == pytest.approx(wall, abs=1e-4), "at a frame of the stream"
    # The first scores average over less, and the last windows end with the clip.
    part = slice(first + run_up_of(bundle), len(again.score) - bundle.config.features.window_frames)
    np.testing.assert_allclose(again.score[part], sink.score[began:ends][part], **SAME)
    np.testing.assert_allclose(anomalies(again, began * hop_s), anomalies(sink), **SAME)

    samples, rate = soundfile.read(clip, dtype="int16")
    np.testing.assert_allclose(monitor.load(model).score(samples, rate).score, again.score, **SAME)


def test_the_store_knows_the_clip_the_picture_and_what_is_missing(tmp_path: Path, bundle: Bundle) -> None:
    soundfile.write(tmp_path / "long.wav", with_fault(1.0)[: 50 * RATE], RATE, subtype="PCM_16")
    plan, sink = replay_plan(bundle, [tmp_path / "long.wav"])
    url = f"sqlite:///{tmp_path / 'store.sqlite'}"
    writer = StoreWriter(url, "here")
    folder = ClipFolder(tmp_path / "clips", settings(pictures=True), files=writer.files)
    outputs = [NamedSink(one, "pump") for one in (ClipSink(folder, bundle, wait=True), Recorder(writer))]
    run_to_end(replace(plan, sinks=[sink, *outputs]))
    writer.close()
    event = next(one for one in sink.events if one.kind == "anomaly")
    with Store.open(url) as store:
        found = queries.event(store, event.id)
    assert (tmp_path / "clips" / found.clip).is_file()
    assert (tmp_path / "clips" / found.picture).is_file()
    assert found.clip_start is not None
    assert found.clip_start == pytest.approx(event.wall_time - 10.0, abs=2.0)
    assert "the recording ended" in found.note or "the monitoring ended" in found.note


SETTINGS = small_config(
    "alarm.warm_up_s=0.5", "alarm.run_up_s=2", "alarm.hold_s=0.3", "alarm.release_s=0.3", "alarm.cool_down_s=1"
)
BUNDLE = alarmed_by_loud_noise(SETTINGS)


def heard(seconds: float, seed: int, gain: float = 1.0, rate: int = RATE) -> np.ndarray:
    """Noise within full scale (n,): normal, or an anomaly with a gain of four."""
    return np.clip(gain * noise(round(seconds * rate), seed=seed), -1.0, 32767 / 32768)


@pytest.mark.parametrize("interruption", ["lost", "gap", "silence"])
def test_a_clip_ends_at_an_interruption_and_behind_it_clips_are_still_where_the_scores_are(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, interruption: str
) -> None:
    clips = ClipSink(ClipFolder(tmp_path, settings(before_s=3, after_s=2)), BUNDLE)
    live = LiveStream(Clock(monkeypatch, *MODULES), BUNDLE, sinks=[clips])
    faulty = heard(4.0, 2, 4.0)
    live.hear(heard(7.0, 1))
    live.hear(faulty)
    match interruption:
        case "lost":
            live.lose(3.3337)
        case "gap":
            live.clock.sleep(3.3337)
        case "silence":
            live.hear(np.zeros(round(3.3337 * RATE), np.float32))
    for seed, (seconds, gain) in enumerate([(7.0, 1), (4.0, 4), (5.0, 1)]):
        live.hear(heard(seconds, 3 + seed, gain))
    live.end()
    clips.close()
    before, after = _ended(live.events("anomaly"))
    end = _samples_of(tmp_path, before)[-RATE // 2 :]
    parts = np.lib.stride_tricks.sliding_window_view(as_int16(faulty), len(end))
    assert (parts == end).all(axis=1).any(), "nothing of after the interruption"
    assert_scores_are_those_of_the_stream(tmp_path, after, live.sink)


def test_a_sink_that_joins_a_running_stream_knows_where_it_is(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Settings of clips that change while a stream runs make a new sink: its clips are where the scores are."""
    rate = 44_100  # so that hops do not end where deliveries do
    live = LiveStream(Clock(monkeypatch, *MODULES), BUNDLE, rate)
    live.hear(heard(5.3334, 1, rate=rate))
    assert len(live.stream.input.cutter.remainder) > 20
    clips = ClipSink(ClipFolder(tmp_path, settings(before_s=3, after_s=2)), BUNDLE)
    live.stream.use_sinks([live.sink, clips])
    for seed, (seconds, gain) in enumerate([(7.0, 1), (4.0, 4), (5.0, 1)]):
        live.hear(heard(seconds, seed, gain, rate))
    live.end()
    clips.close()
    [event] = _ended(live.events("anomaly"))
    assert_scores_are_those_of_the_stream(tmp_path, event, live.sink)


def _ended(events: list[Event]) -> list[Event]:
    return [event for event in events if event.end_s is not None]


def _samples_of(folder: Path, event: Event) -> np.ndarray:
    [path] = folder.rglob(f"*{event.id}.flac")
    samples, _ = soundfile.read(path, dtype="int16")
    return np.asarray(samples)


def assert_scores_are_those_of_the_stream(folder: Path, event: Event, sink: RememberingSink) -> None:
    """Scores the clip of an event, and compares the scores with those of the stream at the same places."""
    [path] = folder.rglob(f"*{event.id}.flac")
    with soundfile.SoundFile(path) as file:
        at_s = float(file.comment.partition("anomaly_at_s=")[2].split()[0])
    scores = monitor.Model(BUNDLE).score(_samples_of(folder, event), RATE).score
    first = round((event.start_s - at_s) / BUNDLE.config.features.hop_s)
    in_stream = np.full(len(scores), np.nan)
    for rows in sink.rows:
        at = rows.first - first + np.arange(len(rows.score))
        inside = (at >= 0) & (at < len(scores))
        in_stream[at[inside]] = rows.score[inside]
    part = slice(np.flatnonzero(np.isfinite(scores))[0] + run_up_of(BUNDLE), len(scores) - 20)
    assert len(scores[part]) > 200
    assert np.isfinite(scores[part]).all()
    # Noise is not made of 16-bit integers, so the scores differ a little.
    np.testing.assert_allclose(scores[part], in_stream[part], rtol=0.001)
