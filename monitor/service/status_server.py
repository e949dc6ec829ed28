"""The sink behind `monitor status`: it keeps the newest state of each stream, and answers on a Unix socket.

A request is a line with a JSON object, which names a `command`; so is the answer. An answer with `error` (a sentence,
or a list of them) and `code` (an exit code) means that the request was refused.

    {"command": "status"}      everything: `streams`, `outputs`, `disks`, `deliveries`, …
    {"command": "snapshots"}   `time` and `streams` only; with "spectrum": true also the newest spectrum of each
    {"command": "follow"}      the same again and again, every `every_s` seconds (default 1), until the client ends
    {"command": "recent"}      of one `stream`: its live values, and in `slots` its last minute, or what is newer
                               than slot `after` (`monitor.service.status_values.recent_slots`)
"""

from __future__ import annotations

import json
import logging
import os
import time
from collections.abc import Callable, Collection, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

from monitor import __version__
from monitor.core.errors import EXIT_USAGE, MonitorError
from monitor.core.events import ScoreRows
from monitor.core.snapshot import Snapshot
from monitor.outputs.sink import Sink
from monitor.service.disk_space import WatchedFolder
from monitor.service.socket_file import NAME
from monitor.service.socket_server import SocketServer, refusal
from monitor.service.status_facts import SlowFacts
from monitor.service.status_progress import HUNG_S, ScoringProgress
from monitor.service.status_values import number, recent_slots, stream_values

FASTEST_S, SLOWEST_S = 0.1, 3600.0  # seconds between two lines of `follow`

Request = dict[str, Any]
Command = Callable[[Request], Mapping[str, Any]]

log = logging.getLogger(__name__)


class StatusRequestError(MonitorError):
    """A request of the status socket that cannot be answered as it is."""

    exit_code = EXIT_USAGE


