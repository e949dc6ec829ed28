"""`monitor bench` where PyTorch is not installed."""

from __future__ import annotations

import sys

import pytest

from monitor.cli.main import run
from monitor.core.errors import EXIT_FAILURE


@pytest.mark.parametrize("only", [["gpu"], ["machine", "frames", "training"]])
def test_asking_for_a_section_that_needs_torch_says_so_before_anything_is_measured(
    only: list[str], monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setitem(sys.modules, "torch", None)
    assert run(["bench", *(word for name in only for word in ("--only", name))]) == EXIT_FAILURE
    printed = capsys.readouterr()
    assert printed.out == ""
    [line] = printed.err.splitlines()
    asked = " ".join(f"--only {name}" for name in only if name != "machine")
    assert line.startswith(f"monitor: PyTorch is not installed here: {asked} needs it. Leave that out, or install it: ")
