"""A failed command ends with the exit code of its error and one sentence on standard error."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest
import torch

from monitor.cli.main import run as command
from monitor.core.errors import (
    EXIT_BUNDLE,
    EXIT_FAILURE,
    EXIT_INTERRUPTED,
    EXIT_OK,
    EXIT_SOURCE_LOST,
    EXIT_USAGE,
    BundleError,
    ConfigError,
    DataError,
    SourceLost,
)


def ends(error: BaseException, monkeypatch: pytest.MonkeyPatch) -> int:
    """Runs a command that raises this error, and returns the exit code."""

    def fail(*_: object, **__: object) -> None:
        raise error

    monkeypatch.setattr("monitor.config.loader.SettingsSource.read", fail)
    return command(["check"])


@pytest.mark.parametrize(
    "arguments", [["train"], ["train", "x"], ["nothing"], ["replay", "x"], ["check", "--preset", "x"]]
)
def test_a_wrong_command_line_ends_with_2(arguments: list[str]) -> None:
    assert command(arguments) == EXIT_USAGE


@pytest.mark.parametrize(
    ("error", "code"),
    [
        (ConfigError("a sentence."), EXIT_USAGE),
        (DataError("a sentence."), EXIT_FAILURE),
        (SourceLost("a sentence."), EXIT_SOURCE_LOST),
        (BundleError("a sentence."), EXIT_BUNDLE),
    ],
)
def test_each_kind_of_error_has_its_exit_code_and_is_its_sentence(
    error: Exception, code: int, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    assert ends(error, monkeypatch) == code
    assert capsys.readouterr().err == "monitor: a sentence.\n"


def test_an_unforeseen_error_is_a_sentence_and_no_traceback(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.delenv("MONITOR_DEBUG", raising=False)
    assert ends(ZeroDivisionError("by nobody's fault"), monkeypatch) == EXIT_FAILURE
    error = capsys.readouterr().err
    assert "by nobody's fault" in error
    assert "Traceback" not in error
    assert len(error.splitlines()) == 1


def test_an_unforeseen_error_is_shown_in_full_to_who_asks_for_it(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("MONITOR_DEBUG", "1")
    with pytest.raises(ZeroDivisionError):
        ends(ZeroDivisionError(), monkeypatch)


def test_an_interrupted_command_ends_with_130(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    assert ends(KeyboardInterrupt(), monkeypatch) == EXIT_INTERRUPTED
    assert capsys.readouterr().err.strip() == ""


@pytest.mark.parametrize(
    "arguments",
    [
        ["train", "HOSTILE", "--out", "out"],
        ["replay", "HOSTILE", "x.wav"],
        ["check", "HOSTILE"],
        ["check", "--set", "HOSTILE"],
        ["check", "--set", "features.n_fft=HOSTILE"],
        ["check", "--set", "features.HOSTILE=1"],
        ["HOSTILE"],
        ["check", "--HOSTILE"],
        ["check", "a", "HOSTILE"],
        ["guide", "HOSTILE"],
        ["live", "m", "--channel", "HOSTILE"],
        ["drift", "m", "--stream", "/HOSTILE"],
        ["demo", "--fault", "HOSTILE"],
    ],
)
def test_no_name_in_an_error_forges_a_line_or_controls_the_terminal(
    arguments: list[str], capsys: pytest.CaptureFixture[str]
) -> None:
    hostile = "a\nmonitor: all is well\n\x1b[2J\u202e\x07"
    assert command([argument.replace("HOSTILE", hostile) for argument in arguments]) != EXIT_OK
    printed = capsys.readouterr()
    for line in (printed.out + printed.err).split("\n"):
        assert line.isprintable()
        assert not line.startswith("monitor: all is well")


def test_a_folder_that_is_not_there_ends_with_1_and_one_sentence(capsys: pytest.CaptureFixture[str]) -> None:
    assert command(["train", "nowhere", "--out", "out"]) == EXIT_FAILURE
    assert len(capsys.readouterr().err.splitlines()) == 1


@pytest.mark.parametrize("arguments", [["evaluate", "m.safetensors", "x"], ["calibrate", "m.safetensors", "x"],
                                       ["replay", "m.safetensors", "x"], ["drift", "m.safetensors"],
                                       ["live", "m.safetensors", "--headless"]])  # fmt: skip
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


@pytest.mark.skipif(torch.cuda.is_available(), reason="there is a GPU here")
def test_asking_for_a_gpu_that_is_not_there_ends_with_2(data: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert command(["train", str(data), "--out", "out", "--device", "cuda"]) == EXIT_USAGE
    error = capsys.readouterr().err
    assert "no GPU" in error
    assert "cpu" in error


def test_a_reader_that_stops_reading_ends_the_output_without_a_complaint() -> None:
    """As in `monitor check | head`."""
    read, write = os.pipe()
    os.close(read)
    try:
        done = subprocess.run(
            [sys.executable, "-m", "monitor", "check"], stdout=write, stderr=subprocess.PIPE, text=True, check=False
        )
    finally:
        os.close(write)
    assert (done.returncode, done.stderr) == (EXIT_OK, "")
