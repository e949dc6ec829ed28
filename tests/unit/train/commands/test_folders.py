"""A command that fails leaves no empty folders."""

from __future__ import annotations

from pathlib import Path

import pytest

from train.commands.folders import removed_on_failure


def failing(folder: Path, *, content: str = "", error: BaseException | None = None) -> None:
    with removed_on_failure(folder):
        folder.mkdir(parents=True, exist_ok=True)
        if content:
            (folder / content).touch()
        raise error or RuntimeError


@pytest.mark.parametrize("error", [ValueError(), KeyboardInterrupt()])
def test_folders_that_a_failed_command_made_are_removed(tmp_path: Path, error: BaseException) -> None:
    (tmp_path / "there").mkdir()
    with pytest.raises(type(error)):
        failing(tmp_path / "there" / "a" / "b" / "c", error=error)
    assert list(tmp_path.rglob("*")) == [tmp_path / "there"]


def test_folders_that_were_there_or_have_content_stay(tmp_path: Path) -> None:
    (tmp_path / "there").mkdir()
    for folder, content in (("there", ""), ("new/below", "checkpoint")):
        with pytest.raises(RuntimeError):
            failing(tmp_path / folder, content=content)
    assert sorted(path.name for path in tmp_path.rglob("*")) == ["below", "checkpoint", "new", "there"]


def test_without_an_error_nothing_is_removed(tmp_path: Path) -> None:
    with removed_on_failure(tmp_path / "a"):
        (tmp_path / "a").mkdir()
    assert (tmp_path / "a").is_dir()
