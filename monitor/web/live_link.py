"""Live values: the newest state of each stream, asked from the monitor that runs with the state folder."""

from __future__ import annotations

import threading
import time
from pathlib import Path
from typing import Any

from monitor.core.errors import MonitorError
from monitor.service.status_client import ask

EVERY_S = 1.0
TIMEOUT_S = 3.0

Values = dict[str, Any]  # of one stream, as `monitor.service.status_values.stream_values` and the status give them


class LiveLink:
    """Asks the running monitor once a second, on a thread of its own, however many people look.

    Args:
        folder: the state folder.
        every_s: seconds between two questions.
    """

    def __init__(self, folder: Path, every_s: float = EVERY_S) -> None:
        self.streams: dict[str, Values] = {}  # by name; replaced as a whole, never changed
        self.time = 0.0  # when these values were asked for, Unix time; 0 before the first
        self.trouble = "The monitor was not asked yet."  # why there are no live values, a sentence; "" if there are
        self.since = time.time()  # since when
        self.gone: dict[str, float] = {}  # streams that were live until the monitor ended: Unix times of that
        self._folder, self._every_s = folder, every_s
        self._ending = threading.Event()
        self._thread = threading.Thread(target=self._run, name="live values", daemon=True)

    def start(self) -> None:
        """Begins to ask."""
        self._thread.start()

    def close(self) -> None:
        """Ends it without waiting for an answer that is due."""
        self._ending.set()

    @property
    def alive(self) -> bool:
        """Whether the monitor answered the last question."""
        return not self.trouble

    def _run(self) -> None:
        while not self._ending.is_set():
            began = time.monotonic()
            self._ask()
            self._ending.wait(max(0.0, began + self._every_s - time.monotonic()))

    def _ask(self) -> None:
        try:
            answer = ask(self._folder, {"command": "snapshots"}, timeout_s=TIMEOUT_S)
            streams = {str(one["stream"]): one for one in answer["streams"]}
        except MonitorError as error:
            self._note(" ".join(error.messages))
            return
        except (KeyError, TypeError):
            self._note("What answers there is not a monitor.")
            return
        self.time = time.time()
        self.streams = streams
        self._note("")

    def _note(self, trouble: str) -> None:
        if bool(trouble) != bool(self.trouble):
            self.since = time.time()
        self.trouble = trouble[:1].upper() + trouble[1:]
        if not trouble:
            self.gone = {}
        elif self.streams:
            self.gone, self.streams = dict.fromkeys(self.streams, self.time), {}
