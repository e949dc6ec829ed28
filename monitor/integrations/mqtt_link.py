"""One connection to an MQTT broker, from connecting to its loss. It has no thread: all methods are called on one."""

from __future__ import annotations

import os
import secrets
import socket
import ssl
import time
from collections import deque
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from monitor.config.plant import Mqtt
from monitor.core.errors import ConfigError, MonitorError

if TYPE_CHECKING:
    from paho.mqtt.client import Client

PASSWORD_VARIABLE = "MONITOR_MQTT_PASSWORD"
KEEP_ALIVE_S = 20  # a connection in which nothing comes from the broker is given up after one to two of these
ANSWER_S = 10.0  # longest time that a broker may take to accept a connection
WRONG_LOGIN = (0x86, 0x87)  # reason codes of MQTT: bad user name or password, not authorized


@dataclass(frozen=True, slots=True)
class Message:
    """What is published."""

    topic: str
    payload: str  # of a retained message, an empty one removes it from the broker
    qos: int = 0
    retain: bool = True


class Link:
    """A connection to a broker.

    Args:
        settings: the settings of MQTT.
        will: what the broker publishes if the connection ends without `end`.
        keep_alive_s: as KEEP_ALIVE_S.
    """

    def __init__(self, settings: Mqtt, will: Message, *, keep_alive_s: int = KEEP_ALIVE_S) -> None:
        self.received: deque[tuple[str, str, bool]] = deque()  # topic, payload, whether it was a retained message
        self._settings, self._keep_alive_s = settings, keep_alive_s
        self._unacknowledged: dict[int, Callable[[], None]] = {}
        self._refusal: str | None = None  # None: no answer yet; "": accepted
        self._lost = ""
        self._client = self._new_client(will)

    @property
    def unacknowledged(self) -> int:
        """The number of messages of QoS 1 that the broker has not acknowledged yet."""
        return len(self._unacknowledged)

    @property
    def congested(self) -> bool:
        """Whether messages wait in memory because the network does not take them."""
        return bool(self._client.want_write())

    def open(self) -> None:
        """Connects.

        Raises:
            MonitorError: if the broker cannot be reached, or refuses.
        """
        settings = self._settings
        if settings.user:
            self._client.username_pw_set(settings.user, read_password(settings))
        try:
            if settings.tls:
                self._client.tls_set_context(tls_context(settings.ca_file))
            self._client.connect(settings.broker, settings.port, self._keep_alive_s)
        except (OSError, ValueError) as error:  # ValueError: a name that is no host name
            raise MonitorError(f"{connection_failure(error)}.") from None
        deadline = time.monotonic() + ANSWER_S
        while self._refusal is None:
            if time.monotonic() > deadline:
                raise MonitorError("the broker does not answer.")
            self.turn(0.1)
        if self._refusal:
            raise MonitorError(f"the broker refuses the connection: {self._refusal}.")

    def turn(self, seconds: float) -> None:
        """Sends and receives; returns after so many seconds, or earlier if something was received.

        Raises:
            MonitorError: if the connection is lost.
        """
        if self._client.loop(seconds) and not self._refusal:
            raise MonitorError(f"the connection was lost{f' ({self._lost})' if self._lost else ''}.")

    def subscribe(self, topic: str, *, qos: int = 0) -> None:
        """Subscribes to a topic; its messages are added to `received`."""
        self._client.subscribe(topic, qos)

    def publish(self, message: Message, acknowledged: Callable[[], None] = lambda: None) -> None:
        """Publishes a message; of QoS 1, `acknowledged` is called when the broker has it."""
        # A message that cannot be sent at once is sent by the next `turn`, which also notices a lost connection.
        info = self._client.publish(message.topic, message.payload, message.qos, message.retain)
        if message.qos:
            self._unacknowledged[info.mid] = acknowledged

    def end(self) -> None:
        """Ends the connection in order, so that the broker does not publish the will."""
        self._client.disconnect()

    def close(self) -> None:
        """Closes the socket, also of a connection that was lost."""
        if (open_socket := self._client.socket()) is not None:
            open_socket.close()

    def _new_client(self, will: Message) -> Client:
        from paho.mqtt.client import Client
        from paho.mqtt.enums import CallbackAPIVersion

        client = Client(CallbackAPIVersion.VERSION2, client_id=f"acoustic-{secrets.token_hex(4)}")
        client.connect_timeout = ANSWER_S
        client.will_set(will.topic, will.payload, will.qos, will.retain)
        client.on_connect = self._on_connect
        client.on_disconnect = self._on_disconnect
        client.on_publish = self._on_publish
        client.on_message = self._on_message
        return client

    def _on_connect(self, _client: Any, _data: Any, _flags: Any, reason: Any, _properties: Any) -> None:
        advice = ": check mqtt.user and the password" if reason.value in WRONG_LOGIN else ""
        self._refusal = f"{reason}{advice}" if reason.is_failure else ""

    def _on_disconnect(self, _client: Any, _data: Any, _flags: Any, reason: Any, _properties: Any) -> None:
        self._lost = str(reason).lower()

    def _on_publish(self, _client: Any, _data: Any, number: int, _reason: Any, _properties: Any) -> None:
        if (acknowledged := self._unacknowledged.pop(number, None)) is not None:
            acknowledged()

    def _on_message(self, _client: Any, _data: Any, message: Any) -> None:
        self.received.append((message.topic, message.payload.decode("utf-8", "replace"), message.retain))


def tls_context(ca_file: Path | None) -> ssl.SSLContext:
    """The context of encrypted connections: the broker's certificate and its name are checked.

    Args:
        ca_file: certificates that the broker's is checked with; None: those of the system.

    Raises:
        ConfigError: if the file cannot be read, or holds no certificates.
    """
    try:
        return ssl.create_default_context(cafile=None if ca_file is None else str(ca_file.expanduser()))
    except ssl.SSLError:
        raise ConfigError(f"{ca_file}: holds no certificates (mqtt.ca_file).") from None
    except OSError as error:
        raise ConfigError(f"{ca_file}: cannot be read: {error.strerror} (mqtt.ca_file).") from None


def read_password(settings: Mqtt) -> str | None:
    """The password, from the file or the environment; None if there is none.

    Raises:
        ConfigError: if the file cannot be read.
    """
    path = settings.password_file
    if path is None:
        return os.environ.get(PASSWORD_VARIABLE)
    try:
        return path.expanduser().read_text(encoding="utf-8").rstrip("\r\n")
    except UnicodeDecodeError:
        raise ConfigError(f"{path}: is not text (mqtt.password_file).") from None
    except OSError as error:
        raise ConfigError(f"{path}: cannot be read: {error.strerror} (mqtt.password_file).") from None


def connection_failure(error: Exception) -> str:
    """Why a connection could not be made, in a few words without a full stop."""
    if isinstance(error, ssl.SSLCertVerificationError):
        return f"the broker's certificate is not accepted: {error.verify_message.rstrip('.')}; see mqtt.ca_file"
    if isinstance(error, ssl.SSLError):
        return (
            f"no encrypted connection ({(error.reason or 'TLS').replace('_', ' ').lower()}); see mqtt.tls and mqtt.port"
        )
    if isinstance(error, TimeoutError):
        return "the broker does not answer"
    if isinstance(error, socket.gaierror):
        return f"the host is not found: {error.strerror}"
    return f"cannot connect: {getattr(error, 'strerror', None) or error}"
