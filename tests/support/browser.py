"""Debian's Chromium without a window, driven over pipes by its DevTools protocol."""

from __future__ import annotations

import base64
import json
import os
import select
import shutil
import subprocess
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest

from support.listening import DEADLINE_S

CHROMIUM = shutil.which("chromium") or shutil.which("chromium-browser")
needs_chromium = pytest.mark.skipif(CHROMIUM is None, reason="chromium is not installed")


class Page:
    """A page in the browser, and the addresses that it loaded."""

    def __init__(self, to_browser: int, from_browser: int) -> None:
        self._to, self._from = to_browser, from_browser
        self._number, self._session = 0, ""
        self._rest = b""
        self.requested: list[str] = []  # addresses
        self.complaints: list[str] = []  # errors of scripts and of the security policy
        self.loaded = False
        target = self.call("Target.createTarget", url="about:blank")["targetId"]
        self._session = self.call("Target.attachToTarget", targetId=target, flatten=True)["sessionId"]
        for domain in ("Page", "Network", "Runtime", "Log"):
            self.call(f"{domain}.enable")

    def call(self, method: str, **params: Any) -> Any:
        """Sends a command, and returns its result."""
        self._number += 1
        message = {"id": self._number, "method": method, "params": params}
        if self._session:
            message["sessionId"] = self._session
        os.write(self._to, json.dumps(message).encode() + b"\0")
        while True:
            answer = self._next()
            if answer.get("id") == self._number:
                assert "error" not in answer, answer
                return answer["result"]

    def open(self, file: Path) -> None:
        """Opens a file, and waits until it is loaded."""
        self.loaded = False
        self.call("Page.navigate", url=file.resolve().as_uri())
        while not self.loaded:
            self._next()

    def go(self, url: str) -> None:
        """Opens an address, and waits until it is loaded."""
        self.loaded = False
        self.call("Page.navigate", url=url)
        while not self.loaded:
            self._next()

    def wait(self, expression: str, what: str = "") -> None:
        """Waits until an expression is true in the page, also over a change of pages."""
        end = time.monotonic() + DEADLINE_S
        while True:
            try:
                if self.value(expression):
                    return
            except AssertionError as error:  # a page that is being left, or not made yet
                if "browser" in str(error):
                    raise
            assert time.monotonic() < end, what or expression
            time.sleep(0.02)

    def text(self) -> str:
        """What can be read on the page."""
        return str(self.value("document.body.innerText"))

    def size(self, width: int, height: int, *, phone: bool = False) -> None:
        """Gives the page the size of a screen."""
        self.call(
            "Emulation.setDeviceMetricsOverride", width=width, height=height, deviceScaleFactor=2 if phone else 1,
            mobile=phone,
        )  # fmt: skip

    def dark(self, dark: bool) -> None:
        """Makes the browser prefer dark or light pages."""
        scheme = {"name": "prefers-color-scheme", "value": "dark" if dark else "light"}
        self.call("Emulation.setEmulatedMedia", features=[scheme])

    def press(self, *keys: str) -> None:
        """Presses keys one after another: characters, or names such as Tab, Enter, ArrowDown, Shift+Tab."""
        for key in keys:
            name = key.removeprefix("Shift+")
            text = {"Enter": "\r", "Space": " "}.get(name, name if len(name) == 1 else "")
            code = {"Tab": 9, "Enter": 13, "Escape": 27, "Space": 32, "End": 35, "Home": 36, "ArrowLeft": 37,
                    "ArrowUp": 38, "ArrowRight": 39, "ArrowDown": 40}.get(name, ord(name[0].upper()))  # fmt: skip
            values = {"key": " " if name == "Space" else name, "windowsVirtualKeyCode": code}
            values["modifiers"] = 8 if key.startswith("Shift+") else 0
            self.call("Input.dispatchKeyEvent", type="keyDown" if text else "rawKeyDown", text=text, **values)
            self.call("Input.dispatchKeyEvent", type="keyUp", **values)

    def type(self, text: str) -> None:
        """Types a text into the field that has the focus."""
        self.call("Input.insertText", text=text)

    def click(self, selector: str) -> None:
        """Clicks in the middle of the first element that a selector finds, as a mouse does."""
        found = self.value(
            f"(() => {{ const one = document.querySelector({json.dumps(selector)});"
            " one.scrollIntoView({block: 'nearest'}); const box = one.getBoundingClientRect();"
            " return [box.x + box.width / 2, box.y + box.height / 2]; })()"
        )
        for kind in ("mousePressed", "mouseReleased"):
            self.call("Input.dispatchMouseEvent", type=kind, x=found[0], y=found[1], button="left", clickCount=1)

    def log_in(self, url: str, name: str, password: str) -> None:
        """Opens an address, and logs in on the page that asks for it."""
        self.go(url)
        self.wait("document.querySelector('input[name=password]') !== null", "the login page")
        self.value(f"document.querySelector('input[name=name]').value = {json.dumps(name)}")
        self.value("document.querySelector('input[name=password]').focus()")
        self.type(password)
        self.press("Enter")
        self.wait("document.getElementById('main') !== null", "the page after the login")

    def screenshot(self, file: Path) -> None:
        """Writes what can be seen as a PNG file."""
        file.write_bytes(base64.b64decode(self.call("Page.captureScreenshot", format="png")["data"]))

    def value(self, expression: str) -> Any:
        """The value of an expression in the page; a promise is waited for."""
        found = self.call("Runtime.evaluate", expression=expression, awaitPromise=True, returnByValue=True)
        assert "exceptionDetails" not in found, found
        return found["result"].get("value")

    def _next(self) -> dict[str, Any]:
        """The next message; events are noted."""
        end = time.monotonic() + DEADLINE_S
        while b"\0" not in self._rest:
            ready, _, _ = select.select([self._from], [], [], max(end - time.monotonic(), 0))
            assert ready, "the browser does not answer"
            data = os.read(self._from, 1 << 20)
            assert data, "the browser has ended"
            self._rest += data
        text, _, self._rest = self._rest.partition(b"\0")
        message: dict[str, Any] = json.loads(text)
        match message.get("method"):
            case "Network.requestWillBeSent":
                self.requested.append(message["params"]["request"]["url"])
            case "Page.loadEventFired":
                self.loaded = True
            case "Log.entryAdded":
                self.complaints.append(message["params"]["entry"]["text"])
            case "Runtime.exceptionThrown":
                self.complaints.append(str(message["params"]["exceptionDetails"]))
        return message


@contextmanager
def browser(folder: Path) -> Iterator[Page]:
    """A page in a new browser, which keeps its files in `folder`."""
    read_commands, to_browser = os.pipe()
    from_browser, write_answers = os.pipe()
    options = "--headless --no-sandbox --disable-gpu --hide-scrollbars --no-first-run --remote-debugging-pipe"
    # bash moves the pipes to the numbers at which the browser expects them
    command = f'exec "$0" {options} --user-data-dir="$1" 3<&{read_commands} 4>&{write_answers} >/dev/null 2>&1'
    process = subprocess.Popen(
        ["bash", "-c", command, str(CHROMIUM), str(folder / "browser")], pass_fds=(read_commands, write_answers)
    )
    os.close(read_commands)
    os.close(write_answers)
    try:
        yield Page(to_browser, from_browser)
    finally:
        process.terminate()
        process.wait(DEADLINE_S)
        os.close(to_browser)
        os.close(from_browser)
