"""Settings files: each value is the text that was written, and no file can make the program stumble."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from monitor.config.loader import load_config
from monitor.config.schema import Config
from monitor.config.yaml_source import read_with_locations
from monitor.core.errors import ConfigError
from support.settings import mistakes, written
from support.special_files import special_file_of


def test_every_key_is_known_with_its_line_and_column() -> None:
    tree, locations = read_with_locations(
        written("audio:\n  device: USB\n\nstreams:\n  - name: a\n    alarm: {k: 1}\n")
    )
    assert tree == {"audio": {"device": "USB"}, "streams": [{"name": "a", "alarm": {"k": "1"}}]}
    assert locations["audio", "device"] == "settings.yaml:2:3"
    assert locations["streams", "0"] == "settings.yaml:5:5"
    assert locations["streams", "0", "alarm", "k"] == "settings.yaml:6:13"


def test_numbers_with_an_exponent_are_numbers() -> None:
    """YAML 1.1 reads 1e-3 as text."""
    config = load_config(written("train:\n  learning_rate: 1e-3\n  weight_decay: 1E-4\nfeatures:\n  floor: 1e-12\n"))
    assert (config.train.learning_rate, config.train.weight_decay, config.features.floor) == (1e-3, 1e-4, 1e-12)


@pytest.mark.parametrize(("text", "value"), [("on", True), ("off", False), ("yes", True), ("true", True), ("0", False)])
def test_switches_may_be_written_as_one_likes(text: str, value: bool) -> None:
    assert load_config(written(f"dashboard:\n  ascii: {text}\n")).dashboard.ascii is value


def test_words_and_times_stay_what_was_written() -> None:
    """YAML 1.1 makes True of on, 1320 of 22:00 and 8 of 010."""
    assert "'22:00'" in mistakes("features:\n  n_fft: 22:00\n")
    assert "'on'" in mistakes("features:\n  scale: on\n")
    assert load_config(written("train:\n  cache_dir: on\n")).train.cache_dir == Path("on")
    assert load_config(written("train:\n  cache_dir: 22:00\n")).train.cache_dir == Path("22:00")
    assert load_config(written("train:\n  cache_dir: 2024-05-06\n")).train.cache_dir == Path("2024-05-06")
    assert load_config(written("train:\n  epochs: 010\n")).train.epochs == 10


@pytest.mark.parametrize("text", ["null", "~", "", "none", "None"])
def test_nothing_may_be_written_as_one_likes(text: str) -> None:
    config = load_config(written(f"features:\n  fmax: {text}\ntrain:\n  cache_dir: {text}\naudio:\n  device: {text}\n"))
    assert config.features.fmax is None
    assert config.train.cache_dir is None
    assert config.audio.device == ""


def test_an_empty_file_an_empty_group_and_a_comment_are_the_defaults() -> None:
    for text in ("", "# nothing\n", "{}", "features:\n", "features:\n  # n_fft: 1024\nscore: {}\n"):
        assert load_config(written(text)) == Config()


@pytest.mark.parametrize("nested", ["[" * 100 + "]" * 100, "{a: " * 100 + "1" + "}" * 100])
def test_nested_brackets_are_reported_as_a_wrong_type(nested: str) -> None:
    assert mistakes(f"features:\n  n_fft: {nested}\n").startswith("settings.yaml:2:3: features.n_fft")


@pytest.mark.parametrize("text", ["[" * 1100, "features:\n  n_fft: " + "[" * 1100 + "]" * 1100])
def test_brackets_nested_too_deep_to_read_are_reported_in_a_sentence(text: str) -> None:
    assert "settings.yaml" in mistakes(text)


def test_an_alias_of_a_single_value_is_refused_like_any_other() -> None:
    assert "anchors and aliases" in mistakes("features:\n  n_fft: &n 1024\n  fmax: *n\n")


def test_aliases_that_would_fill_the_memory_are_refused_before_they_grow() -> None:
    lines = ["a0: &a0 [x, x]"] + [f"a{n}: &a{n} [*a{n - 1}, *a{n - 1}]" for n in range(1, 60)]
    assert "anchors and aliases" in mistakes("\n".join(lines))


def test_a_tag_makes_no_object() -> None:
    mistakes("audio:\n  buffer_s: !!python/object/apply:os.mkdir [made]\n")
    assert not Path("made").exists()


def test_a_file_that_cannot_be_read_is_reported_in_a_sentence(tmp_path: Path) -> None:
    (tmp_path / "latin.yaml").write_bytes("audio: {}  # Größe".encode("latin-1"))
    (tmp_path / "zero.yaml").write_bytes(b"audio: \0")
    for name in ("missing.yaml", "latin.yaml", "zero.yaml", "."):
        with pytest.raises(ConfigError) as caught:
            load_config(tmp_path / name)
        assert str(tmp_path / name) in str(caught.value)
        assert "\n" not in str(caught.value)


@pytest.mark.parametrize("kind", ["a device", "a pipe", "a socket"])
def test_a_device_a_pipe_and_a_socket_are_no_settings_files_and_are_not_waited_for(tmp_path: Path, kind: str) -> None:
    path = special_file_of(kind, tmp_path)
    with pytest.raises(ConfigError, match=f"is {kind}, not a settings file"):
        load_config(path)


def test_the_empty_device_stands_for_no_settings() -> None:
    assert load_config(Path(os.devnull)) == Config()


def test_a_file_that_is_too_long_is_no_settings_file(tmp_path: Path) -> None:
    (tmp_path / "long.yaml").write_text("a: b\n" * 100_000)
    with pytest.raises(ConfigError, match="too long"):
        load_config(tmp_path / "long.yaml")


@pytest.mark.parametrize(
    ("text", "place", "words"),
    [
        ('audio:\n  device: "\\UFFFFFFFF"\n', ":2", "stands for no character"),
        ('audio: {device: "\\U00110000"}\n', ":1", "stands for no character"),
        ('audio: {device: "\\ud83d"}\n', ":1:17", "half a character"),
        ("audio:\n  device: USB PnP Sound Device: Audio (hw:1,0)\n", ":2:31", "has to be in quotes"),
        ("audio:\n\tdevice: x\n", ":2:1", "spaces instead of tabs"),
        ('audio: {device: "x}\n', ":2:1", "a quote is not closed"),
    ],
)
def test_what_is_not_yaml_is_said_with_its_line_and_what_to_do(text: str, place: str, words: str) -> None:
    message = mistakes(text)
    assert f"settings.yaml{place}: " in message
    assert words in message
    assert "\n" not in message


def test_a_character_that_json_writes_in_halves_is_one_character() -> None:
    assert load_config(written('{"audio": {"device": "\\ud83d\\ude00 mic"}}')).audio.device == "\U0001f600 mic"
