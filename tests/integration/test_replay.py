"""Promises of `monitor replay`: it scores exactly like the offline evaluation, and says what it found."""

from __future__ import annotations

import csv
import json
import math
import os
import re
import shutil
import signal
import subprocess
import sys
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import soundfile

from monitor.bundle.bundle import Bundle
from monitor.bundle.bundle_io import save_bundle
from monitor.cli.main import run as command
from monitor.core.errors import EXIT_ANOMALY, EXIT_FAILURE, EXIT_INTERRUPTED, EXIT_OK, EXIT_USAGE
from monitor.core.events import State
from monitor.core.types import FloatArray
from monitor.detection.recording import RecordingResult
from monitor.runtime.monitored_stream import MonitoredStream
from monitor.streaming.portion import Portion, joined
from support.builders import RATE, noise, small_bundle, write_sound
from support.listening import DEADLINE_S, never_alarmed, replay_plan, run_to_end, wait_until
from support.recordings import RememberedProgress, write_recording
from train.calibration.observations import offline_batch, portions_of
from train.commands import evaluate
from train.data.feature_cache import FeatureCache, cache_folder
from train.demo.machine import Machine, MachineSound

KEPT = 1e-3  # relative: the frames of recordings are kept in steps of 0.005 dB, those of a replay are not


def replayed(
    bundle: Bundle, files: Sequence[Path], *, speed: float = math.inf, gapless: bool = False
) -> MonitoredStream:
    """A stream that has heard the files to their end."""
    one, _ = replay_plan(bundle, files, speed=speed, gapless=gapless)
    engine = run_to_end(one)
    assert engine.error is None
    return engine.streams[0]


def offline(bundle: Bundle, cache: Path, file: Path) -> Portion:
    """A recording as training, calibration and evaluation score it."""
    frames = FeatureCache(bundle.config.features, cache).frames(file)
    with offline_batch(bundle, "cpu") as batch:
        first, *others = portions_of(batch, frames)
    for other in others:
        first = joined(first, other)
    return first


def machine_sound(seconds: float, *, seed: int, **fault: object) -> FloatArray:
    """The simulated machine, without the noises that pass by."""
    sound = MachineSound(Machine(sample_rate=RATE, seed=seed, passing_noises=False), **fault)  # type: ignore[arg-type]
    return sound.read(round(seconds * RATE))


def rows(path: Path) -> list[dict[str, str]]:
    """The lines of a scores file."""
    with path.open(newline="") as file:
        return list(csv.DictReader(file))


@pytest.mark.parametrize("speed", [8.0, 50.0, math.inf])
def test_the_score_of_a_replayed_recording_is_that_of_evaluate_at_any_speed(
    bundle: Bundle, data: Path, speed: float
) -> None:
    metrics = evaluate.evaluate(bundle, bundle.config, data, RememberedProgress())
    offline_scores = {Path(file["path"]).name: file["score"] for file in metrics["files"]}
    files = [data / "test_normal" / "normal_00.wav", data / "test_anomaly" / "anomaly_belt.wav"]
    results = replayed(bundle, files, speed=speed).results
    assert [result.name for result in results] == [file.name for file in files]
    for result in results:
        assert result.score == pytest.approx(offline_scores[result.name], rel=KEPT)
        assert result.seconds == pytest.approx(6.0)


def test_every_hop_of_a_replay_scores_as_the_offline_pass_does(
    bundle: Bundle, model: Path, data: Path, tmp_path: Path
) -> None:
    file = data / "test_anomaly" / "anomaly_gear.wav"
    assert command(["replay", str(model), str(file), "--speed", "max", "--headless", "--scores", "s.csv"]) == EXIT_OK
    expected = offline(bundle, cache_folder(bundle.config), file)
    found = rows(tmp_path / "s.csv")
    assert len(found) == len(expected.error) == 1 + 6 * RATE // 160
    assert [float(row["time_s"]) for row in found] == pytest.approx(np.arange(len(found)) * 0.01)
    assert [float(row["error"]) for row in found] == pytest.approx(expected.error, rel=KEPT)
    assert [float(row["score"] or "nan") for row in found] == pytest.approx(expected.score, rel=KEPT, nan_ok=True)
    assert sum(not row["score"] for row in found) == 99  # a second of windows is needed for a score of a second


