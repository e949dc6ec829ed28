"""Promises of `monitor replay`: it scores exactly like the offline evaluation, and says what it found."""

from __future__ import annotations

import csv
import json
import math
import os
import signal
import subprocess
import sys
import time
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import soundfile
import torch
from conftest import RATE, Told, write_recording

from monitor.bundle.bundle import Bundle
from monitor.cli.main import run as command
from monitor.runtime.engine import Engine
from monitor.core.errors import EXIT_ANOMALY, EXIT_FAILURE, EXIT_INTERRUPTED, EXIT_OK, EXIT_USAGE
from monitor.config.loader import load_config
from monitor.core.snapshot import State
from monitor.sources.source import WavReplay
from monitor.runtime.monitored_stream import Station
from monitor.streaming.stream import ScoreStream
from train.demo.synthetic import Machine, MachineSound
from monitor.detection.detector import RecordingResult
from train.commands import evaluate as assess
from train.calibration.thresholds import scores_of
from train.data.feature_cache import FrameCache, cache_folder

KEPT = 1e-3  # relative: the frames of recordings are kept in steps of 0.005 dB, those of a replay are not


def replayed(bundle: Bundle, files: list[Path], *, speed: float = math.inf, gapless: bool = False) -> Station:
    """A station that has heard the files to their end."""
    source = WavReplay(files, RATE, speed=speed, gapless=gapless)
    station = Station(bundle, source, bundle.config, model_name="test")
    engine = Engine([station])
    engine.start()
    deadline = time.monotonic() + 60
    while not engine.finished and time.monotonic() < deadline:
        time.sleep(0.01)
    engine.stop()
    assert engine.error is None
    return station


def rows(path: Path) -> list[dict[str, str]]:
    """The lines of a scores file."""
    with path.open(newline="") as file:
        return list(csv.DictReader(file))


@pytest.mark.parametrize("speed", [8.0, 50.0, math.inf])
def test_the_score_of_a_replayed_recording_is_that_of_evaluate_at_any_speed(
    bundle: Bundle, data: Path, speed: float
) -> None:
    metrics = assess.evaluate(bundle, bundle.config, data, Told(), None)
    offline = {Path(file["path"]).name: file["score"] for file in metrics["files"]}
    files = [data / "test_normal" / "normal_00.wav", data / "test_anomaly" / "anomaly_belt.wav"]
    results = replayed(bundle, files, speed=speed).results
    assert [result.name for result in results] == [file.name for file in files]
    for result in results:
        assert result.score == pytest.approx(offline[result.name], rel=KEPT)
        assert result.seconds == pytest.approx(6.0)


def test_every_hop_of_a_replay_scores_as_the_offline_pass_does(
    bundle: Bundle, model: Path, data: Path, tmp_path: Path
) -> None:
    file = data / "test_anomaly" / "anomaly_gear.wav"
    assert command(["replay", str(model), str(file), "--speed", "max", "--headless", "--scores", "s.csv"]) == EXIT_OK
    frames = FrameCache(bundle.config.features, cache_folder(bundle.config)).frames(file)
    parts = list(scores_of(ScoreStream(bundle), frames))
    error = torch.cat([part.error[0] for part in parts]).numpy()
    score = torch.cat([part.score[0] for part in parts]).numpy()
    found = rows(tmp_path / "s.csv")
    assert len(found) == len(error) == 1 + 6 * RATE // 160
    assert [float(row["time_s"]) for row in found] == pytest.approx(np.arange(len(found)) * 0.01)
    assert [float(row["error"]) for row in found] == pytest.approx(error, rel=KEPT)
    assert [float(row["score"] or "nan") for row in found] == pytest.approx(score, rel=KEPT, nan_ok=True)
    assert sum(not row["score"] for row in found) == 99  # a second of windows is needed for a score of a second


