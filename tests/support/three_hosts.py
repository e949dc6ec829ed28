"""A plant of three hosts: two halls with a monitor and two machines each, and a server with everything central."""

from __future__ import annotations

import contextlib
import json
import signal
import subprocess
import sys
from collections import defaultdict
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow.parquet
import yaml

from monitor.bundle.bundle import Bundle
from monitor.bundle.bundle_io import save_bundle
from monitor.core.types import DoubleArray
from monitor.notify.outbox import newest_deliveries
from monitor.store import queries
from monitor.store.database import Store
from monitor.store.records import StoredEvent
from monitor.store.tables import SENT
from support.broker import Reader, broker, reader
from support.builders import small_config
from support.clip_folders import names_in
from support.listening import DEADLINE_S, alarmed_by_loud_noise, wait_until
from support.namespaces import Host, network
from support.postgres import postgres_server
from support.s3_server import BUCKET, S3Server
from support.two_machines import FORM, TwoMachines

STREAMS = ("press", "pump")  # the same in both halls: one by UDP, one by TCP
UDP_PORT, TCP_PORT = 5004, 5005
# Decisions follow each other quickly, so that an anomaly takes two seconds and not twenty.
ALARM = {"warm_up_s": 1, "block_s": 0.1, "hold_s": 0.5, "release_s": 0.5, "cool_down_s": 0.5, "lasting": False}
APPEND = 'cat >> "$0"; echo >> "$0"'
MONITOR = (sys.executable, "-m", "monitor")


@dataclass(frozen=True)
class Minute:
    """What is compared of the values of a minute."""

    time: float
    highest_error: float
    heard_s: float


class Server:
    """The host with database, broker and object store."""

    def __init__(self, host: Host, folder: Path, store_url: str, mqtt_port: int) -> None:
        self.host, self.folder, self.store_url, self.mqtt_port = host, folder, store_url, mqtt_port
        self.clips_url = f"s3://{BUCKET}/clips"
        (folder / "objects").mkdir(parents=True)
        self.objects_server = S3Server(folder / "objects", host)
        self.environment = self.objects_server.environment
        self._config = folder / "config.yaml"
        settings = {
            "state": {"host": "server", "folder": str(folder / "state")},
            "store": {"url": store_url},
            "clips": {"url": self.clips_url},
        }
        self._config.write_text(yaml.safe_dump(settings))

    def run(self, *arguments: object) -> str:
        """Runs a command of the monitor there; what it prints."""
        command = (*MONITOR, *arguments, "--config", self._config)
        done = self.host.run(*command, folder=self.folder, environment=self.environment)
        assert done.returncode == 0, done.stderr
        return done.stdout

    def events(self, host: str) -> dict[str, StoredEvent]:
        """The events of a host by their ids, without warnings, which no event log has."""
        with Store.open(self.store_url, create=False) as store:
            found = queries.events(store, newest_first=False)
        return {one.id: one for one in found if one.host == host and one.kind != "warning"}

    def minutes(self, host: str) -> dict[str, list[Minute]]:
        """The minute values of a host by stream."""
        found: dict[str, list[Minute]] = {}
        with Store.open(self.store_url, create=False) as store:
            for stream in queries.streams(store):
                values = queries.minutes(store, stream.id, since=0, until=1e10)
                heard = sum(seconds for state, seconds in values.seconds.items() if state != "not_heard")
                if stream.host == host:
                    found[stream.name] = list(map(Minute, values.time, values.error_max, heard))
        return found

    def hand_out(self, model: Path, stream: str) -> None:
        """Hands out a model to a stream of a hall."""
        self.run("model", "push", model, "--to", stream)

    def taken(self) -> dict[str, str]:
        """What became of the models that were handed out, by stream."""
        return {
            f"{one['host']}/{one['stream']}": one["state"]
            for one in json.loads(self.run("model", "list", "--json"))["orders"]
        }

    def objects(self) -> list[str]:
        """The paths of everything in the object store, below the address of the clips."""
        done = self.host.run(sys.executable, "-c", LIST, self.clips_url, environment=self.environment)
        assert done.returncode == 0, done.stderr
        return done.stdout.splitlines()


