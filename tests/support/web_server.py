"""`monitor web` as a process, and a hall of streams for it: a store, and the status socket of a monitor."""

from __future__ import annotations

import contextlib
import dataclasses
import os
import re
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path

import numpy as np

from monitor.core.events import Event, State, new_event_id
from monitor.service.status_server import StatusServer
from monitor.store import tables
from monitor.store.database import Store
from support.listening import DEADLINE_S, wait_until
from support.ports import free_port
from support.snapshots import snapshot

HOST = "hall-3"
SETTINGS = f"state:\n  host: {HOST}\n"
NAMES = tuple(
    f"{kind} {number}" for kind in ("pump", "fan", "press", "conveyor", "gear box") for number in range(1, 9)
)  # fmt: skip
STARTED = re.compile(r"http://(\S+):(\d+)/")


class WebServer:
    """A running `monitor web`.

    Args:
        folder: in which it runs; `config.yaml` in it is used if it exists.
        state: its state folder.
        options: further options.
        environment: further variables.
    """

    def __init__(self, folder: Path, state: Path, *options: str, environment: Mapping[str, str] | None = None) -> None:
        self.folder, self.state, self.port = folder, state, free_port()
        self._options, self._environment = options, {**os.environ, **(environment or {})}
        self.process: subprocess.Popen[str] | None = None
        self.lines: list[str] = []
        self.start()

    @property
    def url(self) -> str:
        """The address without a path."""
        return f"http://127.0.0.1:{self.port}"

    def start(self) -> None:
        """Starts it, and waits until it serves the page."""
        command = [sys.executable, "-m", "monitor", "web", "--port", str(self.port), "--state", str(self.state)]
        self.process = subprocess.Popen(
            [*command, *self._options], cwd=self.folder, env=self._environment, text=True,
            stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.STDOUT,
        )  # fmt: skip
        threading.Thread(target=self._read, args=(self.process,), daemon=True).start()
        wait_until(
            lambda: self.process.poll() is not None or any(map(STARTED.search, self.lines)),  # type: ignore[union-attr]
            "the page's server",
        )
        assert self.process.poll() is None, self.output

    def stop(self, number: int = signal.SIGTERM) -> int:
        """Ends it by a signal, and returns its exit code."""
        assert self.process is not None
        self.process.send_signal(number)
        code = self.process.wait(DEADLINE_S)
        self.lines.clear()
        return code

    @property
    def output(self) -> str:
        """What it said so far."""
        return "".join(self.lines)

    def _read(self, process: subprocess.Popen[str]) -> None:
        assert process.stdout is not None
        with process.stdout:
            for line in process.stdout:
                self.lines.append(line)


@contextlib.contextmanager
def web_server(
    folder: Path, state: Path, *options: str, environment: Mapping[str, str] | None = None
) -> Iterator[WebServer]:
    """A running `monitor web`, ended with the block."""
    server = WebServer(folder, state, *options, environment=environment)
    try:
        yield server
    finally:
        if server.process is not None and server.process.poll() is None:
            server.process.kill()
            server.process.wait(DEADLINE_S)


