"""ffmpeg is started without anything secret in its arguments, and ends with the program that has started it."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from pathlib import Path

import pytest

from monitor.core.errors import MonitorError
from monitor.sources.network.address import Address
from monitor.sources.network.ffmpeg import FfmpegProcess, arguments, script
from support.listening import wait_until
from support.network_servers import missing
from support.ports import free_port

pytestmark = pytest.mark.skipif(bool(missing("ffmpeg")), reason=missing("ffmpeg"))

SECRET = Address.parse("http://user:pass'word@127.0.0.1:9/a?token=abcdef")
WAITING = "tcp://127.0.0.1:{port}?rate=8000&format=u8&listen"


def open_files() -> int:
    """Number of open files of this process."""
    return len(list(Path("/proc/self/fd").iterdir()))


def gone(pid: int) -> bool:
    """Whether a process has ended, even if nobody has asked for its exit status yet."""
    try:
        return "\nState:\tZ" in Path(f"/proc/{pid}/status").read_text()
    except FileNotFoundError:
        return True


def test_no_part_of_an_address_with_a_password_is_an_argument_or_a_variable_of_ffmpeg() -> None:
    words = " ".join(arguments(SECRET, 3))
    for part in ("user", "pass", "token", "abcdef"):
        assert part not in words


@pytest.mark.parametrize("text", ["http://h/it's'", "http://h/'%0Afile%20'b", r"http://h/\'", "http://h/\\"])
def test_an_address_cannot_break_out_of_its_line_of_the_script(text: str) -> None:
    """Quotes are as ffmpeg reads them: no escape within single quotes, and a quote is `'\\''`."""
    address = Address.parse(text)
    files = [line for line in script(address).splitlines() if line.startswith("file ")]
    [quoted] = [line.removeprefix("file ") for line in files]
    assert quoted[0] == quoted[-1] == "'"
    assert "'".join(quoted[1:-1].split(r"'\''")) == address.secret
    assert "'" not in quoted[1:-1].replace(r"'\''", "")


def test_a_server_cannot_make_ffmpeg_read_files_of_this_computer() -> None:
    for text in ("http://h/", "https://h/", "rtsp://h/", "srt://h:1"):
        lines = script(Address.parse(text)).splitlines()
        [allowed] = [line.removeprefix("option protocol_whitelist ") for line in lines if "protocol_whitelist" in line]
        assert not {"file", "concat", "pipe", "data", "fd", "subfile"} & set(allowed.split(","))
        assert any(line.startswith("option format_whitelist ") for line in lines)


def test_without_ffmpeg_a_sentence_says_how_to_install_it(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv("PATH", str(tmp_path))
    with pytest.raises(MonitorError, match="is not installed: on Debian and Ubuntu, run `sudo apt-get install ffmpeg`"):
        FfmpegProcess(SECRET)


def test_ffmpeg_writes_no_report_with_addresses(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv("FFREPORT", f"file={tmp_path}/report.log:level=48")
    process = FfmpegProcess(SECRET)
    wait_until(lambda: process.exit_code() is not None, "the end of ffmpeg, because nothing listens there")
    process.end()
    assert not list(tmp_path.iterdir())


def test_a_frozen_ffmpeg_ends_as_well_and_leaves_no_open_files() -> None:
    address = Address.parse(WAITING.format(port=free_port()))
    before = open_files()
    process = FfmpegProcess(address)
    os.kill(process.pid, signal.SIGSTOP)
    process.end()
    wait_until(lambda: gone(process.pid), "the end of ffmpeg")
    process.end()
    assert open_files() <= before


@pytest.mark.skipif(bool(missing("setpriv")), reason=missing("setpriv"))
def test_ffmpeg_ends_if_the_program_is_killed() -> None:
    program = (
        "import time; from monitor.sources.network.ffmpeg import FfmpegProcess; "
        "from monitor.sources.network.address import Address; "
        f"one = FfmpegProcess(Address.parse({WAITING.format(port=free_port())!r})); "
        "print(one.pid, flush=True); time.sleep(600)"
    )
    with subprocess.Popen([sys.executable, "-c", program], stdout=subprocess.PIPE, text=True) as started:
        assert started.stdout is not None
        pid = int(started.stdout.readline())
        assert not gone(pid)
        started.kill()
    wait_until(lambda: gone(pid), "the end of ffmpeg")
