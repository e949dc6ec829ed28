"""Whole commands, with a model and recordings: what they refuse, and what programs can read of them."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from monitor.bundle.bundle_io import save_bundle
from monitor.cli.main import run as command
from monitor.core.errors import EXIT_FAILURE, EXIT_OK, EXIT_USAGE
from support.builders import RATE, noise, small_bundle, small_config, write_sound
from support.listening import DEADLINE_S
from support.settings import SHIPPED, written

QUICK = ("--speed", "max", "--headless", "--log-json")


@pytest.fixture
def small(tmp_path: Path) -> str:
    """The file of a small model that finds noise anomalous."""
    save_bundle(small_bundle(small_config("alarm.warm_up_s=0")), tmp_path / "small.safetensors")
    return "small.safetensors"


@pytest.fixture
def without_audio_library(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """As where libportaudio2 is not installed."""
    (tmp_path / "sounddevice.py").write_text("raise OSError('PortAudio library not found')")
    monkeypatch.syspath_prepend(tmp_path)
    monkeypatch.delitem(sys.modules, "sounddevice", raising=False)
    monkeypatch.setattr("monitor.bench.latency.SETTLE_S", 0.3)


def lines(text: str) -> list[dict[str, Any]]:
    """JSON objects, one a line."""
    found = [json.loads(line) for line in text.splitlines()]
    assert all(isinstance(one, dict) for one in found)
    return found


# What is refused


def test_settings_that_contradict_the_model_are_refused_with_both_values(
    model: Path, data: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert command(["evaluate", str(model), str(data), "--set", "features.n_mels=32"]) == EXIT_USAGE
    error = capsys.readouterr().err
    assert "features.n_mels is 32" in error
    assert "trained with 64" in error


def test_the_shipped_settings_file_does_not_contradict_a_model_that_was_trained_otherwise(
    model: Path, data: Path
) -> None:
    written(SHIPPED.read_text(encoding="utf-8"), "config.yaml")
    assert command(["evaluate", str(model), str(data / "test_normal")]) == EXIT_OK


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (["replay", "small.safetensors"], "add the recordings"),
        (["calibrate", "small.safetensors"], "Give either recordings"),
        (["calibrate", "small.safetensors", "a.wav", "--minutes", "1"], "Give either recordings"),
        (["drift", "small.safetensors", "--stream", "a/b"], "cannot contain a slash"),
        (["replay", "small.safetensors", "a.wav", "--scores", "a.wav", *QUICK], "a.wav: "),
        (["replay", "small.safetensors", "a.wav", "--events", "small.safetensors", *QUICK], "small.safetensors: "),
        (["live", "small.safetensors", "--record", "small.safetensors", "--headless"], "small.safetensors: "),
        (["live", "small.safetensors", "--record", "a.mp3", "--headless"], ".wav or .flac"),
        (["live", "--device", "0", "--headless"], "for one microphone"),
    ],
)
def test_a_command_line_that_makes_no_sense_ends_with_2_and_changes_nothing(
    small: str, arguments: list[str], words: str, capsys: pytest.CaptureFixture[str]
) -> None:
    write_sound(Path("a.wav"), noise(RATE))
    before = {path: path.read_bytes() for path in Path().iterdir()}
    assert command(arguments) == EXIT_USAGE
    assert words in capsys.readouterr().err
    assert {path: path.read_bytes() for path in Path().iterdir()} == before


@pytest.mark.parametrize(
    "arguments",
    [
        ["devices"],
        ["devices", "--json"],
        ["record", "--minutes", "1", "--out", "r"],
        ["live", "small.safetensors", "--headless"],
        ["calibrate", "small.safetensors", "--minutes", "1", "--force"],
        ["bench", "--only", "latency", "--device", "0"],
    ],
)
def test_without_the_audio_library_a_sentence_names_the_package_to_install(
    small: str, without_audio_library: None, arguments: list[str], capsys: pytest.CaptureFixture[str]
) -> None:
    assert command(arguments) == EXIT_FAILURE
    error = capsys.readouterr().err
    assert "apt-get install libportaudio2" in error
    assert "Traceback" not in error


# What programs read


def test_a_replay_gives_one_json_object_a_line_with_states_events_and_the_score_of_each_recording(
    small: str, capfd: pytest.CaptureFixture[str]
) -> None:
    paths = [str(write_sound(Path(name), noise(3 * RATE, seed=n))) for n, name in enumerate(("a.wav", 'q"ü.wav'))]
    write_sound(Path("short.wav"), noise(100))
    assert command(["replay", small, "short.wav", *paths, *QUICK]) == EXIT_OK
    printed = capfd.readouterr()
    assert lines(printed.err) == []
    found = lines(printed.out)
    for line in found:
        assert {"time", "level", "message", "kind"} <= set(line)
    states = [line for line in found if line["kind"] == "state"]
    assert states[-1]["state"] == "ANOMALY"
    assert {"score", "limit", "error", "error_limit", "level_dbfs", "position_s", "not_heard_s"} <= set(states[-1])
    anomalies = [line["event"] for line in found if line["kind"] == "event"]
    assert {event["source"] for event in anomalies if event["kind"] == "anomaly"} == set(paths)
    results = [line for line in found if line["kind"] == "recording"]
    assert [line["recording"] for line in results] == ["short.wav", *paths]
    assert [line["seconds"] for line in results] == [100 / RATE, 3.0, 3.0]
    assert [line["anomalies"] for line in results] == [0, 1, 1]
    limit = small_bundle(small_config()).thresholds["recording"].value
    assert [line["limit"] for line in results] == [None, limit, limit], "the first is too short to judge as a whole"
    assert all(line["score"] > limit for line in results[1:])


def test_several_streams_are_named_in_every_json_line_that_is_of_one(
    small: str, capfd: pytest.CaptureFixture[str]
) -> None:
    write_sound(Path("a.wav"), noise(2 * RATE))
    file = written(
        "streams:\n" + "".join(f"  - {{name: {name}, bundle: {small}, file: a.wav}}\n" for name in ("left", "right"))
    )
    assert command(["replay", "--config", str(file), *QUICK]) == EXIT_OK
    found = lines(capfd.readouterr().out)
    for kind in ("state", "event", "recording"):
        assert {line["stream"] for line in found if line["kind"] == kind} >= {"left", "right"}


@pytest.mark.parametrize("name", ["missing.wav", "two\nlines.wav"])
def test_the_error_that_ends_a_replay_is_a_json_line_too(
    small: str, name: str, capfd: pytest.CaptureFixture[str]
) -> None:
    assert command(["replay", small, name, *QUICK]) == EXIT_FAILURE
    printed = capfd.readouterr()
    [error] = lines(printed.err)
    assert error["level"] == "error"
    assert error["message"] == f"{name}: there is no such file."
    assert printed.out == ""


def test_all_that_live_says_is_json_where_that_is_wanted(
    small: str, without_audio_library: None, capfd: pytest.CaptureFixture[str]
) -> None:
    arguments = ["live", small, "--headless", "--log-json", "--record", "heard.wav"]
    assert command(arguments) == EXIT_FAILURE
    printed = capfd.readouterr()
    assert [line["kind"] for line in lines(printed.out)][-1] == "account"
    *messages, error = lines(printed.err)
    assert any("heard.wav" in line["message"] for line in messages)
    assert (error["level"], "libportaudio2" in error["message"]) == ("error", True)


def test_plain_lines_of_a_replay_are_text_and_end_with_a_table(small: str, capfd: pytest.CaptureFixture[str]) -> None:
    write_sound(Path("a.wav"), noise(3 * RATE))
    assert command(["replay", small, "a.wav", "--speed", "max", "--headless"]) == EXIT_OK
    printed = capfd.readouterr().out
    assert "{" not in printed
    lines = printed.splitlines()
    heading = next(number for number, line in enumerate(lines) if line.split()[:2] == ["recording", "seconds"])
    assert lines[heading + 1].split()[:2] == ["a.wav", "3.0"]
    assert " ANOMALY: sudden" in lines[heading + 1]
    assert lines[-1].startswith("1 anomaly")


def test_a_reader_of_the_lines_that_stops_reading_ends_the_replay_without_a_complaint(small: str) -> None:
    """As in `monitor replay … --headless | head`."""
    write_sound(Path("a.wav"), noise(RATE))
    arguments = ["replay", small, *["a.wav"] * 60, "--speed", "20", "--headless", "--set", "dashboard.log_every_s=0.01"]
    process = subprocess.Popen(
        [sys.executable, "-m", "monitor", *arguments], stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True
    )
    try:
        assert process.stdout is not None
        assert process.stderr is not None
        assert process.stdout.readline()
        process.stdout.close()
        assert process.wait(DEADLINE_S) == EXIT_OK
        assert process.stderr.read() == ""
    finally:
        process.kill()
        process.wait()


# Bench


@pytest.mark.long
def test_the_bench_says_what_one_stream_costs_and_how_late_scores_and_callbacks_are(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr("monitor.bench.latency.SETTLE_S", 0.3)
    arguments = ["bench", "--only", "latency", "--seconds", "2", "--json", "bench.json"]
    assert command(arguments) == EXIT_OK
    figures = json.loads(Path("bench.json").read_text())["latency"]
    assert figures["algorithmic_s"] == pytest.approx(0.106, abs=0.001)
    assert list(figures["ways"]) == ["headless", "watched", "singly", "dashboard"]
    for measured in figures["ways"].values():
        assert measured["cpu_share"] > 0
        for name in ("processing", "lateness"):
            spread = measured[name]
            assert spread["count"] > 0
            assert 0 < spread["median"] <= spread["p99"] <= spread["worst"]
        assert measured["overflows"] == 0
        assert measured["lost_s"] >= 0
