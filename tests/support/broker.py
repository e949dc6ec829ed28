"""A real MQTT broker (mosquitto) on a free port of this computer, and a client that collects what it publishes."""

from __future__ import annotations

import contextlib
import json
import os
import shutil
import signal
import socket
import ssl
import subprocess
import threading
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
from paho.mqtt.client import Client
from paho.mqtt.enums import CallbackAPIVersion

from support.listening import wait_until
from support.namespaces import Host
from support.ports import free_port

PROGRAM = shutil.which("mosquitto", path=f"{os.environ.get('PATH', '')}:/usr/sbin")
needs_mosquitto = pytest.mark.skipif(PROGRAM is None, reason="mosquitto is not installed")


class Broker:
    """A broker that can be stopped, started again at the same port, and frozen.

    Args:
        folder: for its configuration.
        options: further lines of its configuration, such as those of TLS and passwords.
        host: the host that it runs on, for the whole network; None: this computer, for itself.
    """

    def __init__(
        self, folder: Path, options: Sequence[str] = ("allow_anonymous true",), host: Host | None = None
    ) -> None:
        self.address, self._prefix = ("127.0.0.1", ()) if host is None else (host.address, host.prefix)
        self.port = free_port()
        self._file = folder / "mosquitto.conf"
        user = "user root\n" if os.geteuid() == 0 else ""  # so that it may read files of this test
        self._file.write_text(f"listener {self.port} {self.address}\n{user}" + "\n".join(options) + "\n")
        self._process: subprocess.Popen[bytes] | None = None

    def start(self) -> None:
        """Starts it, and waits until it listens."""
        assert PROGRAM
        self._process = subprocess.Popen(
            [*self._prefix, PROGRAM, "-c", self._file], stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL
        )
        wait_until(self._listens, "a broker that listens")

    def stop(self) -> None:
        """Ends it; what it retained is gone."""
        if self._process is not None:
            self._process.send_signal(signal.SIGCONT)
            self._process.terminate()
            self._process.wait()
            self._process = None

    def freeze(self) -> None:
        """Stops it from answering, while its connections stay open."""
        assert self._process
        self._process.send_signal(signal.SIGSTOP)

    def thaw(self) -> None:
        """Lets it go on."""
        assert self._process
        self._process.send_signal(signal.SIGCONT)

    def _listens(self) -> bool:
        with contextlib.suppress(OSError), socket.create_connection((self.address, self.port), 1.0):
            return True
        return False


@contextlib.contextmanager
def broker(
    folder: Path, options: Sequence[str] = ("allow_anonymous true",), host: Host | None = None
) -> Iterator[Broker]:
    """A context with a running broker."""
    made = Broker(folder, options, host)
    made.start()
    try:
        yield made
    finally:
        made.stop()


@dataclass(frozen=True)
class Received:
    """A message that a client received."""

    topic: str
    payload: str
    retained: bool

    @property
    def json(self) -> Any:
        """The payload, read as a strict reader of JSON does."""

        def refuse(word: str) -> None:
            raise AssertionError(f"{word} in {self.payload}")

        return json.loads(self.payload, parse_constant=refuse)


class Reader:
    """A client that collects all messages. A broker with persistence keeps them for it while it is away."""

    def __init__(
        self, port: int, *, address: str = "localhost", user: str = "", password: str = "", ca_file: Path | None = None
    ) -> None:
        self.messages: list[Received] = []
        self._subscribed = threading.Event()
        self._client = Client(CallbackAPIVersion.VERSION2, client_id=f"reader-{id(self)}", clean_session=False)
        if user:
            self._client.username_pw_set(user, password)
        if ca_file is not None:
            self._client.tls_set_context(ssl.create_default_context(cafile=str(ca_file)))
        self._client.reconnect_delay_set(1, 1)
        self._client.on_connect = lambda client, *_: client.subscribe("#", 1)
        self._client.on_subscribe = lambda *_: self._subscribed.set()
        self._client.on_message = lambda _client, _data, one: self.messages.append(
            Received(one.topic, one.payload.decode(), bool(one.retain))
        )
        self._client.connect(address, port)
        self._client.loop_start()
        wait_until(self._subscribed.is_set, "a subscription")

    def publish(self, topic: str, payload: str, *, retain: bool = False) -> None:
        """Publishes a message."""
        self._client.publish(topic, payload, 1, retain).wait_for_publish(10)

    def of(self, topic: str) -> list[Received]:
        """The messages of a topic so far, without removals."""
        return [one for one in list(self.messages) if one.topic == topic and one.payload]

    def wait(self, topic: str, count: int = 1) -> list[Received]:
        """Waits for so many messages of a topic, and returns all of it."""
        wait_until(lambda: len(self.of(topic)) >= count, f"message {count} at {topic}")
        return self.of(topic)

    def wait_for(self, topic: str, payload: str) -> None:
        """Waits until the newest message of a topic is this one."""
        wait_until(
            lambda: (
                [one for one in list(self.messages) if one.topic == topic][-1:]
                and [one for one in list(self.messages) if one.topic == topic][-1].payload == payload
            ),
            f"{payload!r} at {topic}",
        )

    def close(self) -> None:
        """Ends the connection."""
        self._client.disconnect()
        self._client.loop_stop()


@contextlib.contextmanager
def reader(port: int, **how: Any) -> Iterator[Reader]:
    """A context with a client that collects all messages."""
    made = Reader(port, **how)
    try:
        yield made
    finally:
        made.close()


def retained(port: int) -> dict[str, str]:
    """What the broker retains: payloads by topic, as a new client receives it."""
    with reader(port) as one:
        one.publish("end of what is retained", "now")
        one.wait("end of what is retained")
        return {message.topic: message.payload for message in one.messages if message.retained}


def certificates(folder: Path) -> tuple[Path, Path, Path]:
    """Makes an authority, and a certificate of the host name localhost; returns its file, the certificate, the key."""
    ca, ca_key, certificate, key = (folder / name for name in ("ca.crt", "ca.key", "broker.crt", "broker.key"))
    _openssl("req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:prime256v1", "-nodes", "-days", "2",
             "-subj", "/CN=test authority", "-keyout", ca_key, "-out", ca)  # fmt: skip
    _openssl("req", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:prime256v1", "-nodes", "-subj", "/CN=localhost",
             "-keyout", key, "-out", folder / "broker.csr")  # fmt: skip
    (folder / "names").write_text("subjectAltName=DNS:localhost\n")
    _openssl("x509", "-req", "-in", folder / "broker.csr", "-CA", ca, "-CAkey", ca_key, "-CAcreateserial", "-days", "2",
             "-extfile", folder / "names", "-out", certificate)  # fmt: skip
    return ca, certificate, key


def _openssl(*arguments: str | Path) -> None:
    subprocess.run(["openssl", *arguments], check=True, capture_output=True)


def password_file(folder: Path, user: str, password: str) -> Path:
    """Makes the broker's file of passwords."""
    file = folder / "passwords"
    subprocess.run(["mosquitto_passwd", "-b", "-c", file, user, password], check=True, capture_output=True)
    return file
