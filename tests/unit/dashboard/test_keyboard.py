"""Keys on a real pseudo-terminal: they do what they say, and the terminal's settings are restored."""

from __future__ import annotations

import os
import re
import select
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from monitor.dashboard.keyboard import DOWN, ENTER, ESCAPE, UP, typed
from support.listening import DEADLINE_S

TESTS = Path(__file__).parents[2]
CHILD = """
import sys, termios
sys.path.insert(0, {tests!r})
from pathlib import Path
from monitor.dashboard import app, layout
from support.snapshots import RecordedControls, snapshot
before = termios.tcgetattr(0)
controls = RecordedControls()
def latest():
    return (snapshot(threshold=110.0 * controls.factor),)
def broken(*_):
    raise RuntimeError("broken on purpose")
if {fail}:
    layout.Screen.lines = broken
try:
    app.show(latest, controls, lambda: controls.ended or {fail}, fps=20, snapshot_dir=Path({out!r}))
finally:
    same = termios.tcgetattr(0) == before
    print("same settings" if same else "other settings", "%.4f" % controls.factor, flush=True)
"""


def test_keys_that_are_sequences_have_names_and_others_are_left_out() -> None:
    assert typed("q\x1b[A\x1bOB\x1b[15~\x1bOS\r") == f"q{UP}{DOWN}{ENTER}"
    assert typed("\x1b") == ESCAPE


@pytest.mark.skipif(sys.platform == "win32", reason="there is no pty")
class TestTerminal:
    """A process that has a pseudo-terminal as its own."""

    @pytest.fixture
    def start(self, tmp_path: Path) -> Iterator[Callable[..., int]]:
        import pty
        import signal

        children = []

        def start(fail: bool = False) -> int:
            code = CHILD.format(tests=str(TESTS), out=str(tmp_path), fail=fail)
            pid, fd = pty.fork()
            if pid == 0:
                environment = {k: v for k, v in os.environ.items() if k not in ("COLUMNS", "LINES", "NO_COLOR")}
                environment |= {"TERM": "xterm-256color", "COLORTERM": "truecolor"}
                os.execve(sys.executable, [sys.executable, "-c", code], environment)
            self.resize(fd, 80, 24)
            children.append((pid, fd))
            return fd

        yield start
        for pid, fd in children:
            os.close(fd)
            os.kill(pid, signal.SIGKILL)
            os.waitpid(pid, 0)

    @staticmethod
    def resize(fd: int, width: int, height: int) -> None:
        import fcntl
        import struct
        import termios

        fcntl.ioctl(fd, termios.TIOCSWINSZ, struct.pack("HHHH", height, width, 0, 0))

    @staticmethod
    def until(fd: int, words: str) -> str:
        """What the terminal received until `words` were in it."""
        seen, end = b"", time.monotonic() + DEADLINE_S
        while words.encode() not in seen:
            assert time.monotonic() < end, f"never saw {words!r} in {seen[-2000:]!r}"
            if select.select([fd], [], [], 0.2)[0]:
                try:
                    seen += os.read(fd, 65536)
                except OSError:  # the other side has ended
                    pytest.fail(f"ended without {words!r}: {seen[-2000:]!r}")
        return seen.decode("utf-8", "replace")

    def test_keys_do_what_they_say_and_the_terminal_is_as_before(
        self, start: Callable[..., int], tmp_path: Path
    ) -> None:
        import termios

        fd = start()
        self.until(fd, "save picture")
        os.write(fd, b"+")
        self.until(fd, "limit up 5 %")
        os.write(fd, b"-")
        self.until(fd, "limit down 5 %")
        os.write(fd, b"+\x1b[A\x1bOS")  # an arrow and a function key that do nothing here
        self.until(fd, "limit up 5 %")
        os.write(fd, b"s")
        saved = self.until(fd, ".svg")
        (picture,) = tmp_path.glob("monitor-*.svg")
        assert re.fullmatch(r"monitor-\d{8}-\d{6}\.svg", picture.name)
        assert picture.name in saved
        os.write(fd, b" ")
        self.until(fd, "resume")
        os.write(fd, b" ")
        self.until(fd, "pause")
        os.write(fd, b"?")
        self.until(fd, "closes this")
        os.write(fd, b"\x1b[A")  # an arrow closes it too
        self.until(fd, "Spectrogram")
        self.resize(fd, 110, 30)
        self.until(fd, "\x1b[30;1H")
        # Ctrl-Z must not stop the monitoring
        assert termios.tcgetattr(fd)[6][termios.VSUSP] == b"\x00"
        os.write(fd, b"q")
        rest = self.until(fd, " settings 1.0500")
        assert "\x1b[?1049l" in rest
        assert "same settings" in rest

    def test_the_terminal_is_as_before_when_drawing_fails(self, start: Callable[..., int]) -> None:
        rest = self.until(start(fail=True), " settings 1.0000")
        assert "same settings" in rest

    def test_the_terminal_is_as_before_when_interrupted(self, start: Callable[..., int]) -> None:
        fd = start()
        self.until(fd, "save picture")
        os.write(fd, b"\x03")
        rest = self.until(fd, " settings 1.0000")
        assert "\x1b[?1049l" in rest
        assert "same settings" in rest
