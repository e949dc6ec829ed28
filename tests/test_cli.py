"""Promises of the command line: it helps, it is quick to answer, and it fails in one sentence."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import click
import pytest
import torch

import monitor
from monitor.cli.main import cli
from monitor.cli.main import run as command
from monitor.config.schema import Config
from monitor.core.errors import EXIT_BUNDLE, EXIT_FAILURE, EXIT_OK, EXIT_USAGE

ROOT = Path(__file__).parent.parent
COMMANDS = sorted(cli.commands)


@pytest.mark.parametrize("name", COMMANDS)
def test_the_help_of_every_command_shows_examples_of_it(name: str, capsys: pytest.CaptureFixture[str]) -> None:
    assert command([name, "--help"]) == EXIT_OK
    examples = capsys.readouterr().out.partition("Examples:")[2]
    assert f"monitor {name}" in examples


@pytest.mark.parametrize("name", COMMANDS)
def test_every_option_says_what_it_does(name: str) -> None:
    for parameter in cli.commands[name].params:
        if isinstance(parameter, click.Option):
            assert parameter.help, parameter.name


@pytest.mark.parametrize("name", COMMANDS)
def test_every_command_is_in_the_readme(name: str) -> None:
    assert f"monitor {name}" in (ROOT / "README.md").read_text()


@pytest.mark.parametrize("name", Config.model_fields)
def test_every_group_of_settings_is_in_the_settings_file(name: str) -> None:
    assert f"\n{name}:" in (ROOT / "config.yaml").read_text()


@pytest.mark.parametrize("arguments", [["--help"], ["--version"], ["replay", "--help"], ["completion", "bash"]])
def test_help_loads_nothing_heavy(arguments: list[str]) -> None:
    script = (
        "import sys; from monitor.cli.main import run; code = run(sys.argv[1:]); "
        "heavy = {'torch', 'numpy', 'scipy', 'rich', 'pydantic', 'matplotlib'} & set(sys.modules); "
        "sys.exit(f'loaded {heavy}' if heavy else code)"
    )
    done = subprocess.run([sys.executable, "-c", script, *arguments], check=False, capture_output=True, text=True)
    assert done.returncode == EXIT_OK, done.stderr


def test_the_version_is_the_packages(capsys: pytest.CaptureFixture[str]) -> None:
    assert command(["--version"]) == EXIT_OK
    assert monitor.__version__ in capsys.readouterr().out


@pytest.mark.parametrize("shell", ["bash", "zsh", "fish"])
def test_completion_prints_a_script_for_the_shell(shell: str, capsys: pytest.CaptureFixture[str]) -> None:
    assert command(["completion", shell]) == EXIT_OK
    assert "_MONITOR_COMPLETE" in capsys.readouterr().out


def test_check_prints_every_setting_and_marks_those_that_were_changed(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / "site.yaml").write_text("features:\n  n_mels: 128\n")
    assert command(["check", "site.yaml"]) == EXIT_OK
    printed = capsys.readouterr().out
    assert "n_mels: 128    # *" in printed
    assert printed.count("# *") == 1
    for group, values in Config():
        assert f"{group}:" in printed
        assert all(f"  {key}: " in printed for key, _ in values)


def test_what_check_prints_is_a_settings_file(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    command(["check", "--preset", "toyadmos"])
    first = capsys.readouterr().out
    (tmp_path / "again.yaml").write_text(first)
    assert command(["check", "again.yaml"]) == EXIT_OK
    assert capsys.readouterr().out.partition("\n")[2] == first.partition("\n")[2]


def test_a_mistake_in_the_settings_names_its_place_and_ends_with_2(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / "config.yaml").write_text("train:\n  epochs: many\n")
    assert command(["check"]) == EXIT_USAGE
    assert "config.yaml:2:3: train.epochs" in capsys.readouterr().err


def test_the_settings_file_in_the_current_folder_counts(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (tmp_path / "config.yaml").write_text("train:\n  epochs: 7\n")
    command(["check"])
    assert "epochs: 7    # *" in capsys.readouterr().out


@pytest.mark.parametrize(
    "arguments", [["train"], ["train", "x"], ["nothing"], ["replay", "x"], ["check", "--preset", "x"]]
)
def test_a_wrong_command_line_ends_with_2(arguments: list[str]) -> None:
    assert command(arguments) == EXIT_USAGE


def test_a_folder_that_is_not_there_ends_with_1_and_one_sentence(capsys: pytest.CaptureFixture[str]) -> None:
    assert command(["train", "nowhere", "--out", "out"]) == EXIT_FAILURE
    assert len(capsys.readouterr().err.splitlines()) == 1


@pytest.mark.parametrize("arguments", [["evaluate", "m.safetensors", "x"], ["calibrate", "m.safetensors", "x"],
                                       ["replay", "m.safetensors", "x"]])  # fmt: skip
@pytest.mark.parametrize("content", [None, b"", b"no model at all", b"\xff" * 5000])
def test_a_model_that_is_none_ends_with_4_in_every_command(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], arguments: list[str], content: bytes | None
) -> None:
    if content is not None:
        (tmp_path / "m.safetensors").write_bytes(content)
    assert command(arguments) == EXIT_BUNDLE
    error = capsys.readouterr().err
    assert "m.safetensors" in error
    assert len(error.splitlines()) == 1


def test_settings_that_contradict_the_model_are_refused_with_both_values(
    model: Path, data: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert command(["evaluate", str(model), str(data), "--set", "features.n_mels=32"]) == EXIT_USAGE
    error = capsys.readouterr().err
    assert "features.n_mels is 32" in error
    assert "trained with 64" in error


def test_a_settings_file_of_defaults_does_not_contradict_a_model_that_was_trained_otherwise(
    model: Path, data: Path, tmp_path: Path
) -> None:
    (tmp_path / "config.yaml").write_text((ROOT / "config.yaml").read_text())
    assert command(["evaluate", str(model), str(data / "test_normal")]) == EXIT_OK


@pytest.mark.skipif(torch.cuda.is_available(), reason="there is a GPU here")
def test_asking_for_a_gpu_that_is_not_there_ends_with_2(data: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert command(["train", str(data), "--out", "out", "--device", "cuda"]) == EXIT_USAGE
    assert "--device cpu" in capsys.readouterr().err


def test_an_unforeseen_error_is_a_sentence_and_no_traceback(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    def fail(*_: object, **__: object) -> None:
        raise ZeroDivisionError("by nobody's fault")

    monkeypatch.setattr("monitor.config.loader.load_config", fail)
    assert command(["check"]) == EXIT_FAILURE
    error = capsys.readouterr().err
    assert "by nobody's fault" in error
    assert "Traceback" not in error
