"""The sound server cannot replace a microphone by another one unnoticed.

tests/integration/microphone tests this with a real server; here are the cases that it does not produce.
"""

from __future__ import annotations

import logging
import os
from pathlib import Path

import pytest

from monitor.sources.device.pulse_routing import PulseRouting, pin_pulse_source, recorded_source

OUTPUTS = """\
Source Output #7
\tDriver: protocol-native.c
\tSource: 3
\tProperties:
\t\tapplication.process.id = "1"
Source Output #9
\tDriver: protocol-native.c
\tSource: 2
\tProperties:
\t\tapplication.process.id = "{pid}"
"""
SOURCES = "1\tother.monitor\tmodule\ts16le\tIDLE\n2\tusb.monitor\tmodule\ts16le\tRUNNING\n3\tthird\tm\ts\tIDLE\n"


@pytest.fixture
def server(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A program pactl whose answers are the files in this folder; `pactl subscribe` ends at once."""
    (tmp_path / "outputs").write_text(OUTPUTS.format(pid=os.getpid()))
    (tmp_path / "sources").write_text(SOURCES)
    program = tmp_path / "pactl"
    program.write_text(
        f"#!/bin/sh\n[ -e {tmp_path}/broken ] && exit 1\n"
        f'case "$*" in "list source-outputs") cat {tmp_path}/outputs;; *short*) cat {tmp_path}/sources;; esac\n'
    )
    program.chmod(0o755)
    monkeypatch.setenv("PATH", f"{tmp_path}:{os.environ['PATH']}")
    return tmp_path


def test_the_source_that_feeds_this_process_is_found_among_those_of_others(server: Path) -> None:
    assert recorded_source() == "usb.monitor"
    assert recorded_source(1) == "third"
    assert recorded_source(999_999_999) == ""


def test_the_first_source_is_the_right_one_and_from_then_on_no_other(server: Path) -> None:
    pinned: list[str] = []
    routing = PulseRouting(pinned.append)
    assert routing.accept()
    assert (routing.source, pinned) == ("usb.monitor", ["usb.monitor"])
    outputs = server / "outputs"
    outputs.write_text(outputs.read_text().replace("Source: 2", "Source: 1"))
    assert not routing.accept()
    assert (routing.source, pinned) == ("usb.monitor", ["usb.monitor"])
    routing.end()


@pytest.mark.parametrize("why", ["no pactl", "it fails", "another process"])
def test_without_an_answer_of_the_server_no_source_is_refused(
    server: Path, why: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    if why == "no pactl":
        monkeypatch.setenv("PATH", str(server / "nothing"))
    elif why == "it fails":
        (server / "broken").touch()
    else:
        (server / "outputs").write_text(OUTPUTS.format(pid=2))
    pinned: list[str] = []
    routing = PulseRouting(pinned.append)
    assert routing.accept()
    assert routing.accept()
    assert (routing.source, pinned, routing.switched) == ("", [], False)
    routing.end()


def test_this_process_is_bound_to_a_source_once_and_says_so(
    monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    monkeypatch.setenv("PULSE_SOURCE", "")
    monkeypatch.delenv("PULSE_SOURCE")
    with caplog.at_level(logging.INFO):
        pin_pulse_source("usb.monitor")
        pin_pulse_source("other.monitor")
    assert os.environ["PULSE_SOURCE"] == "usb.monitor"
    assert len(caplog.records) == 1
    assert "usb.monitor" in caplog.text


def test_a_source_that_the_user_has_chosen_stays(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PULSE_SOURCE", "mine")
    pin_pulse_source("usb.monitor")
    assert os.environ["PULSE_SOURCE"] == "mine"