LIST = """
import sys
from monitor.core.object_store import ObjectStore
for one in ObjectStore.open(sys.argv[1]).list():
    print(one.path)
"""


def ended(lines: Sequence[Mapping[str, Any]]) -> bool:
    """Whether an event has ended, by its lines in the event log."""
    return bool(lines) and lines[-1]["end_s"] is not None


class Hall:
    """A host with two machines and a monitor that listens to them.

    Attributes:
        messages: file that messages to people are appended to, one JSON object a line.
    """

    def __init__(self, host: Host, folder: Path, server: Server, bundle: Bundle) -> None:
        self.host, self.folder, self.name, self._server = host, folder, host.name, server
        self.messages, self.events_file = folder / "messages.jsonl", folder / "events.jsonl"
        self.live: subprocess.Popen[bytes] | None = None
        save_bundle(bundle, folder / "model.safetensors")
        addresses = (f"udp://0.0.0.0:{UDP_PORT}?{FORM}", f"tcp://127.0.0.1:{TCP_PORT}?{FORM}")
        settings = {
            "alarm": ALARM,
            "state": {"host": self.name, "folder": str(folder / "state")},
            "store": {"url": server.store_url},
            "clips": {"url": server.clips_url, "before_s": 1, "after_s": 1},
            "mqtt": {"broker": server.host.address, "port": server.mqtt_port, "every_s": 1},
            "fleet": {"every_s": 1},
            "notify": {
                "channels": [{"name": "file", "command": ["sh", "-c", APPEND, str(self.messages)]}],
                "rules": [{"to": "file", "kinds": "anomaly", "cool_down_s": 0}],
            },
            "streams": [
                {"name": name, "bundle": "model.safetensors", "device": address}
                for name, address in zip(STREAMS, addresses, strict=True)
            ],
        }  # fmt: skip
        (folder / "config.yaml").write_text(yaml.safe_dump(settings))
        sender = host.popen(*TwoMachines.command(UDP_PORT, TCP_PORT), stdin=subprocess.PIPE)
        self._machines = TwoMachines(sender)

    def start(self) -> None:
        """Starts the monitor."""
        self._said_before = len(self.said)
        options = ("--headless", "--events", self.events_file)
        scores = ("--parquet", self.folder / "scores", "--parquet-rows", "hop")
        self.live = self.host.popen(
            *MONITOR, "live", "--config", self.folder / "config.yaml", *options, *scores,
            folder=self.folder, output=self.folder / "said.txt", environment=self._server.environment,
        )  # fmt: skip

    def end(self, number: int = signal.SIGTERM) -> int:
        """Ends the monitor by a signal; its exit code."""
        assert self.live is not None
        self.live.send_signal(number)
        return self.live.wait(DEADLINE_S)

    def wait_until_normal(self) -> None:
        """Waits until both machines have been found normal since the last start of the monitor."""
        self.wait_until(
            lambda: all(f"{stream}: NORMAL" in self.said[self._said_before :] for stream in STREAMS), "normal machines"
        )

    def wait_until(self, condition: Callable[[], object], what: str) -> None:
        """Waits until a condition is true, which needs the monitor."""
        wait_until(lambda: condition() or self.live.poll() is not None, f"{what} in {self.name}: {self.said}")
        assert condition(), self.said

    def loud(self, stream: str) -> str:
        """Makes a machine loud, and waits until its monitor has noticed; the id of the anomaly."""
        before = set(self.events("anomaly"))
        self._machines.set(STREAMS.index(stream), "loud")
        self.wait_until(lambda: len(self.events("anomaly")) > len(before), f"an anomaly of {stream}")
        [new] = set(self.events("anomaly")) - before
        return new

    def quiet(self, stream: str, event_id: str = "") -> None:
        """Makes a machine quiet again, and waits until its monitor has noticed the end of an anomaly, if given."""
        self._machines.set(STREAMS.index(stream), "quiet")
        if event_id:
            self.wait_until(lambda: ended(self.events()[event_id]), f"the end of the anomaly of {stream}")

    def events(self, kind: str = "") -> dict[str, list[dict[str, Any]]]:
        """What the monitor wrote into its event log: all lines of each event, by its id."""
        found: dict[str, list[dict[str, Any]]] = defaultdict(list)
        if self.events_file.exists():
            text = self.events_file.read_text()
            for line in map(json.loads, text[: text.rfind("\n") + 1].splitlines()):
                if kind in ("", line["kind"]):
                    found[line["id"]].append(line)
        return found

    def told(self) -> list[tuple[str, str]]:
        """The messages to people: the id of the event, and the stage."""
        text = self.messages.read_text() if self.messages.exists() else ""
        lines = text[: text.rfind("\n") + 1].splitlines()
        return [(one["event"]["id"], one["stage"]) for one in map(json.loads, filter(None, lines))]

    def noted(self) -> set[tuple[str, str]]:
        """The messages of which the monitor has noted in its spool that they were sent."""
        with Store.open(f"sqlite:///{self.folder / 'state' / 'spool.sqlite'}", create=False) as spool:
            return {(one.event, one.stage) for one in newest_deliveries(spool, [SENT], 1000)}

    def scored(self) -> dict[str, DoubleArray]:
        """Unix time and reconstruction error of each hop (2, n) by stream; complete when the monitor has ended."""
        found: dict[str, list[tuple[float, float]]] = defaultdict(list)
        for file in sorted((self.folder / "scores").glob("*.parquet")):
            for row in pyarrow.parquet.read_table(file).to_pylist():
                found[row["stream"]].append((row["time"].timestamp(), row["error"]))
        return {stream: np.array(rows).T for stream, rows in found.items()}

    def clips_left(self) -> list[str]:
        """The clips and pictures that wait in the hall until they are in the object store."""
        return [path for path in names_in(self.folder / "state" / "clips") if path.endswith((".flac", ".png"))]

    @property
    def spools(self) -> bool:
        """Whether the monitor has said since its last start that it keeps for itself what it cannot send."""
        return "What happens is copied to the store" in self.said[self._said_before :]

    @property
    def said(self) -> str:
        """What the monitor printed, since its first start."""
        file = self.folder / "said.txt"
        return file.read_text() if file.exists() else ""