def test_recordings_of_other_rates_and_channels_are_heard_as_they_are_trained_on(
    bundle: Bundle, tmp_path: Path
) -> None:
    sound = MachineSound(Machine(sample_rate=48000, seed=5)).read(48000 * 4)
    soundfile.write(tmp_path / "stereo.flac", np.stack([sound, 0.5 * sound], 1), 48000, subtype="PCM_24")
    frames = FrameCache(bundle.config.features, tmp_path / "cache").frames(tmp_path / "stereo.flac")
    parts = list(scores_of(ScoreStream(bundle), frames))
    mean = torch.cat([part.rows[0] for part in parts]).double().mean(dim=0)
    (result,) = replayed(bundle, [tmp_path / "stereo.flac"]).results
    assert result.score == pytest.approx(float(bundle.scorer()(mean, whole=True)), rel=KEPT)


def test_pieces_of_a_recording_played_gaplessly_score_like_the_whole(bundle: Bundle, tmp_path: Path) -> None:
    whole = write_recording(tmp_path / "whole.wav", seed=7)
    samples, _ = soundfile.read(whole, dtype="int16")
    pieces = []
    for number, piece in enumerate(np.split(samples, [12_345, 50_000])):
        pieces.append(tmp_path / f"{number}.wav")
        soundfile.write(pieces[-1], piece, RATE)
    (one,) = replayed(bundle, [whole]).results
    (joined,) = replayed(bundle, pieces, gapless=True).results
    assert joined.score == pytest.approx(one.score, rel=1e-5)
    assert joined.seconds == pytest.approx(one.seconds)
    assert len(replayed(bundle, pieces).results) == 3


def test_a_fault_that_sets_in_is_an_event_that_begins_with_it_and_is_the_state_at_the_end(
    bundle: Bundle, tmp_path: Path
) -> None:
    sound = MachineSound(Machine(sample_rate=RATE, seed=9, passing_noises=False), fault="bearing", onset_s=6.0)
    soundfile.write(tmp_path / "broken.wav", sound.read(12 * RATE), RATE)
    station = replayed(bundle, [tmp_path / "broken.wav"])
    (event,) = station.events
    assert 5.5 <= event.start_s <= 8.0
    assert event.duration_s is not None
    assert event.start_s + event.duration_s == pytest.approx(12.0, abs=0.1)
    assert event.peak > event.mean > event.threshold
    assert station.latest.state is State.ANOMALY
    assert station.latest.finished
    assert station.latest.anomalies == 1


def test_normal_sound_of_another_moment_raises_no_alarm(bundle: Bundle, data: Path) -> None:
    station = replayed(bundle, sorted((data / "test_normal").iterdir()))
    assert station.anomalies == 0
    assert not station.events


def test_the_snapshot_shows_the_last_minute_of_the_stream(bundle: Bundle, data: Path) -> None:
    files = [data / "test_normal" / "normal_00.wav", data / "test_normal" / "normal_01.wav"]
    latest = replayed(bundle, files).latest
    # Each recording has a frame more than it has hops.
    assert len(latest.error_history) == 121
    assert latest.spectrogram.shape == (121, 64)
    assert np.isfinite(latest.spectrogram).all()
    assert np.nanmax(latest.score_history) > 0
    assert np.isnan(latest.score_history[:9]).all()
    assert -40 < latest.level_dbfs < -15
    assert latest.position_s == pytest.approx(6.0)


def test_the_threshold_can_be_changed_while_it_runs(bundle: Bundle, data: Path) -> None:
    source = WavReplay([data / "test_normal" / "normal_02.wav"], RATE, speed=math.inf)
    station = Station(bundle, source, bundle.config, model_name="test")
    engine = Engine([station])
    station.scale_threshold(1e-6)
    engine.start()
    while not engine.finished:
        time.sleep(0.01)
    assert station.anomalies == 1
    assert station.events[0].threshold == pytest.approx(bundle.thresholds["score"].value * 1e-6)


def test_exit_code_5_says_that_there_was_an_anomaly_if_asked(model: Path, data: Path) -> None:
    broken = str(data / "test_anomaly" / "anomaly_bearing.wav")
    well = str(data / "test_normal" / "normal_00.wav")
    base = ["replay", str(model), "--speed", "max", "--headless"]
    assert command([*base, broken, "--fail-on-anomaly"]) == EXIT_ANOMALY
    assert command([*base, broken]) == EXIT_OK
    assert command([*base, well, "--fail-on-anomaly"]) == EXIT_OK


