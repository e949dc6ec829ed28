"""The help of every command shows valid examples, explains every option, and is fast."""

from __future__ import annotations

import shlex
import subprocess
import sys

import click
import pytest

import monitor
from monitor.cli.main import cli
from monitor.cli.main import run as command
from monitor.core.errors import EXIT_OK

COMMANDS = sorted(cli.commands)
SLOW = ("torch", "numpy", "scipy", "rich", "pydantic", "matplotlib", "soundfile", "sounddevice", "yaml", "train")


@pytest.mark.parametrize("name", COMMANDS)
def test_the_help_of_every_command_shows_examples_of_it(name: str, capsys: pytest.CaptureFixture[str]) -> None:
    assert command([name, "--help"]) == EXIT_OK
    examples = capsys.readouterr().out.partition("Examples:")[2]
    assert f"monitor {name}" in examples


@pytest.mark.parametrize("words", [[], ["fleet"], ["model"]])
def test_without_a_command_the_help_is_shown(words: list[str], capsys: pytest.CaptureFixture[str]) -> None:
    command(words)
    said = capsys.readouterr()
    assert "\nCommands:\n  " in said.out + said.err


@pytest.mark.parametrize("name", COMMANDS)
def test_every_example_in_the_help_is_a_command_line_that_is_understood(name: str) -> None:
    text = cli.commands[name].help or ""
    lines = [line.strip().partition("  ")[0].partition(" >")[0] for line in text.splitlines()]
    examples = [shlex.split(line) for line in lines if line.startswith(("monitor ", "torchrun "))]
    assert examples
    for words in examples:
        given = iter(words[words.index("monitor") + 1 :])
        called = cli.commands[next(given)]
        with called.make_context(called.name or "", list(given)):
            pass


@pytest.mark.parametrize("name", COMMANDS)
def test_every_option_says_what_it_does(name: str) -> None:
    for parameter in cli.commands[name].params:
        if isinstance(parameter, click.Option):
            assert parameter.help, parameter.name


@pytest.mark.parametrize(
    "arguments", [["--help"], ["--version"], ["replay", "--help"], ["train", "--help"], ["completion", "bash"]]
)
def test_help_loads_nothing_that_takes_long_to_load(arguments: list[str]) -> None:
    script = (
        "import sys; from monitor.cli.main import run; code = run(sys.argv[1:]); "
        f"loaded = sorted({{*{SLOW!r}}} & set(sys.modules)); "
        "sys.exit(f'loaded {loaded}' if loaded else code)"
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
