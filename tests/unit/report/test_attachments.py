"""Which files become a part of a report."""

from __future__ import annotations

import base64
import os
from pathlib import Path

import pytest

from monitor.report.attachments import Attachments
from support.clip_folders import access_to
from support.stored import stored_event


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """Three clips of 300 bytes, 400 on a page, and a secret outside of the folder."""
    (tmp_path / "secret.flac").write_bytes(b"secret")
    (tmp_path / "clips").mkdir()
    for name in ("a.flac", "b.flac", "c.flac"):
        (tmp_path / "clips" / name).write_bytes(name.encode() * 50)
    return tmp_path / "clips"


def test_the_strongest_anomalies_come_first_and_the_rest_is_counted(folder: Path) -> None:
    files = Attachments(access_to(folder), room=900)
    files.choose(stored_event(i, peak_share=peak, clip=name) for i, (peak, name) in
                 enumerate([(1.1, "a.flac"), (3.0, "b.flac"), (2.0, "c.flac")]))  # fmt: skip
    assert files.included == {"b.flac", "c.flac"}
    assert files.left_out == 1
    assert files.uri(stored_event(), "a.flac") is None
    uri = files.uri(stored_event(), "b.flac")
    assert uri is not None
    assert uri.startswith("data:audio/flac;base64,")
    assert base64.b64decode(uri.split(",")[1]) == b"b.flac" * 50


def test_of_equally_strong_anomalies_the_newest_come_first(folder: Path) -> None:
    files = Attachments(access_to(folder), room=400)
    files.choose([stored_event(9, clip="a.flac"), stored_event(2, clip="b.flac"), stored_event(5, clip="c.flac")])
    assert files.included == {"b.flac"}


@pytest.mark.parametrize("path", ["../secret.flac", "/etc/passwd", "missing.flac", "a.exe"])
def test_what_is_gone_is_no_clip_or_is_elsewhere_stays_out(folder: Path, path: str) -> None:
    (folder / "a.exe").write_bytes(b"MZ")
    files = Attachments(access_to(folder), room=1e6)
    files.choose([stored_event(clip=path)])
    assert not files.included
    assert files.uri(stored_event(), path) is None
    assert files.left_out == 0


def test_a_clip_that_is_deleted_meanwhile_does_not_break_the_page(folder: Path) -> None:
    files = Attachments(access_to(folder), room=1e6)
    files.choose([stored_event(clip="a.flac")])
    (folder / "a.flac").unlink()
    assert files.uri(stored_event(), "a.flac") is None


def test_a_pipe_in_the_place_of_a_clip_does_not_hold_up_the_page(folder: Path) -> None:
    os.mkfifo(folder / "pipe.flac")
    attachments = Attachments(access_to(folder), 1e6)
    attachments.choose([stored_event(clip="pipe.flac", picture="")])
    assert attachments.size(stored_event(), "pipe.flac") is None
    assert attachments.uri(stored_event(), "pipe.flac") is None
