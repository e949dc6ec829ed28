"""What a microphone is made of, without one: pace, silence, accounts, the device callback, names of devices."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import time
import tracemalloc
from collections import deque
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest
import torch
from builders import small_bundle, small_config
from hypothesis import given
from hypothesis import strategies as st

from monitor.bundle.bundle import save_bundle
from monitor.sources.device.portaudio import Writer
from monitor.cli.main import run
from monitor.sources.device.devices import Device, choose
from monitor.runtime.engine import Engine
from monitor.core.errors import ConfigError, MonitorError, SourceLost
from monitor.sources.preprocess import Intake
from monitor.model.autoencoder import Autoencoder, Inference
from monitor.sources.gap_detector import Hole, Pace
from monitor.audio.ring_buffer import SampleRing
from monitor.outputs.sink import ScoreRows
from monitor.core.snapshot import Event, State
from monitor.audio.quality import Soundness
from monitor.sources.source import Mark
from monitor.runtime.monitored_stream import Station
from monitor.streaming.stream import ScoreStream
from monitor.sources.stream_health import Watch

RATE = 1000
QUIET = np.zeros(RATE, np.float32)


class Device16k:
    """A live source that is fed by hand."""

    live, speed, name, channel = True, 1.0, "by hand", "mix"

    def __init__(self, rate: int = 16000) -> None:
        self.ring, self.sample_rate = SampleRing(40 * rate), rate
        self.marks: deque[Mark] = deque()
        self.error: MonitorError | None = None
        self.lost_since: float | None = None
        self.overflows = 0

    def start(self) -> None:
        """Nothing to start."""

    def stop(self) -> None:
        """Nothing to stop."""

    def end(self) -> None:
        self.marks.append(Mark(self.ring.written, "end"))


class Kept:
    """A sink that remembers."""

    def __init__(self) -> None:
        self.error, self.dropped = None, 0
        self.rows: list[ScoreRows] = []
        self.events: list[Event] = []

    def frames(self, first: int, power: np.ndarray) -> None:
        """Not kept."""

    def event(self, event: Event) -> None:
        self.events.append(event)

    def scores(self, rows: ScoreRows) -> None:
        self.rows.append(rows)

    def close(self) -> None:
        """Nothing is open."""


def noise(samples: int, seed: int = 0) -> np.ndarray:
    return (0.1 * np.random.default_rng(seed).standard_normal(samples)).astype(np.float32)


def watched(arrivals: list[tuple[float, int]]) -> list[Hole]:
    """What Pace tells of portions that arrive at these times."""
    ring = SampleRing(60 * RATE)
    pace = Pace(ring, RATE)
    told = []
    now = 100.0
    for at, samples in arrivals:
        while now < 100.0 + at:
            told.append(pace.look(now))
            now += 0.01
        ring.write(np.zeros((samples, 1), np.float32))
        ring.written_at = now
        told.append(pace.look(now))
    return [hole for hole in told if hole is not None]


def steady(start: float, seconds: float, portion_s: float = 0.1, rate: float = RATE) -> list[tuple[float, int]]:
    count = round(seconds / portion_s)
    return [(start + (i + 1) * portion_s, round(portion_s * rate)) for i in range(count)]


@pytest.mark.parametrize("portion_s", [0.01, 0.05, 0.1, 0.25])
def test_sound_that_comes_in_portions_has_no_gap(portion_s: float) -> None:
    assert watched(steady(0, 20, portion_s)) == []


def test_a_sound_card_whose_clock_is_a_little_wrong_has_no_gap() -> None:
    assert watched([(0.10003 * (i + 1), 100) for i in range(3000)]) == []


def test_a_stall_whose_sound_comes_late_and_at_once_is_one_gap_of_its_length() -> None:
    (gap,) = watched([*steady(0, 5), (8.0, 3000), *steady(8.0, 5)])
    assert gap.kind == "gap"
    assert gap.ended is not None
    assert 2.9 < gap.ended - gap.began < 4.0


def test_a_stall_whose_sound_never_comes_is_one_gap_of_its_length() -> None:
    (gap,) = watched([*steady(0, 5), *steady(8.0, 5)])
    assert gap.ended is not None
    assert 2.9 < gap.ended - gap.began < 4.0


def test_a_minute_of_standstill_is_one_gap_however_much_of_its_sound_comes_late() -> None:
    """More than the worker would catch up with, and more than the ring holds."""
    ring = SampleRing(30 * RATE)
    source = SimpleNamespace(ring=ring, lost_since=None, overflows=0)
    intake = Intake(ring, RATE, RATE, "mix", hold_silence=False)
    watch = Watch(source, intake)
    told, now = [], 100.0
    for at, samples in [*steady(0, 5), *((65.0 + 0.01 * i, 10_000) for i in range(6)), *steady(65.1, 3)]:
        while now < 100.0 + at:
            told += watch.look(now)
            now += 0.01
        ring.write(np.zeros((samples, 1), np.float32))
        ring.written_at = now
        told += watch.look(now)  # twice, as the worker may, before it throws anything away
        told += watch.look(now)
        intake.discard() if watch.deaf else intake.take(ring.capacity)
    begun, ended = told
    assert (begun.kind, begun.ended) == (ended.kind, None) == ("gap", None)
    assert 60.0 < ended.ended - ended.began < 61.5


def test_time_that_is_missing_without_a_stall_is_found() -> None:
    (gap,) = watched([*steady(0, 5), *steady(5.3, 6)])
    assert gap.ended is not None
    assert 0.25 < gap.ended - gap.began < 0.35


def test_the_device_callback_leaves_no_allocation_behind_and_needs_little_meanwhile() -> None:
    """Twice around the ring, with and without a status flag."""
    writer = Writer(SampleRing(16000, 2))
    block = np.ones((160, 2), np.float32)
    when = SimpleNamespace(currentTime=time.time())
    overflow = SimpleNamespace(_flags=2, input_overflow=True)
    for _ in range(50):
        writer(block, 160, when, None)
        writer(block, 160, when, overflow)
    blocks = sys.getallocatedblocks()
    for _ in range(100):
        writer(block, 160, when, None)
        writer(block, 160, when, overflow)
    assert sys.getallocatedblocks() - blocks <= 2  # the numbers that the index and the clock are
    tracemalloc.start()
    try:
        writer(block, 160, when, None)
        before, _ = tracemalloc.get_traced_memory()
        tracemalloc.reset_peak()
        for _ in range(200):
            writer(block, 160, when, None)
        after, peak = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()
    assert after - before < 512
    assert peak - before < 2048  # views of the ring and of the block, never a copy of the sound: 1280 bytes
    assert writer.overflows == 150
    assert writer.flags == 2


@given(cuts=st.lists(st.integers(1, 400), min_size=1, max_size=8), zeros=st.integers(0, 400))
def test_a_short_silence_is_judged_like_any_sound(cuts: list[int], zeros: int) -> None:
    sound = np.concatenate((noise(700), np.zeros(zeros, np.float32), noise(700, 1)))
    ring = SampleRing(4 * RATE)
    intake = Intake(ring, RATE, RATE, "mix", hold_silence=True)
    parts, start, turn = [], 0, 0
    while start < len(sound):
        piece = sound[start : start + cuts[turn % len(cuts)]]
        ring.write(piece[:, None])
        parts.append(intake.take(RATE).samples)
        start, turn = start + len(piece), turn + 1
    np.testing.assert_array_equal(np.concatenate(parts), sound)
    assert intake.discarded == 0


@pytest.mark.parametrize("constant", [0.0, 0.25])
def test_what_does_not_change_is_no_signal_and_is_not_judged(constant: float) -> None:
    device, kept = Device16k(), Kept()
    config = small_config()
    station = Station(small_bundle(config), device, config, model_name="m", sinks=[kept])
    engine = Engine([station])
    sound = noise(32000)
    device.ring.write(sound[:, None])
    device.ring.write(np.full((16000, 1), constant, np.float32))
    engine.start()
    wait_until(lambda: station.latest.state is State.NO_SIGNAL)
    scored = sum(len(rows.score) for rows in kept.rows)
    device.ring.write(noise(16000, 5)[:, None])
    wait_until(lambda: station.latest.state is not State.NO_SIGNAL)
    device.end()
    wait_until(lambda: engine.finished)
    assert [e.kind for e in kept.events if e.kind != "anomaly"] == ["no signal"] * 2
    assert scored <= 200
    assert station.discarded == 16000
    assert station.captured == station.scored + station.discarded == 64000


def test_every_sample_is_scored_or_said_to_be_lost_and_no_window_spans_a_gap() -> None:
    device, kept = Device16k(), Kept()
    config = small_config()
    bundle = small_bundle(config)
    station = Station(bundle, device, config, model_name="m", sinks=[kept])
    engine = Engine([station])
    first, second = noise(24000), noise(24000, 1)
    engine.start()
    for block in np.split(first, 150):
        device.ring.write(block[:, None])
    wait_until(lambda: station.scored == 24000)
    device.lost_since = time.monotonic()
    wait_until(lambda: station.latest.state is State.LOST)
    old, device.ring = device.ring, SampleRing(16000 * 40)
    old.write(noise(800, 2)[:, None])  # what still came, and is thrown away
    device.lost_since = None
    wait_until(lambda: station.latest.state is not State.LOST)
    for block in np.split(second, 150):
        device.ring.write(block[:, None])
    wait_until(lambda: station.scored == 48000)
    device.end()
    wait_until(lambda: engine.finished)
    assert station.captured == station.scored + station.discarded == 48800
    assert [e.kind for e in kept.events if e.kind == "lost"] == ["lost", "lost"]
    lost = [e for e in kept.events if e.kind == "lost"][-1]
    assert lost.end_s is not None
    assert lost.end_s > lost.start_s
    # After the hole the scores are those of a stream that begins there.
    fresh = ScoreStream(bundle)
    parts = [fresh.push(torch.from_numpy(second)[None])[1].error, fresh.flush()[1].error]
    expected = torch.cat(parts, dim=1)[0].numpy()
    got = np.concatenate([rows.error for rows in kept.rows])
    np.testing.assert_allclose(got[-len(expected) :], expected, rtol=1e-5)


def test_folded_batch_norms_reconstruct_the_same() -> None:
    model: Autoencoder = small_bundle().model.eval()
    windows = torch.randn(50, model.dense_enc1.in_features, generator=torch.Generator().manual_seed(3))
    with torch.inference_mode():
        torch.testing.assert_close(Inference(model)(windows), model(windows), rtol=1e-5, atol=1e-5)


def test_a_device_is_found_by_number_name_and_part_of_a_name() -> None:
    devices = [
        Device(0, "HDA Intel: ALC (hw:0,0)", "ALSA", 2, 44100, False),
        Device(3, "USB Audio: (hw:1,0)", "ALSA", 1, 48000, False),
        Device(4, "default", "ALSA", 32, 44100, True),
    ]
    assert choose(devices, "").index == 4
    assert choose(devices, "3").index == 3
    assert choose(devices, "usb").index == 3
    with pytest.raises(SourceLost, match="There are: 0 'HDA Intel"):
        choose(devices, "Blue")
    with pytest.raises(ConfigError, match="say more"):
        choose(devices, "hw:")
    with pytest.raises(ConfigError, match="number 7"):
        choose(devices, "7")
    with pytest.raises(SourceLost, match="no microphone"):
        choose([], "")
    with pytest.raises(ConfigError, match="channels are 0 to 1"):
        devices[0].needed_channels(2)
    assert [device.needed_channels("mix") for device in devices] == [2, 1, 1]


@pytest.mark.parametrize(
    ("sound", "reason"),
    [
        (np.zeros(10 * RATE, np.float32), "silent"),
        (np.full(10 * RATE, 0.3, np.float32), "silent"),
        (np.sign(noise(10 * RATE)), "clipped"),
    ],
)
def test_sound_that_is_silent_or_clipped_is_not_learnt_from(sound: np.ndarray, reason: str) -> None:
    doubt = Soundness(RATE).doubt(sound)
    assert doubt is not None
    assert reason in doubt


def test_sound_is_steady_where_its_level_is_and_not_where_it_drifts_or_swings() -> None:
    def verdict(levels: np.ndarray) -> str | None:
        soundness = Soundness(RATE)
        sound = noise(30 * RATE) * np.repeat(levels, RATE).astype(np.float32)
        assert soundness.doubt(sound) is None
        return soundness.unsteadiness()

    assert verdict(np.ones(30)) is None
    assert "went from" in (verdict(np.linspace(0.5, 1.5, 30)) or "")
    assert "swings" in (verdict(np.tile([0.3, 1.0], 15)) or "")


def test_bench_says_how_late_scores_and_callbacks_are(tmp_path: Path) -> None:
    file = tmp_path / "bench.json"
    assert run(["bench", "--only", "latency", "--seconds", "1", "--json", str(file)]) == 0
    figures = json.loads(file.read_text())["latency"]
    assert 0.1 < figures["algorithmic_s"] < 0.11
    for name in ("processing_s", "callback_lateness_s"):
        assert figures[name]["count"] > 10
        assert 0 < figures[name]["median"] <= figures[name]["p99"] <= figures[name]["worst"]
    assert figures["overflows"] == figures["dropped_samples"] == 0


def wait_until(true: object, seconds: float = 20.0) -> None:
    deadline = time.monotonic() + seconds
    while not true():  # type: ignore[operator]
        assert time.monotonic() < deadline, "it did not happen"
        time.sleep(0.01)


@pytest.mark.parametrize(
    "arguments", [["devices"], ["record", "--minutes", "1", "--out", "r"], ["live", "m", "--headless"]]
)
def test_without_the_audio_library_a_sentence_names_the_package_to_install(
    tmp_path: Path, arguments: list[str]
) -> None:
    (tmp_path / "sounddevice.py").write_text("raise OSError('PortAudio library not found')")
    save_bundle(small_bundle(small_config()), tmp_path / "m")
    found = os.pathsep.join((str(tmp_path), str(Path(__file__).parents[1])))
    done = subprocess.run(
        [sys.executable, "-m", "monitor", *arguments],
        cwd=tmp_path, env=os.environ | {"PYTHONPATH": found}, check=False, capture_output=True, text=True,
    )  # fmt: skip
    assert done.returncode == 1
    assert "apt-get install libportaudio2" in done.stderr
    assert "Traceback" not in done.stderr


def test_a_microphone_that_comes_back_under_another_name_is_waited_for_and_told() -> None:
    """Whether it is the right one only the user knows: the sentence says which there are."""
    with pytest.raises(SourceLost, match=r"no microphone called 'USB Audio'\. There are: 0 'Line in'"):
        choose([Device(0, "Line in", "ALSA", 1, 48000, True)], "USB Audio")
