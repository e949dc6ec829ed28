"""Recordings as they come from recorders, phones and broken copies, through the commands that use them."""

from __future__ import annotations

import json
import struct
from pathlib import Path

import numpy as np
import pytest
import soundfile

from monitor.bundle.bundle_io import load_bundle
from monitor.cli.main import run as command
from monitor.core.errors import EXIT_FAILURE, EXIT_OK
from support.builders import RATE, noise, write_sound
from support.recordings import write_recording

QUICK = ("--speed", "max", "--headless", "--log-json")


def replayed(model: Path, *recordings: Path) -> int:
    """Replays recordings; returns the exit code."""
    return command(["replay", str(model), *map(str, recordings), *QUICK])


def facts_of(text: str) -> list[dict[str, object]]:
    """The facts of each recording, from the lines that `--log-json` prints."""
    found = [json.loads(line) for line in text.splitlines() if line.startswith("{")]
    return [one for one in found if one.get("kind") == "recording"]


def test_calibration_with_channels_that_cancel_each_other_is_refused_and_the_model_stays_as_it_is(
    model: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    mine = tmp_path / "mine.safetensors"
    mine.write_bytes(model.read_bytes())
    for number in range(3):
        sound = noise(3 * RATE, seed=number)
        write_sound(tmp_path / "inverted" / f"{number}.wav", np.stack([sound, -sound], axis=1))
    assert command(["calibrate", str(mine), str(tmp_path / "inverted"), "--force"]) == EXIT_FAILURE
    assert "its channels cancel each other" in capsys.readouterr().err
    assert mine.read_bytes() == model.read_bytes()
    assert command(["calibrate", str(mine), str(tmp_path / "inverted"), "--force", "--channel", "1"]) == EXIT_OK


def test_a_recording_whose_recorder_was_killed_is_judged_as_the_whole_of_it(
    model: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    whole = write_recording(tmp_path / "whole.wav", seed=50)
    killed = tmp_path / "killed.wav"
    content = bytearray(whole.read_bytes())
    content[4:8], content[40:44] = struct.pack("<I", 36), bytes(4)
    killed.write_bytes(content)
    assert replayed(model, whole, killed) == EXIT_OK
    first, second = facts_of(capsys.readouterr().out)
    assert second["seconds"] == 6.0
    assert second["score"] == pytest.approx(first["score"])


def test_a_cut_off_recording_is_refused_before_it_is_judged(
    model: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    path = tmp_path / "cut.w64"
    soundfile.write(path, noise(6 * RATE), RATE)
    path.write_bytes(path.read_bytes()[:100_000])
    assert replayed(model, path) == EXIT_FAILURE
    captured = capsys.readouterr()
    assert "is cut off" in captured.err
    assert not facts_of(captured.out)


def test_short_recordings_are_judged_by_a_limit_for_their_length_or_said_to_be_too_short(
    model: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    lengths = (1.0, 2.5, 6.0)
    paths = [write_recording(tmp_path / f"{seconds}.wav", seconds=seconds, seed=60) for seconds in lengths]
    replayed(model, *paths)
    found = facts_of(capsys.readouterr().out)
    limit = load_bundle(model).thresholds["recording"].value
    assert found[0]["limit"] is None
    assert "too short to judge as a whole" in str(found[0]["reason"])
    assert isinstance(found[1]["limit"], float)
    assert found[1]["limit"] > limit
    assert found[2]["limit"] == limit


def test_evaluate_has_the_same_limits_as_replay_and_does_not_count_what_is_too_short(
    model: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    folder = tmp_path / "lengths"
    paths = [write_recording(folder / f"{n}.wav", seconds=length, seed=60) for n, length in enumerate((1.0, 2.5, 6.0))]
    replayed(model, *paths)
    limits = [one["limit"] for one in facts_of(capsys.readouterr().out)]
    assert command(["evaluate", str(model), str(folder), "--json", "figures.json"]) == EXIT_OK
    figures = json.loads(Path("figures.json").read_text())
    assert (figures["n_normal"], figures["n_too_short"]) == (2, 1)
    assert figures["files"][0]["limit"] is None
    assert [one["limit"] for one in figures["files"][1:]] == pytest.approx(limits[1:], rel=0.01)
    assert "Too short to judge as a whole, and not counted: 1 recording." in capsys.readouterr().out


def test_recordings_of_a_low_sample_rate_and_dead_channels_are_told_once(
    model: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    phones = [write_sound(tmp_path / f"phone{n}.wav", noise(4 * 8000, seed=n), 8000) for n in range(2)]
    stereo = np.zeros((4 * RATE, 2), np.float32)
    stereo[:, 0] = noise(4 * RATE)
    halves = [write_sound(tmp_path / f"half{n}.wav", stereo) for n in range(2)]
    replayed(model, *phones, *halves)
    messages = capsys.readouterr()
    lines = (messages.out + messages.err).splitlines()
    [narrow] = [line for line in lines if "recorded at 8000 samples a second" in line]
    assert f"{phones[0]} and 1 other recording: " in narrow
    [dead] = [line for line in lines if "channel 1 (counted from 0) is silent" in line]
    assert f"{halves[0]}: " in dead
