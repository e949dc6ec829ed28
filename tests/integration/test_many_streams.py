"""Many streams by one command: each is named, has settings and outputs of its own, and none disturbs another."""

from __future__ import annotations

import csv
import json
import re
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import soundfile

from monitor.bundle.bundle_io import load_bundle, save_bundle
from monitor.cli.main import run as command
from monitor.config import schema
from monitor.config.loader import load_config
from monitor.core.errors import EXIT_ANOMALY, EXIT_BUNDLE, EXIT_FAILURE, EXIT_OK, EXIT_USAGE
from monitor.detection.drift import Drift, DriftFile
from monitor.streaming.stream_batch import StreamBatch
from support.builders import RATE, SMALL, noise, small_bundle, write_sound
from support.listening import never_alarmed


@pytest.fixture
def hall(tmp_path: Path) -> Path:
    """Three streams in a settings file, in a folder of its own: one of them is anomalous."""
    folder = tmp_path / "hall"
    save_bundle(never_alarmed(small_bundle()), folder / "calm.safetensors")
    save_bundle(never_alarmed(small_bundle(seed=3)), folder / "other.safetensors")
    write_sound(folder / "a.wav", noise(5 * RATE + 123, seed=1))
    write_sound(folder / "b.wav", noise(2 * RATE, seed=2))
    file = folder / "hall.yaml"
    file.write_text(
        "alarm:\n  warm_up_s: 0\n"
        "streams:\n"
        "  - name: press 1\n    bundle: calm.safetensors\n    file: a.wav\n"
        "  - name: press 2\n    bundle: calm.safetensors\n    file: [b.wav, a.wav]\n"
        "    alarm: {threshold: 1e-9, lasting: false}\n"
        "  - name: fan\n    bundle: other.safetensors\n    file: b.wav\n"
    )
    return file


def read_csv(path: Path) -> list[dict[str, str]]:
    with path.open(newline="") as file:
        return list(csv.DictReader(file))


