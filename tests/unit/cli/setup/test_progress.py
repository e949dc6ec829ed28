"""What a setup has done survives it, and a file that is not its own is refused in a sentence."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from monitor.cli.setup.progress import FILE, SetupProgress
from monitor.core.errors import ConfigError


def test_answers_and_finished_steps_are_there_again(tmp_path: Path) -> None:
    progress = SetupProgress.load(tmp_path)
    progress.answers["name"] = "Größe 3"
    progress.finish("microphone", {"device": "USB"})
    again = SetupProgress.load(tmp_path)
    assert (again.answers, again.done) == ({"name": "Größe 3"}, {"microphone": {"device": "USB"}})
    assert [path.name for path in tmp_path.iterdir()] == [FILE], "no temporary file is left"


@pytest.mark.parametrize("text", ["", "[]", "{}", '{"version": 1, "answers": 3, "done": {}}', '{"version": "x"}'])
def test_a_damaged_file_is_refused(tmp_path: Path, text: str) -> None:
    (tmp_path / FILE).write_text(text)
    with pytest.raises(ConfigError, match="is damaged"):
        SetupProgress.load(tmp_path)


def test_the_file_of_a_newer_version_is_left_alone(tmp_path: Path) -> None:
    (tmp_path / FILE).write_text(json.dumps({"version": 2, "answers": {}, "done": {}}))
    with pytest.raises(ConfigError, match="newer version"):
        SetupProgress.load(tmp_path)