class StatusServer(Sink):
    """Answers requests about the running monitor on the socket `status.sock` in its state folder.

    The engine's thread only stores references; answers are made on the threads of the clients (`SocketServer`).

    Args:
        folder: the state folder.
        folders: folders whose free disk space is part of the status.
        deliveries: returns what is known of notifications; it may be slow, and raise.
        commands: further commands, each a function of the request that returns the answer, or raises a MonitorError
            that the client is told. They are called on the client's thread. Entries may be added while it runs.
        hung_s: seconds without progress from which on the monitor counts as hung.
    """

    def __init__(
        self,
        folder: Path,
        *,
        folders: Sequence[WatchedFolder] = (),
        deliveries: Callable[[], Mapping[str, Any]] | None = None,
        commands: dict[str, Command] | None = None,
        hung_s: float = HUNG_S,
    ) -> None:
        self.folder, self.path = folder, folder / NAME
        self.commands: dict[str, Command] = {} if commands is None else commands
        self._hung_s, self._began = hung_s, time.monotonic()
        self._progress = ScoringProgress()
        self._snapshots: dict[str, Snapshot] = {}
        self._facts = SlowFacts(folders, deliveries)
        self._server = SocketServer(self.path, self._answers)
        self._server.start()

    @property
    def trouble(self) -> str:
        """Why `monitor status` cannot reach this monitor at present."""
        return super().trouble or self._server.trouble

    def scores(self, rows: ScoreRows) -> None:
        """Takes note of scored windows."""
        self._progress.scores(rows)

    def snapshot(self, snapshot: Snapshot) -> None:
        """Keeps the newest state of a stream; one that has ended without a failure was removed from the settings.

        Streams that could not be started are given once, by the caller.
        """
        self._progress.snapshot(snapshot)
        if snapshot.finished and not snapshot.failure:
            self._snapshots.pop(snapshot.stream, None)
        else:
            self._snapshots[snapshot.stream] = snapshot

    def keep(self, streams: Collection[str]) -> None:
        """Forgets all streams but these, because they were removed from the settings. For any thread."""
        for name in self._snapshots.keys() - set(streams):
            self._snapshots.pop(name, None)
        self._progress.keep(streams)

    def close(self) -> None:
        """Disconnects all clients, and removes the socket."""
        self._server.close()
        self._facts.close()

    @property
    def deliveries(self) -> dict[str, Any] | None:
        """What is known of notifications, without waiting: see `SlowFacts.deliveries`."""
        return self._facts.deliveries

    # Answers, on the threads of clients.

    def status(self) -> dict[str, Any]:
        """The complete status: see `monitor.service.status_verdict` for what follows from it."""
        snapshots = list(self._snapshots.copy().values())
        published = self._progress.published_s_ago()
        return {
            "version": __version__,
            "pid": os.getpid(),
            "folder": str(self.folder),
            "time": round(time.time(), 3),
            "uptime_s": round(time.monotonic() - self._began, 1),
            "published_s_ago": number(published, 1),
            "hung_s": self._hung_s,
            "hung": self._progress.stall(self._hung_s),
            "streams": [self._values(one, spectrum=False) for one in snapshots],
            "outputs": list(dict.fromkeys(trouble for one in snapshots for trouble in one.outputs)),
            **self._facts.facts(),
        }

    def live_values(self, request: Request) -> dict[str, Any]:
        """The live values of all streams."""
        spectrum = request.get("spectrum") is True
        snapshots = list(self._snapshots.copy().values())
        return {"time": round(time.time(), 3), "streams": [self._values(one, spectrum=spectrum) for one in snapshots]}

    def recent(self, request: Request) -> dict[str, Any]:
        """The live values of one stream, and its last minute, or what of it is new.

        Raises:
            StatusRequestError: if the request is none, or there is no such stream.
        """
        name, after = request.get("stream"), request.get("after", -1)
        if not isinstance(name, str) or type(after) is not int:
            raise StatusRequestError('give "stream", the name of a stream, and "after", the number of a slot, if any')
        if (snapshot := self._snapshots.get(name)) is None:
            raise StatusRequestError(f"there is no stream {name!r}")
        values = self._values(snapshot, spectrum=False)
        return {"time": round(time.time(), 3), "values": values, "slots": recent_slots(snapshot, after)}

    def _values(self, snapshot: Snapshot, *, spectrum: bool) -> dict[str, Any]:
        name = snapshot.stream
        return {
            **stream_values(snapshot, spectrum=spectrum),
            "scored_s_ago": number(self._progress.scored_s_ago(name), 1),
            "stalled": self._progress.stalled(name, self._hung_s),
        }

    def _answers(self, line: bytes) -> Iterator[Mapping[str, Any]]:
        """Yields the answer to a request; for `follow` one after another, without an end."""
        try:
            request = json.loads(line)
            command = request["command"]
        except (ValueError, TypeError, KeyError, RecursionError):
            yield refusal('a request is a JSON object with "command", on one line', EXIT_USAGE)
            return
        if command == "follow":
            every_s = request.get("every_s", 1.0)
            if type(every_s) not in (int, float) or not FASTEST_S <= every_s <= SLOWEST_S:
                yield refusal(f"every_s is a number from {FASTEST_S:g} to {SLOWEST_S:g}", EXIT_USAGE)
                return
            yield self.live_values(request)
            while not self._server.ends_within(every_s):
                yield self.live_values(request)
        else:
            yield self._answer(str(command), request)

    def _answer(self, command: str, request: Request) -> Mapping[str, Any]:
        known: dict[str, Command] = {
            **self.commands,
            "status": lambda _: self.status(),
            "snapshots": self.live_values,
            "recent": self.recent,
        }
        if command not in known:
            return refusal(f"there is no command {command!r}: use one of {', '.join([*known, 'follow'])}", EXIT_USAGE)
        try:
            return known[command](request)
        except MonitorError as error:
            return {"error": list(error.messages), "code": error.exit_code}
        except Exception as error:  # noqa: BLE001 - a fault in an answer must not end the monitoring
            log.error("The request %s failed: %s: %s.", command, type(error).__name__, error)
            return refusal(f"the request failed: {type(error).__name__}: {error}")
