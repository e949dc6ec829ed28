"""Reading a data set for training: the split, the recordings that are left out, and the messages about them."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import soundfile

from monitor.config.schema import Config
from monitor.core.errors import ConfigError, DataError
from support.builders import noise, small_config, write_sound
from support.logs import logged
from support.recordings import RememberedProgress
from train.commands.prepare import Prepared, prepare


def prepared(data: Path, config: Config | None = None) -> tuple[Prepared, list[str]]:
    """The frames of a data set, and the logged messages."""
    with logged("train") as messages:
        return prepare(config or small_config(), data, RememberedProgress()), messages


def test_recordings_that_cannot_be_used_are_named_and_left_out(tmp_path: Path) -> None:
    for number in range(3):
        write_sound(tmp_path / f"good_{number}.wav", noise(16_000, seed=number))
    (tmp_path / "text.wav").write_text("this is no sound")
    soundfile.write(tmp_path / "silent.wav", np.zeros(32000), 16000)
    soundfile.write(tmp_path / "clipped.wav", np.sign(np.sin(np.arange(32000))), 16000)
    soundfile.write(tmp_path / "short.wav", np.full(800, 0.1), 16000)
    found, messages = prepared(tmp_path)
    assert sorted(frames.path.name for frames in found.training + found.held_out) == [
        f"good_{number}.wav" for number in range(3)
    ]
    for name, why in (
        ("text", "not a recording"),
        ("silent", "silent"),
        ("clipped", "clipped"),
        ("short", "too short"),
    ):
        assert any(f"{name}.wav" in message and why in message for message in messages), name
    assert len(messages) == 4


def test_a_copy_of_a_recording_is_named_and_left_out(tmp_path: Path) -> None:
    """A held-out copy of a training recording would give too good results."""
    for number, seed in enumerate((0, 1, 0)):
        write_sound(tmp_path / f"{number}.wav", noise(16_000, seed=seed))
    found, [message] = prepared(tmp_path)
    assert sorted(frames.path.name for frames in found.training + found.held_out) == ["0.wav", "1.wav"]
    assert "2.wav" in message
    assert "the same as" in message


def test_the_same_reason_is_given_once_with_the_number_of_recordings(tmp_path: Path) -> None:
    for number in range(3):
        write_sound(tmp_path / f"good_{number}.wav", noise(16_000, seed=number))
    for number in range(5):
        write_sound(tmp_path / f"short_{number}.wav", noise(800 + 160 * number, seed=number))
        write_sound(tmp_path / f"silent_{number}.wav", np.zeros(16_000 + number))
    _, messages = prepared(tmp_path)
    assert [message.split(": ")[0] for message in messages] == ["Left out"] * 2
    for message, name, why in zip(messages, ("short", "silent"), ("too short: 6 frames", "silent."), strict=True):
        assert message.startswith(f"Left out: 5 recordings, such as {tmp_path}/{name}_0.wav, ")
        assert f"{name}_2.wav: {why}" in message
        assert f"{name}_3.wav" not in message


def test_of_a_single_recording_the_end_is_held_out(tmp_path: Path) -> None:
    write_sound(tmp_path / "long.wav", noise(16_000 * 4))
    found, [message] = prepared(tmp_path)
    [training], [held_out] = found.training, found.held_out
    assert "end is held out" in message
    assert (len(training.power), len(held_out.power)) == (321, 80)
    write_sound(tmp_path / "long.wav", noise(30 * 160))
    with pytest.raises(DataError, match="cannot be split"):
        prepared(tmp_path)


def test_nothing_usable_is_an_error_that_says_what_was_looked_for(tmp_path: Path) -> None:
    with pytest.raises(DataError, match=r"train_normal/.*ToyADMOS.*DCASE"):
        prepared(tmp_path)
    (tmp_path / "bad.wav").write_text("this is no sound")
    with pytest.raises(DataError, match="none of its 1 normal recording"):
        prepared(tmp_path)


def test_without_normal_tests_the_held_out_recordings_are_tested(tmp_path: Path) -> None:
    """They are the only normal ones that the network was not trained on."""
    for number in range(4):
        write_sound(tmp_path / "train" / f"{number}.wav", noise(16_000, seed=number))
    write_sound(tmp_path / "test" / "anomaly.wav", noise(16_000, seed=9))
    found, _ = prepared(tmp_path)
    assert [frames for frames, anomaly in found.test if not anomaly] == found.held_out
    assert [frames.path.name for frames, anomaly in found.test if anomaly] == ["anomaly.wav"]


def test_recordings_no_longer_than_what_is_cut_off_their_ends_are_refused(tmp_path: Path) -> None:
    write_sound(tmp_path / "a.wav", noise(16_000))
    with pytest.raises(ConfigError, match=r"score\.cut_frames is 51"):
        prepared(tmp_path, small_config("score.cut_frames=51"))
