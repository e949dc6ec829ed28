"""The manual: every command line in it can be typed, every command and setting is in it, and its Python runs."""

from __future__ import annotations

import re
import shlex
from collections.abc import Iterator
from pathlib import Path

import click
import pytest

from monitor.cli.main import cli, run
from monitor.config.schema import GROUPS, Config
from monitor.config.sources import Stream
from monitor.guide import page, topics
from monitor.guide.settings_page import settings_page

ROOT = Path(__file__).resolve().parents[3]
DOCUMENTS = [ROOT / "README.md", ROOT / "CONTRIBUTING.md", *sorted((ROOT / "monitor/guide").glob("*.md"))]
RESULTS = ROOT / "train/RESULTS.md"


def code_blocks(text: str, *languages: str) -> Iterator[str]:
    """The code in fences of these languages."""
    for language, code in re.findall(r"^```(\w*)\n(.*?)^```", text, flags=re.MULTILINE | re.DOTALL):
        if language in languages:
            yield code


def command_lines(text: str) -> Iterator[list[str]]:
    """The arguments of every `monitor …` in fences, and of those in the text that are whole."""
    for code in code_blocks(text, "sh", "text"):
        for line in code.replace("\\\n", " ").splitlines():
            for command in re.split(r"&&|;|\||>>", line.removeprefix("ExecStart=")):
                words = shlex.split(command, comments=True)
                if words[:1] == ["torchrun"]:
                    words = words[words.index("-m") + 1 :]
                if words and Path(words[0]).name == "monitor":
                    yield words[1:]
    without_blocks = re.sub(r"^```.*?^```", "", text, flags=re.MULTILINE | re.DOTALL)
    for inline in re.findall(r"`monitor ([^`]+)`", without_blocks.replace("\n", " ")):
        yield shlex.split(inline.partition(">>")[0])


def test_the_readme_is_short_and_links_every_page() -> None:
    readme = (ROOT / "README.md").read_text()
    assert len(readme.splitlines()) <= 150
    for name in topics():
        assert f"](monitor/guide/{name}.md)" in readme, name


def test_every_page_is_listed_and_every_listed_page_is_there() -> None:
    assert set(topics()) == {path.stem for path in (ROOT / "monitor/guide").glob("*.md")}
    assert all(title and not title.startswith("#") for title in topics().values())


@pytest.mark.parametrize("path", [*DOCUMENTS, RESULTS], ids=lambda path: path.name)
def test_every_command_line_can_be_typed(path: Path) -> None:
    for words in command_lines(path.read_text()):
        if not words or words[0].startswith("-"):
            assert words in ([], ["--help"])
        elif not re.fullmatch(r"[A-Z]+", words[0]):  # `monitor COMMAND --help`
            command = cli.get_command(click.Context(cli), words[0])
            assert command, f"{path.name}: monitor {' '.join(words)}: there is no such command"
            if words[1:] and "…" not in words:
                try:
                    command.make_context(words[0], words[1:])
                except click.exceptions.Exit:  # --help
                    pass
                except click.UsageError as error:
                    pytest.fail(f"{path.name}: monitor {' '.join(words)}: {error.format_message()}")


def test_the_check_of_command_lines_finds_what_cannot_be_typed() -> None:
    [words] = command_lines("```sh\nmonitor train recordings/ --outt runs/pump\n```\n")
    command = cli.get_command(click.Context(cli), words[0])
    assert command
    with pytest.raises(click.UsageError, match="--outt"):
        command.make_context(words[0], words[1:])


@pytest.mark.parametrize("path", DOCUMENTS, ids=lambda path: path.name)
def test_every_topic_that_is_pointed_to_is_there(path: Path) -> None:
    text = path.read_text().replace("\n", " ")
    for topic in re.findall(r"`monitor guide ([a-z-]+)`", text):
        assert topic in topics(), f"{path.name}: {topic}"
    for target in re.findall(r"\]\(([^)#:]+)\)", text):
        assert (path.parent / target).exists(), f"{path.name}: {target}"


def test_every_command_is_in_the_manual() -> None:
    listed = set(re.findall(r"^\| `monitor ([a-z]+)` \|", page("commands"), flags=re.MULTILINE))
    assert listed == set(cli.list_commands(click.Context(cli)))
    for topic in re.findall(r"\| ([a-z-]+) \|$", page("commands"), flags=re.MULTILINE):
        assert topic in {*topics(), "page"}


def test_every_setting_is_in_the_manual_as_the_schema_explains_it() -> None:
    assert page("settings") == settings_page(), "write it anew: python -m monitor.guide.settings_page"
    sections = re.split(r"^## ", page("settings"), flags=re.MULTILINE)
    of_group = {section.splitlines()[0]: section for section in sections[1:]}
    for group in GROUPS:
        for key in type(Config.model_fields[group].default).model_fields:
            assert f"| `{key}` |" in of_group[group], f"{group}.{key}"
    for key in Stream.model_fields:
        assert f"| `{key}` |" in of_group["streams"], key


def test_every_setting_that_is_named_in_the_manual_exists() -> None:
    for path in DOCUMENTS:
        for group, key in re.findall(r"`(?:--set )?([a-z]+)\.([a-z_]+)(?:=[^`]*)?`", path.read_text()):
            if group in GROUPS and key not in ("json", "safetensors"):  # these are files
                assert key in type(Config.model_fields[group].default).model_fields, f"{path.name}: {group}.{key}"


def test_a_page_is_shown_and_pages_are_listed(capsys: pytest.CaptureFixture[str]) -> None:
    assert run(["guide"]) == 0
    listed = capsys.readouterr().out
    assert all(name in listed for name in topics())
    assert run(["guide", "alarms"]) == 0
    assert "false_alarms_per_day" in capsys.readouterr().out


def test_a_page_that_is_not_there_is_said_with_those_that_are(capsys: pytest.CaptureFixture[str]) -> None:
    assert run(["guide", "alarmes"]) == 2
    said = capsys.readouterr().err
    assert "alarmes" in said
    assert "troubleshooting" in said
    assert "Traceback" not in said


def test_the_python_examples_run(model: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """They run one after another, as somebody would who reads the page; the model is ours, the data set too."""
    from support.builders import noise, sine, write_sound

    folder = tmp_path / "monitor-demo"
    folder.mkdir()
    (folder / "model.safetensors").write_bytes(model.read_bytes())
    sound = write_sound(folder / "bearing.wav", sine(30.0, hz=300), 16000).read_bytes()
    import numpy as np

    write_sound(folder / "bearing.wav", np.concatenate((sine(10.0, hz=300), noise(160_000, amplitude=0.5))))
    (tmp_path / "recordings").mkdir()
    for number in range(4):
        (tmp_path / "recordings" / f"{number}.wav").write_bytes(sound)
    names: dict[str, object] = {}
    for code in code_blocks(page("python"), "python"):
        exec(code.replace("epochs=40", "epochs=1"), names)  # forty passes are for real models
    printed = capsys.readouterr().out
    assert re.search(r"^highest score [\d.]+, threshold [\d.]+$", printed, flags=re.MULTILINE)
    assert re.search(r"^anomaly at [\d.]+ s$", printed, flags=re.MULTILINE)
    assert "anomalies in data logger" in printed
    assert re.search(r"^pump 3: anomaly, (sudden|lasting); .* Hz", printed, flags=re.MULTILINE)