class Hall:
    """The store and the status socket of a monitor that listens to streams, which a test changes.

    The streams are as normal as they were in the last hour, until `become` says otherwise.

    Args:
        state: the state folder.
        names: of the streams.
        url: of the store; None: a file in the state folder.
        rate_hz: how often snapshots come, as from an engine; 0: only when a test changes something.
    """

    def __init__(
        self, state: Path, names: Sequence[str] = NAMES, *, url: str | None = None, rate_hz: float = 0.0
    ) -> None:
        state.mkdir(exist_ok=True)
        self.state, self.names = state, tuple(names)
        self.store = Store.open(url or f"sqlite:///{state / 'monitor.sqlite'}")
        self.ids = fill_hour(self.store, self.names)
        self.status: StatusServer | None = None
        self._shares = np.linspace(0.3, 0.7, len(self.names))
        self._states = dict.fromkeys(self.names, State.NORMAL)
        self._events: dict[str, Event] = {}
        self._ending, self._rate_hz = threading.Event(), rate_hz
        self._thread = threading.Thread(target=self._run, daemon=True)
        self.start()
        if rate_hz:
            self._thread.start()

    def start(self) -> None:
        """The monitor starts."""
        self.status = StatusServer(self.state)
        self.publish()
        wait_until(self.status.path.exists, "the status socket")

    def end(self) -> None:
        """The monitor ends."""
        if self.status is not None:
            self.status.close()
        self.status = None

    def become(self, name: str, state: State, share: float = 0.5) -> str:
        """A stream gets into a state; an anomaly is stored as an event, whose id is returned."""
        self._states[name] = state
        self._shares[self.names.index(name)] = share
        event_id = ""
        if state is State.ANOMALY:
            event_id = self.store_event(name)
            now = time.time()
            self._events[name] = Event("anomaly", 1.0, None, now, "mic", threshold=1.0, stream=name, id=event_id)
        else:
            self._events.pop(name, None)
        self.publish()
        return event_id

    def store_event(self, name: str, kind: str = "anomaly", **values: object) -> str:
        """Stores an event that began now and lasts, with other values if given; returns its id."""
        event_id, now = new_event_id(), time.time()
        row = {
            "id": event_id, "stream_id": self.ids[name], "kind": kind, "onset": now, "reported": now, "ended": None,
            "start_s": 1.0, "peak_share": 1.4, "cause": "sudden", "model_id": "1f0c", "source": "mic",
            "bands": [{"low_hz": 2100.0, "high_hz": 2800.0, "share": 0.6, "change": "new"}],
        }  # fmt: skip
        with self.store.begin() as connection:
            connection.execute(tables.events.insert().values(**{**row, **values}))
        return event_id

    def publish(self) -> None:
        """Sends a snapshot of each stream."""
        if self.status is None:
            return
        template = snapshot(State.NORMAL)
        for name, share in zip(self.names, self._shares, strict=True):
            jitter = 0.01 * np.sin(time.time() * 3 + share * 50)
            events = (self._events[name],) if name in self._events else ()
            self.status.snapshot(
                dataclasses.replace(
                    template,
                    stream=name,
                    state=self._states[name],
                    share_of_limit=float(share + jitter),
                    events=events,
                    processing_s=0.012,
                )
            )

    def close(self) -> None:
        """Ends everything."""
        self._ending.set()
        self.end()
        self.store.close()

    def _run(self) -> None:
        while not self._ending.wait(1 / self._rate_hz):
            self.publish()


@contextlib.contextmanager
def hall_of(
    state: Path, names: Sequence[str] = NAMES, *, url: str | None = None, rate_hz: float = 0.0
) -> Iterator[Hall]:
    """A hall, closed with the block."""
    hall = Hall(state, names, url=url, rate_hz=rate_hz)
    try:
        yield hall
    finally:
        hall.close()


def fill_hour(store: Store, names: Sequence[str], now: float | None = None) -> dict[str, int]:
    """Stores streams with an hour of normal minutes up to now, and returns their ids by name."""
    now = time.time() if now is None else now
    rng = np.random.default_rng(1)
    ids: dict[str, int] = {}
    with store.begin() as connection:
        for i, name in enumerate(names):
            values = {"host": HOST, "name": name, "model_id": "1f0c", "source": "microphone: USB Audio"}
            made = connection.execute(tables.streams.insert().values(**values, first_seen=now - 9e6, last_seen=now))
            ids[name] = made.inserted_primary_key[0]  # type: ignore[index]
            level = 350 + 300 * i / max(len(names), 2) + 60 * np.sin(np.arange(60) / 7 + i)
            level += 20 * rng.standard_normal(60)
            common = {"stream_id": ids[name], "level": -350, "normal_s": 60}
            shares = [{"share_mean": int(one - 40), "share_max": int(one)} for one in level]
            rows = [{**common, **one, "minute": int(now // 60) - 60 + k} for k, one in enumerate(shares)]
            connection.execute(tables.minutes.insert(), rows)
    return ids