def test_recordings_of_other_rates_and_channels_score_as_they_do_offline(bundle: Bundle, tmp_path: Path) -> None:
    sound = MachineSound(Machine(sample_rate=48000, seed=5)).read(48000 * 4)
    soundfile.write(tmp_path / "stereo.flac", np.stack([sound, 0.5 * sound], 1), 48000, subtype="PCM_24")
    mean = offline(bundle, tmp_path / "cache", tmp_path / "stereo.flac").rows.mean(axis=0, dtype=np.float64)
    (result,) = replayed(bundle, [tmp_path / "stereo.flac"]).results
    assert result.score == pytest.approx(float(bundle.scorer()(mean, whole_recordings=True)), rel=KEPT)


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
    broken = write_sound(tmp_path / "broken.wav", machine_sound(12, seed=9, fault="bearing", onset_s=6.0))
    stream = replayed(bundle, [broken])
    (event,) = stream.events
    assert 5.5 <= event.start_s <= 8.0
    assert event.duration_s is not None
    assert event.start_s + event.duration_s == pytest.approx(12.0, abs=0.1)
    assert event.peak > event.mean > event.threshold
    assert stream.latest.state is State.ANOMALY
    assert stream.latest.finished
    assert stream.latest.anomalies == 1


def test_normal_sound_of_another_moment_raises_no_alarm(bundle: Bundle, data: Path) -> None:
    stream = replayed(bundle, sorted((data / "test_normal").iterdir()))
    assert stream.anomalies == 0
    assert not stream.events


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
    assert events[0]["id"] == events[1]["id"] != events[2]["id"] == events[3]["id"]
    assert events[1]["peak"] > events[1]["threshold"]
    assert events[1]["duration_s"] > 1


def test_a_recording_above_all_normal_ones_is_an_anomaly_in_all_outputs(
    bundle: Bundle, data: Path, tmp_path: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    """Although it was over before there could be an alarm."""
    known = bundle.thresholds["recording"].model_copy(update={"length_s": 1.0, "highest": 1.0})
    calm = never_alarmed(bundle)
    save_bundle(replace(calm, thresholds=calm.thresholds | {"recording": known}), tmp_path / "calm.safetensors")
    broken, outputs = data / "test_anomaly" / "anomaly_bearing.wav", ["--events", "events.jsonl", "--pictures", "seen"]
    run = ["replay", "calm.safetensors", str(broken), "--speed", "max", "--headless"]
    assert command([*run, *outputs, "--fail-on-anomaly"]) == EXIT_ANOMALY
    begun, ended = [json.loads(line) for line in (tmp_path / "events.jsonl").read_text().splitlines()]
    assert (begun["kind"], begun["cause"], begun["end_s"]) == ("anomaly", "recording", None)
    assert (ended["id"], ended["start_s"]) == (begun["id"], 0.0)
    assert ended["end_s"] == pytest.approx(soundfile.info(broken).duration, abs=0.01)
    assert len(list((tmp_path / "seen").iterdir())) == 1
    said = capfd.readouterr().out
    assert "ANOMALY: above all normal recordings, " in said
    assert "1 anomaly, the last in anomaly_bearing.wav." in said


BAD_FILES = [("missing.wav", None), ("empty.wav", b""), ("text.wav", b"RIFFnot a wav"), ("mel.npy", b"x")]


@pytest.mark.parametrize(("name", "content"), BAD_FILES)
def test_a_file_that_cannot_be_played_is_one_sentence_before_anything_starts(
    model: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str], name: str, content: bytes | None
) -> None:
    if content is not None:
        (tmp_path / name).write_bytes(content)
    assert command(["replay", str(model), name, "--speed", "max", "--headless"]) == EXIT_FAILURE
    printed = capsys.readouterr()
    assert name in printed.err
    assert len(printed.err.splitlines()) == 1
    assert not printed.out


