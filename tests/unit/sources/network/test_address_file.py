"""The address of a source may stand in a file, which is read when it is used."""

from __future__ import annotations

from pathlib import Path

import pytest

from monitor.config.sources import Audio
from monitor.core.errors import ConfigError
from monitor.sources.network.address import with_device


def test_the_file_contains_one_line_with_the_address(tmp_path: Path) -> None:
    file = tmp_path / "camera.address"
    file.write_text("\n rtsp://admin:word@camera/1 \n\n")
    audio = with_device(Audio(url_file=file, buffer_s=7))
    assert (audio.device, audio.url_file, audio.buffer_s) == ("rtsp://admin:word@camera/1", None, 7)
    assert with_device(Audio(device="USB")) == Audio(device="USB")


@pytest.mark.parametrize("content", [b"\xef\xbb\xbfrtsp://h/1", b"rtsp://h/1 \r\n\r\n"])
def test_the_file_may_come_from_windows(tmp_path: Path, content: bytes) -> None:
    file = tmp_path / "camera.address"
    file.write_bytes(content)
    assert with_device(Audio(url_file=file)).device == "rtsp://h/1"


@pytest.mark.parametrize(
    ("content", "reason"),
    [
        (b"", "one line"),
        (b"rtsp://u:word@h/1\nrtsp://u:word@h/2\n", "one line"),
        (b"the microphone", "one line"),
        (b"\xff\xfe", "is not text"),
        (b"rtsp://u:word/@h/1", "host or the port"),
        (b"rtsp://u:$NO_SUCH_VARIABLE@h/1", "NO_SUCH_VARIABLE"),
        (b"rtsp://u:sword$word@h/1", "the sign $ itself is written $$"),
        (None, "No such file"),
    ],
)
def test_a_file_that_cannot_be_used_is_named_with_the_reason(
    tmp_path: Path, content: bytes | None, reason: str
) -> None:
    file = tmp_path / "camera.address"
    if content is not None:
        file.write_bytes(content)
    with pytest.raises(ConfigError) as caught:
        with_device(Audio(url_file=file))
    assert str(caught.value).startswith(f"{file} (url_file): ")
    assert reason in str(caught.value)
    assert "word" not in str(caught.value).replace("user:password@", "").replace("in a password", "")


def test_a_missing_variable_of_a_device_is_named() -> None:
    with pytest.raises(ConfigError, match=r"^rtsp://h/1: the variable NO_SUCH_VARIABLE "):
        with_device(Audio(device="rtsp://u:$NO_SUCH_VARIABLE@h/1"))