@dataclass(frozen=True)
class Plant:
    """The three hosts, a client of the broker that no cut concerns but that of the server, and another model."""

    halls: tuple[Hall, ...]
    server: Server
    mqtt: Reader
    next_model: Path


@contextlib.contextmanager
def three_hosts(folder: Path) -> Iterator[Plant]:
    """The plant, before its monitors are started; everything ends with the block."""
    bundle = alarmed_by_loud_noise(small_config())
    with contextlib.ExitStack() as stack:
        hosts = stack.enter_context(network())
        server, *halls = (hosts.host(name) for name in ("server", "hall-a", "hall-b"))
        for host in hosts.hosts:
            (folder / host.name).mkdir()
        database = stack.enter_context(postgres_server(server))
        mosquitto = stack.enter_context(broker(folder, host=server))
        mqtt = stack.enter_context(reader(mosquitto.port, address=server.address))
        central = Server(server, folder / server.name, database.new_database(), mosquitto.port)
        stack.callback(central.objects_server.kill)
        save_bundle(replace(bundle, normal_dbfs=bundle.normal_dbfs + 1), folder / "next.safetensors")
        made = tuple(Hall(one, folder / one.name, central, bundle) for one in halls)
        yield Plant(made, central, mqtt, folder / "next.safetensors")
