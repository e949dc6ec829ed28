"""`monitor integrations` gives the files out, and never overwrites what somebody has changed."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from monitor.cli.main import run
from monitor.core.errors import EXIT_OK, EXIT_USAGE
from monitor.integrations.shipped_files import DESCRIPTIONS, content


def test_the_files_are_listed_and_printed(capsys: pytest.CaptureFixture[str]) -> None:
    assert run(["integrations"]) == EXIT_OK
    listed = capsys.readouterr().out
    assert all(name in listed for name in DESCRIPTIONS)
    assert run(["integrations", "grafana-dashboard.json"]) == EXIT_OK
    assert json.loads(capsys.readouterr().out) == json.loads(content("grafana-dashboard.json"))


def test_all_files_are_written_into_a_folder(tmp_path: Path) -> None:
    for _ in range(2):  # those that are there already are the same
        assert run(["integrations", "--out", "files"]) == EXIT_OK
    assert {path.name: path.read_bytes() for path in (tmp_path / "files").iterdir()} == {
        name: content(name) for name in DESCRIPTIONS
    }


def test_a_file_that_somebody_has_changed_is_kept(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    changed = tmp_path / "prometheus-alerts.yml"
    changed.write_text("mine")
    assert run(["integrations", "prometheus-alerts.yml", "--out", "."]) == EXIT_USAGE
    assert "exists, with another content, and is kept" in capsys.readouterr().err
    assert changed.read_text() == "mine"


def test_a_file_that_is_not_there_is_said_with_those_that_are(capsys: pytest.CaptureFixture[str]) -> None:
    assert run(["integrations", "grafana"]) == EXIT_USAGE
    assert "grafana-dashboard.json" in capsys.readouterr().err