def test_events_are_appended_as_json_lines_with_begin_and_end(model: Path, data: Path, tmp_path: Path) -> None:
    broken = str(data / "test_anomaly" / "anomaly_bearing.wav")
    for _ in range(2):
        command(["replay", str(model), broken, "--speed", "max", "--headless", "--events", "events.jsonl"])
    events = [json.loads(line) for line in (tmp_path / "events.jsonl").read_text().splitlines()]
    assert [event["end_s"] is None for event in events] == [True, False, True, False]
    assert events[0]["start_s"] == events[1]["start_s"]
    assert events[1]["peak"] > events[1]["threshold"]
    assert events[1]["duration_s"] > 1


@pytest.mark.parametrize(
    ("name", "content"), [("missing.wav", None), ("empty.wav", b""), ("text.wav", b"RIFFnot a wav"), ("mel.npy", b"x")]
)
def test_a_file_that_cannot_be_played_is_one_sentence_before_anything_starts(
    model: Path, data: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str], name: str, content: bytes | None
) -> None:
    if content is not None:
        (tmp_path / name).write_bytes(content)
    good = str(data / "test_normal" / "normal_00.wav")
    assert command(["replay", str(model), good, name, "--speed", "max", "--headless"]) == EXIT_FAILURE
    printed = capsys.readouterr()
    assert name in printed.err
    assert len(printed.err.splitlines()) == 1
    assert not printed.out