def test_a_replay_of_all_streams_names_each_in_summary_events_and_scores(
    hall: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """Paths count from the settings file, and a stream's alarm settings are its own."""
    arguments = ["replay", "--config", str(hall), "--speed", "max", "--headless", "--scores", "s.csv"]
    assert command([*arguments, "--events", "e.jsonl", "--fail-on-anomaly"]) == EXIT_ANOMALY
    printed = capsys.readouterr().out
    table = printed[printed.index("stream ") :]
    assert re.findall(r"^(press \d|fan) +\S+\.wav ", table, re.MULTILINE) == ["press 1", "press 2", "press 2", "fan"]
    assert "in press 2 (" in printed
    assert "press 1: NORMAL" in printed
    events = [json.loads(line) for line in (tmp_path / "e.jsonl").read_text().splitlines()]
    assert {event["stream"] for event in events} == {"press 2"}
    rows = read_csv(tmp_path / "s.csv")
    assert {row["stream"] for row in rows} == {"press 1", "press 2", "fan"}
    assert {row["source"] for row in rows if row["stream"] == "press 2"} == {"a.wav", "b.wav"}


def test_pictures_of_all_streams_are_in_one_folder_by_their_names(hall: Path, tmp_path: Path) -> None:
    assert command(["replay", "--config", str(hall), "--speed", "max", "--headless", "--pictures", "p"]) == EXIT_OK
    pictures = [path.name for path in (tmp_path / "p").iterdir()]
    assert pictures
    assert all("press-2" in name for name in pictures)


@pytest.mark.parametrize("preset", ["default", "toyadmos"])
def test_one_stream_in_the_settings_gives_what_the_command_with_its_model_gives(tmp_path: Path, preset: str) -> None:
    """The same scores and events: the alarm settings that are stored in the model hold for either."""
    small = [one for one in SMALL if preset == "default" or not one.startswith("score")]
    bundle = small_bundle(load_config(preset=preset, overrides=(*small, "alarm.warm_up_s=0.5")))
    samples = noise(6 * RATE, seed=1)
    [portion] = StreamBatch(bundle).push(samples[None], [0]).portions()
    usual = bundle.thresholds["score"].model_copy(update={"value": float(np.nanquantile(portion.score, 0.6))})
    save_bundle(replace(bundle, thresholds=bundle.thresholds | {"score": usual}), tmp_path / "model.safetensors")
    write_sound(tmp_path / "a.wav", samples)
    (tmp_path / "one.yaml").write_text("streams:\n  - {name: press 1, bundle: model.safetensors, file: a.wav}\n")
    found = []
    for what in (["--config", "one.yaml"], ["model.safetensors", "a.wav"]):
        events = tmp_path / f"{what[0]}.jsonl"
        outputs = ["--scores", "s.csv", "--events", str(events)]
        assert command(["replay", *what, "--speed", "max", "--headless", *outputs]) == EXIT_OK
        rows = [{key: row[key] for key in row if key != "stream"} for row in read_csv(tmp_path / "s.csv")]
        facts = [json.loads(line) for line in events.read_text().splitlines()]
        found.append((rows, [(one["kind"], one["start_s"], one["end_s"], one["reported_s"]) for one in facts]))
    assert found[0] == found[1]
    _, [(kind, start, _, reported), *_] = found[0]
    assert kind == "anomaly"
    assert (reported == start) == (preset == "toyadmos"), "only the article's alarm decides on every score"


@pytest.mark.parametrize("setting", ["features.n_mels=32", "model.bottleneck=9", "score.window_s=1.5"])
def test_settings_that_contradict_a_streams_model_are_refused_with_both_values(
    hall: Path, capsys: pytest.CaptureFixture[str], setting: str
) -> None:
    """As they are where the model is named on the command line."""
    name, _, value = setting.partition("=")
    arguments = ["replay", "--config", str(hall), "--speed", "max", "--headless"]
    assert command([*arguments, "--set", setting]) == EXIT_USAGE
    in_command = capsys.readouterr().err
    group, _, key = name.partition(".")
    hall.write_text(f"{group}:\n  {key}: {value}\n" + hall.read_text())
    assert command(arguments) == EXIT_USAGE
    in_file = capsys.readouterr().err
    for error in (in_command, in_file):
        assert len(error.splitlines()) == 1
        assert f"{name} is {value}" in error
        assert "calm.safetensors was trained with" in error


def test_a_file_that_breaks_off_ends_one_stream_and_the_others_are_scored_to_their_end(
    hall: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    sound = hall.with_name("b.flac")
    soundfile.write(sound, noise(4 * RATE), RATE)
    sound.write_bytes(sound.read_bytes()[: sound.stat().st_size // 2])
    hall.write_text(hall.read_text().replace("file: [b.wav, a.wav]", "file: b.flac"))
    code = command(["replay", "--config", str(hall), "--speed", "max", "--headless", "--scores", "s.csv"])
    printed = capsys.readouterr()
    assert code in (EXIT_OK, EXIT_FAILURE)
    assert "a.wav" in printed.out
    assert "fan" in printed.out
    streams = [row["stream"] for row in read_csv(tmp_path / "s.csv")]
    assert (streams.count("press 1"), streams.count("fan")) == (501, 201)
    assert streams.count("press 2") < 401


@pytest.mark.long
def test_models_and_files_that_cannot_be_used_are_all_named_when_the_others_start_and_at_the_end(
    hall: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    text = hall.read_text()
    hall.write_text(text.replace("bundle: calm", "bundle: missing"))
    assert command(["replay", "--config", str(hall), "--headless"]) == EXIT_BUNDLE
    errors = capsys.readouterr().err.splitlines()
    assert len(errors) == 4  # two when the others start, and two at the end
    for first, second in (errors[:2], errors[2:]):
        assert ("press 1" in first, "press 2" in second) == (True, True)
        assert "missing" in first
        assert "missing" in second
    hall.write_text(text.replace("a.wav", "nowhere.wav"))
    assert command(["replay", "--config", str(hall), "--headless"]) == EXIT_FAILURE
    errors = capsys.readouterr().err.splitlines()
    assert "press 1: " in errors[0]
    assert "nowhere.wav" in errors[-1]  # of press 2, which has played its other recording


@pytest.mark.parametrize("name", ["live", "replay"])
def test_without_a_model_and_without_streams_a_sentence_says_what_to_name(
    name: str, capsys: pytest.CaptureFixture[str]
) -> None:
    assert command([name]) == EXIT_USAGE
    error = capsys.readouterr().err
    assert "streams" in error
    assert len(error.splitlines()) == 1


def test_what_a_stream_has_learnt_is_its_own_and_is_taken_back_by_its_name(
    hall: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    model = hall.with_name("calm.safetensors")
    bundle = load_bundle(model)
    for name in ("press 1", "press 2"):
        drift = Drift(bundle, schema.Drift(enabled=True))
        drift.offsets["residual"][0] = 0.5
        DriftFile.beside(model, bundle, name).save(drift.offsets, drift.share)
    kept = {path.name for path in hall.parent.glob("*.drift.safetensors")}
    assert kept == {"calm.press 1.drift.safetensors", "calm.press 2.drift.safetensors"}
    capsys.readouterr()
    assert command(["drift", str(model), "--stream", "press 2"]) == EXIT_OK
    assert "% of the cap" in capsys.readouterr().out
    assert command(["drift", str(model), "--stream", "press 2", "--undo"]) == EXIT_OK
    assert not hall.with_name("calm.press 2.drift.safetensors").exists()
    assert hall.with_name("calm.press 1.drift.safetensors").exists()


def test_what_is_for_one_microphone_is_refused_for_streams(hall: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert command(["live", "--config", str(hall), "--record", "x.wav"]) == EXIT_USAGE
    assert "--record" in capsys.readouterr().err


def test_check_reports_the_mistakes_of_all_streams_and_shows_streams_so_that_they_can_be_read_back(
    hall: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert command(["check", str(hall)]) == EXIT_OK
    again = hall.with_name("again.yaml")
    again.write_text(capsys.readouterr().out)
    ours, theirs = (load_config(file) for file in (hall, again))
    assert [(s.name, s.alarm) for s in ours.streams] == [(s.name, s.alarm) for s in theirs.streams]
    hall.write_text(hall.read_text().replace("bundle:", "bundel:"))
    assert command(["check", str(hall)]) == EXIT_USAGE
    assert capsys.readouterr().err.count("bundel") == 3
