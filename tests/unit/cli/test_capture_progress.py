"""Recording shows progress and level: as a bar on a terminal, otherwise as a line for each piece."""

from __future__ import annotations

import io

import numpy as np
import pytest
from rich.console import Console

from monitor.audio.level import LevelMeter
from monitor.cli import capture_progress
from monitor.cli.capture_progress import CaptureProgress
from support.builders import RATE, noise, sine


def meter(sound: np.ndarray) -> LevelMeter:
    made = LevelMeter(RATE)
    made.push(sound)
    return made


def test_without_a_terminal_there_is_a_line_for_every_ten_seconds(capsys: pytest.CaptureFixture[str]) -> None:
    with CaptureProgress(0.5) as progress:
        for tenth in range(301):
            progress.show(tenth / 10, meter(noise(RATE)))
    assert capsys.readouterr().err.splitlines() == [f"{s} of 30 s, level -20 dBFS" for s in (10, 20, 30)]


@pytest.mark.parametrize(
    ("sound", "figures", "lit"),
    [
        (np.zeros(RATE, np.float32), "no sound yet", 0),
        (sine(1.0, hz=1000, amplitude=0.1), "-23 dBFS", 14),
        (sine(1.0, hz=1000, amplitude=1.0), "-3 dBFS", 19),
    ],
)
def test_on_a_terminal_there_is_a_level_meter(
    sound: np.ndarray, figures: str, lit: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    screen = io.StringIO()
    terminal = Console(file=screen, force_terminal=True, width=100, color_system="truecolor")
    monkeypatch.setattr(capture_progress, "Console", lambda **_: terminal)
    with CaptureProgress(1.0) as progress:
        progress.show(15.0, meter(sound))
        [task] = progress._progress.tasks
        text = capture_progress._Meter().render(task)
    assert figures in text.plain
    assert text.plain.count("━") == 20
    lit_style = {span.style for span in text.spans if span.end <= lit}
    assert bool(lit_style) == bool(lit)
    assert ("red" in lit_style) == (figures == "-3 dBFS")