def test_what_was_heard_before_a_recording_broke_off_is_kept(model: Path, tmp_path: Path) -> None:
    path = write_recording(tmp_path / "cut.flac", seconds=6)
    whole = soundfile.read(path)[0]
    soundfile.write(path, whole, RATE, format="FLAC")
    path.write_bytes(path.read_bytes()[: path.stat().st_size * 2 // 3])
    arguments = ["replay", str(model), str(path), "--speed", "max", "--headless", "--scores", "s.csv"]
    code = command(arguments)
    assert len(rows(tmp_path / "s.csv")) > 100
    assert code in (EXIT_OK, EXIT_FAILURE)


def test_a_scores_file_that_cannot_be_written_is_one_sentence(
    model: Path, data: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    file = str(data / "test_normal" / "normal_00.wav")
    assert command(["replay", str(model), file, "--scores", "/dev/null/x.csv", "--headless"]) == EXIT_FAILURE
    assert "/dev/null/x.csv" in capsys.readouterr().err


@pytest.mark.parametrize("speed", ["0", "-1", "fast", "nan"])
def test_an_impossible_speed_is_refused(model: Path, data: Path, speed: str) -> None:
    assert command(["replay", str(model), str(data), "--speed", speed]) == EXIT_USAGE


@pytest.mark.parametrize(("sent", "code"), [(signal.SIGINT, EXIT_INTERRUPTED), (signal.SIGTERM, EXIT_OK)])
def test_ending_it_from_outside_keeps_every_score_and_ends_the_event(
    model: Path, data: Path, tmp_path: Path, sent: signal.Signals, code: int
) -> None:
    broken = write_recording(tmp_path / "long.wav", seconds=60, seed=3, fault="bearing")
    arguments = [
        "replay",
        model,
        broken,
        "--headless",
        "--scores",
        tmp_path / "s.csv",
        "--events",
        tmp_path / "e.jsonl",
    ]
    process = subprocess.Popen(
        [sys.executable, "-m", "monitor", *arguments],
        stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, env=os.environ | {"OMP_NUM_THREADS": "1"},
    )  # fmt: skip
    try:
        deadline = time.monotonic() + 60
        events = tmp_path / "e.jsonl"
        while not (events.exists() and events.read_text()) and time.monotonic() < deadline:
            time.sleep(0.05)
        process.send_signal(sent)
        _, errors = process.communicate(timeout=30)
    finally:
        process.kill()
    assert process.returncode == code
    assert "Traceback" not in errors
    begun, ended = [json.loads(line) for line in events.read_text().splitlines()]
    assert begun["end_s"] is None
    assert ended["end_s"] is not None
    assert (tmp_path / "s.csv").read_text().endswith("\n")
    assert len(rows(tmp_path / "s.csv")) >= round(ended["end_s"] / 0.01)


def test_a_recording_result_tells_how_many_anomalies_were_in_it(bundle: Bundle, data: Path) -> None:
    files = [data / "test_normal" / "normal_00.wav", data / "test_anomaly" / "anomaly_bearing.wav"]
    results: list[RecordingResult] = replayed(bundle, files).results
    assert [result.anomalies for result in results] == [0, 1]


def test_an_unforeseen_error_in_the_worker_is_told_and_not_taken_for_the_end(
    bundle: Bundle, data: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def fail(*_: object) -> None:
        raise ZeroDivisionError("by nobody's fault")

    monkeypatch.setattr("monitor.streaming.ensemble.ScoreStream.push", fail)
    source = WavReplay([data / "test_normal" / "normal_00.wav"], RATE, speed=math.inf)
    engine = Engine([Station(bundle, source, bundle.config, model_name="test")])
    engine.start()
    deadline = time.monotonic() + 30
    while not engine.finished and time.monotonic() < deadline:
        time.sleep(0.01)
    assert engine.finished
    assert "by nobody's fault" in str(engine.error)


def heard(bundle: Bundle, sound: np.ndarray, path: Path, speed: float = math.inf) -> Station:
    soundfile.write(path, sound, RATE, subtype="FLOAT")
    return replayed(bundle, [path], speed=speed)


@pytest.mark.parametrize("fault", ["bearing", "imbalance", "belt", "gear"])
def test_a_sudden_fault_is_told_within_three_seconds_with_what_carries_it(
    bundle: Bundle, tmp_path: Path, fault: str
) -> None:
    sound = MachineSound(
        Machine(sample_rate=RATE, seed=77, passing_noises=False), fault=fault, onset_s=10.0, ramp_s=0.05
    ).read(20 * RATE)
    station = heard(bundle, sound, tmp_path / "fault.wav")
    first = next(event for event in station.events if event.kind == "anomaly")
    assert 10 <= first.start_s <= first.told_s <= 13
    assert first.cause == "sudden"
    assert first.bands
    assert first.bands[0].change == "new"
    assert first.model_id == bundle.digest


def test_a_machine_that_is_switched_off_is_off_and_no_anomaly_and_has_time_to_run_up(
    bundle: Bundle, tmp_path: Path
) -> None:
    bundle = replace(bundle, config=load_config(base=bundle.config, overrides=("alarm.run_up_s=4",)))
    sound = MachineSound(Machine(sample_rate=RATE, seed=78, passing_noises=False)).read(26 * RATE).astype(np.float64)
    sound[8 * RATE : 14 * RATE] = 1e-4 * np.random.default_rng(0).standard_normal(6 * RATE)
    tables = []
    for number, speed in enumerate((math.inf, 20.0)):
        station = heard(bundle, sound, tmp_path / f"{number}.wav", speed)
        tables.append([(event.kind, event.start_s, event.end_s) for event in station.events])
        assert station.latest.state is State.NORMAL
    assert tables[0] == tables[1], "at any speed"
    [(kind, start, end)] = tables[0]
    assert kind == "off"
    assert 8.9 <= start <= 9.7
    assert 14.4 <= end <= 15.1


def test_what_lasts_when_the_recording_ends_is_ended_with_it(bundle: Bundle, tmp_path: Path) -> None:
    sound = MachineSound(Machine(sample_rate=RATE, seed=79, passing_noises=False)).read(8 * RATE).astype(np.float64)
    sound[5 * RATE :] = 1e-5
    station = heard(bundle, sound, tmp_path / "off.wav")
    assert [(event.kind, event.end_s) for event in station.events] == [("off", pytest.approx(8.0, abs=0.05))]