@pytest.mark.parametrize(("name", "content"), BAD_FILES)
def test_one_bad_file_among_many_is_named_and_the_others_are_judged(
    model: Path, data: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str], name: str, content: bytes | None
) -> None:
    if content is not None:
        (tmp_path / name).write_bytes(content)
    good = [str(data / "test_normal" / f"normal_0{number}.wav") for number in range(2)]
    assert command(["replay", str(model), good[0], name, good[1], "--speed", "max", "--headless"]) == EXIT_FAILURE
    printed = capsys.readouterr()
    assert f"monitor: {name}: " in printed.err
    for number in range(2):
        assert f"normal_0{number}.wav" in printed.out
    assert "LOST" not in printed.out


def test_a_folder_stands_for_its_recordings(
    model: Path, data: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / "day" / "below").mkdir(parents=True)
    (tmp_path / "day" / "notes.txt").touch()
    shutil.copy(data / "test_normal" / "normal_00.wav", tmp_path / "day" / "part 10.wav")
    shutil.copy(data / "test_normal" / "normal_01.wav", tmp_path / "day" / "part 9.wav")
    (tmp_path / "day" / "below" / "more").symlink_to(data / "test_anomaly")
    assert command(["replay", str(model), "day", "--speed", "max", "--headless", "--events", "e.jsonl"]) == EXIT_OK
    printed = capsys.readouterr().out
    table = printed[printed.rindex("recording") :]
    assert table.index("anomaly_belt.wav") < table.index("part 9.wav") < table.index("part 10.wav")
    sources = {json.loads(line)["source"] for line in (tmp_path / "e.jsonl").read_text().splitlines()}
    assert "anomaly_bearing.wav" in sources


def test_a_folder_without_recordings_is_one_sentence(
    model: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / "day").mkdir()
    assert command(["replay", str(model), "day", "--speed", "max", "--headless"]) == EXIT_FAILURE
    assert "day: is a folder without recordings" in capsys.readouterr().err


def test_what_was_heard_before_a_recording_broke_off_is_kept(model: Path, tmp_path: Path) -> None:
    path = write_recording(tmp_path / "damaged.flac", seconds=6)
    whole = soundfile.read(path)[0]
    soundfile.write(path, whole, RATE, format="FLAC")
    content = path.read_bytes()
    at = len(content) * 2 // 3
    path.write_bytes(content[:at] + bytes(2000) + content[at + 2000 :])
    arguments = ["replay", str(model), str(path), "--speed", "max", "--headless", "--scores", "s.csv"]
    code = command(arguments)
    assert len(rows(tmp_path / "s.csv")) > 100
    assert code == EXIT_FAILURE


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
    model: Path, tmp_path: Path, sent: signal.Signals, code: int
) -> None:
    broken = write_recording(tmp_path / "long.wav", seconds=60, seed=3, fault="bearing")
    scores, events = tmp_path / "s.csv", tmp_path / "e.jsonl"
    process = subprocess.Popen(
        [sys.executable, "-m", "monitor", "replay", model, broken, "--speed", "2", "--headless",
         "--scores", scores, "--events", events],
        stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, env=os.environ | {"OMP_NUM_THREADS": "1"},
    )  # fmt: skip
    try:
        wait_until(lambda: events.exists() and events.read_text().endswith("\n"), "an event")
        process.send_signal(sent)
        _, errors = process.communicate(timeout=DEADLINE_S)
    finally:
        process.kill()
        process.wait()
    assert process.returncode == code
    assert "Traceback" not in errors
    begun, ended = [json.loads(line) for line in events.read_text().splitlines()]
    assert begun["end_s"] is None
    assert ended["end_s"] is not None
    assert scores.read_text().endswith("\n")
    assert len(rows(scores)) >= round(ended["end_s"] / 0.01)


def test_the_result_of_a_recording_says_how_many_anomalies_were_in_it(bundle: Bundle, data: Path) -> None:
    files = [data / "test_normal" / "normal_00.wav", data / "test_anomaly" / "anomaly_bearing.wav"]
    results: list[RecordingResult] = replayed(bundle, files).results
    assert [result.anomalies for result in results] == [0, 1]


@pytest.mark.parametrize("fault", ["bearing", "imbalance", "belt", "gear"])
def test_a_sudden_fault_is_reported_within_three_seconds_with_the_bands_that_contribute(
    bundle: Bundle, tmp_path: Path, fault: str
) -> None:
    sound = machine_sound(20, seed=77, fault=fault, onset_s=10.0, ramp_s=0.05)
    stream = replayed(bundle, [write_sound(tmp_path / "fault.wav", sound)])
    first = next(event for event in stream.events if event.kind == "anomaly")
    assert 10 <= first.start_s <= first.reported_s <= 13
    assert first.cause == "sudden"
    assert first.bands
    assert first.bands[0].change == "new"
    assert first.model_id == bundle.model_id


