"""What can be given to `monitor evaluate` together, and what cannot."""

from __future__ import annotations

from pathlib import Path

import pytest

from monitor.cli.main import run as command
from monitor.core.errors import EXIT_USAGE

SUITE = ["--suite", "suite.yaml"]


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        ([], "Missing argument 'BUNDLE'. Give a model and its data set, or --suite."),
        (["model.safetensors"], "Missing argument 'DATA'."),
        (["model.safetensors", "data", "--seeds", "0,1"], "--seeds is only for --suite."),
        (["model.safetensors", "data", "--before", "x.json"], "--before is only for --suite."),
        ([*SUITE, "model.safetensors"], "BUNDLE cannot be given with --suite: its file names what is evaluated."),
        ([*SUITE, "--plots", "here"], "--plots cannot be given with --suite: the pictures of each model are in"),
        ([*SUITE, "--hours", "24"], "--hours cannot be given with --suite: these figures stand in its file."),
        ([*SUITE, "--config", "c.yaml"], "--config cannot be given with --suite: the settings stand in its file."),
        ([*SUITE, "--seeds", "0,x"], "'0,x': give whole numbers with commas between them, as in 0,1,2."),
        ([*SUITE, "--seeds", ""], "give whole numbers with commas between them"),
        ([*SUITE], "suite.yaml: cannot be read: No such file or directory."),
    ],
)
def test_arguments_that_do_not_go_together_are_refused_in_one_sentence(
    arguments: list[str], words: str, capsys: pytest.CaptureFixture[str]
) -> None:
    assert command(["evaluate", *arguments]) == EXIT_USAGE
    assert words in capsys.readouterr().err


def test_an_earlier_result_that_is_none_is_refused_before_anything_is_trained(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / "suite.yaml").write_text("out: results\nsets:\n  - {name: a, data: a}\n")
    (tmp_path / "x.json").write_text("{}")
    assert command(["evaluate", *SUITE, "--before", "x.json"]) == EXIT_USAGE
    assert "x.json: is not the suite.json" in capsys.readouterr().err
    assert not (tmp_path / "results").exists()