def test_a_machine_that_is_switched_off_is_off_and_no_anomaly_and_has_time_to_run_up(
    bundle: Bundle, tmp_path: Path
) -> None:
    alarm = bundle.config.alarm.model_copy(update={"run_up_s": 4.0})
    bundle = replace(bundle, config=bundle.config.model_copy(update={"alarm": alarm}))
    sound = machine_sound(26, seed=78)
    sound[8 * RATE : 14 * RATE] = noise(6 * RATE, amplitude=1e-4)
    file, tables = write_sound(tmp_path / "off.wav", sound), []
    for speed in (math.inf, 20.0):
        stream = replayed(bundle, [file], speed=speed)
        tables.append([(event.kind, event.start_s, event.end_s) for event in stream.events])
        assert stream.latest.state is State.NORMAL
    assert tables[0] == tables[1], "at any speed"
    [(kind, start, end)] = tables[0]
    assert kind == "off"
    assert 8.9 <= start <= 9.7
    assert 14.4 <= end <= 15.1


def test_what_lasts_when_the_recording_ends_is_ended_with_it(bundle: Bundle, tmp_path: Path) -> None:
    sound = machine_sound(8, seed=79)
    sound[5 * RATE :] = 1e-5
    stream = replayed(bundle, [write_sound(tmp_path / "off.wav", sound)])
    assert [(event.kind, event.end_s) for event in stream.events] == [("off", pytest.approx(8.0, abs=0.05))]


# Pictures


@pytest.mark.parametrize("speed", ["max", "20"])
def test_a_replay_leaves_a_picture_of_each_anomaly(model: Path, tmp_path: Path, speed: str) -> None:
    broken = write_recording(tmp_path / "broken.wav", seconds=12.0, seed=7, fault="bearing")
    loud = write_sound(tmp_path / "hiss.wav", noise(12 * 16000, amplitude=0.3))
    options = ["--speed", speed, "--headless", "--pictures", "seen", "--events", "events.jsonl"]
    assert command(["replay", str(model), str(broken), str(loud), *options]) == EXIT_OK
    events = [json.loads(line) for line in Path("events.jsonl").read_text(encoding="utf-8").splitlines()]
    began = sum(event["kind"] == "anomaly" and event["end_s"] is None for event in events)
    assert began >= 1
    names = [path.name for path in Path("seen").iterdir()]
    assert len(names) == began
    assert all(re.fullmatch(r"anomaly-\d{8}T\d{6}Z-(broken|hiss)(-\d)?\.png", name) for name in names)


def test_pictures_that_cannot_be_written_end_a_replay_at_once(
    model: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    sound = write_sound(tmp_path / "hiss.wav", noise(16000))
    (tmp_path / "file").touch()
    assert command(["replay", str(model), str(sound), "--headless", "--pictures", "file"]) == EXIT_FAILURE
    out, err = capsys.readouterr()
    assert "cannot be written" in err
    assert not out


def test_a_replay_on_a_processor_loads_neither_torch_nor_matplotlib_before_there_is_an_anomaly(tmp_path: Path) -> None:
    """Which is why it starts in a moment, and takes little memory."""
    save_bundle(never_alarmed(small_bundle()), tmp_path / "model.safetensors")
    write_sound(tmp_path / "a.wav", noise(RATE))
    script = (
        "import sys; from monitor.cli.main import run\n"
        "code = run(['replay', 'model.safetensors', 'a.wav', '--speed', 'max', '--headless', '--pictures', 'p',"
        " '--set', 'train.device=cpu'])\n"
        "print(code, [name for name in ('torch', 'matplotlib') if name in sys.modules], file=sys.stderr)"
    )
    done = subprocess.run(
        [sys.executable, "-c", script], check=True, capture_output=True, text=True, timeout=DEADLINE_S
    )
    assert done.stderr.splitlines()[-1] == f"{EXIT_OK} []"
