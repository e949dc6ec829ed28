"""Webhooks, against a real receiver that fails in all the ways that receivers fail."""

from __future__ import annotations

import base64
import socket
import ssl
import subprocess
import threading
import time
from collections.abc import Iterator
from email.utils import formatdate
from pathlib import Path
from typing import Any

import pytest

from monitor.notify.channel import NotSent
from monitor.notify.message import Composer, Message
from monitor.notify.webhook import LONGEST_WAIT_S, Webhook
from support.webhook import Receiver, break_off, drip, hang, status


@pytest.fixture
def receiver() -> Iterator[Receiver]:
    """A receiver that takes everything."""
    with Receiver() as made:
        yield made


@pytest.fixture
def message() -> Message:
    """A message."""
    return Composer("hall").test("phone")


def failure(address: str, message: Message, *, secret: str = "", timeout_s: float = 20.0) -> NotSent:
    """Why a message was not sent."""
    with pytest.raises(NotSent) as caught:
        Webhook(address, secret, timeout_s).send(message)
    return caught.value


def test_a_webhook_receives_the_object_with_its_id_as_json(receiver: Receiver, message: Message) -> None:
    Webhook(f"{receiver.url}?token=1", "", 20).send(message)
    [request] = receiver.taken
    assert request.path == "/hook?token=1"
    assert request.body == message.body
    assert request.headers["content-type"] == "application/json"
    assert request.headers["x-monitor-delivery"] == message.delivery == request.delivery
    assert request.headers["user-agent"].startswith("acoustic-monitor/")
    assert "x-monitor-signature" not in request.headers


def test_the_signature_is_the_hmac_of_time_and_body(receiver: Receiver, message: Message) -> None:
    """Computed by openssl."""
    Webhook(receiver.url, "sesame", 20).send(message)
    [request] = receiver.taken
    signed = request.headers["x-monitor-time"].encode() + b"." + request.body
    openssl = subprocess.run(
        ["openssl", "dgst", "-sha256", "-hmac", "sesame"], input=signed, capture_output=True, check=True
    )
    assert request.headers["x-monitor-signature"] == "sha256=" + openssl.stdout.decode().split("= ")[1].strip()
    assert request.headers["x-monitor-signature"] == request.signature("sesame")


@pytest.mark.parametrize("code", [200, 201, 202, 204])
def test_any_2xx_means_that_it_was_taken(receiver: Receiver, message: Message, code: int) -> None:
    receiver.answer = status(code)
    Webhook(receiver.url, "", 20).send(message)


@pytest.mark.parametrize(
    ("code", "refused"),
    [(400, True), (401, True), (404, True), (410, True), (408, False), (425, False), (429, False), (500, False),
     (502, False), (503, False)],
)  # fmt: skip
def test_a_status_says_whether_trying_again_helps(
    receiver: Receiver, message: Message, code: int, refused: bool
) -> None:
    receiver.answer = status(code, "out of\n order \x1b[2J")
    error = failure(receiver.url, message)
    assert error.refused is refused
    assert error.why.startswith(f"http://127.0.0.1:{receiver.port} answers {code} ")
    assert error.why.endswith(": out of order ?[2J")


def test_a_receiver_says_how_long_to_wait(receiver: Receiver, message: Message) -> None:
    receiver.answers = [
        status(503, Retry_After="17"),
        status(429, Retry_After="9" * 50),
        status(503, Retry_After="soon"),
    ]
    assert [failure(receiver.url, message).wait_s for _ in range(3)] == [17, LONGEST_WAIT_S, 0]
    receiver.answer = status(503, Retry_After=formatdate(time.time() + 1000, usegmt=True))
    assert 0 < failure(receiver.url, message).wait_s <= 1000


@pytest.mark.parametrize("answer", [hang, drip], ids=["hangs", "drips"])
def test_an_attempt_ends_in_time_whatever_the_receiver_does(receiver: Receiver, message: Message, answer: Any) -> None:
    receiver.answer = answer
    error = failure(receiver.url, message, timeout_s=0.3)
    assert error.why == f"http://127.0.0.1:{receiver.port} has not answered within 0.3 s"
    assert not error.refused


def test_an_attempt_ends_in_time_if_tls_is_never_spoken(message: Message) -> None:
    with socket.create_server(("127.0.0.1", 0)) as server:
        ending = threading.Event()

        def drip_nonsense() -> None:
            connection, _ = server.accept()
            with connection:
                while not ending.wait(0.02):
                    connection.recv(1000)

        threading.Thread(target=drip_nonsense, daemon=True).start()
        try:
            assert (
                "not answered within 0.3 s"
                in failure(f"https://127.0.0.1:{server.getsockname()[1]}/", message, timeout_s=0.3).why
            )
        finally:
            ending.set()


def test_a_connection_that_breaks_off_is_tried_again(receiver: Receiver, message: Message) -> None:
    receiver.answer = break_off
    error = failure(receiver.url, message)
    assert not error.refused
    assert error.why.startswith(f"http://127.0.0.1:{receiver.port} ")


@pytest.mark.parametrize("code", [301, 302, 303, 307, 308])
def test_a_redirect_is_not_followed_and_said(receiver: Receiver, message: Message, code: int) -> None:
    with Receiver() as other:
        receiver.answer = status(code, Location=f"{other.url}/secret-path")
        error = failure(receiver.url, message, secret="sesame")
        assert other.taken == []
    assert error.refused
    assert error.why.endswith(
        f"answers {code}, a redirect to another address (at 127.0.0.1): write that address into the settings"
    )


def test_user_and_password_are_sent_as_the_standard_says_and_never_shown(receiver: Receiver, message: Message) -> None:
    address = receiver.url.replace("http://", "http://anna:p%40ss@")
    Webhook(address, "", 20).send(message)
    assert receiver.taken[0].headers["authorization"] == "Basic " + base64.b64encode(b"anna:p@ss").decode()
    receiver.answer = status(500)
    assert failure(address, message).why == f"http://127.0.0.1:{receiver.port} answers 500 Internal Server Error"


def test_secrets_in_the_address_are_not_shown_even_if_the_receiver_repeats_them(
    receiver: Receiver, message: Message
) -> None:
    receiver.answer = status(500, "no /hook/T0PSECRET?key=w0rd for you, sesame")
    error = failure(f"{receiver.url}/T0PSECRET?key=w0rd", message, secret="sesame")
    for secret in ("T0PSECRET", "w0rd", "sesame"):
        assert secret not in error.why


def test_a_certificate_that_is_not_trusted_is_refused(tmp_path: Path, message: Message) -> None:
    key, certificate = tmp_path / "key.pem", tmp_path / "certificate.pem"
    subprocess.run(
        ["openssl", "req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:prime256v1", "-nodes", "-days", "2",
         "-subj", "/CN=localhost", "-keyout", str(key), "-out", str(certificate)],
        capture_output=True, check=True,
    )  # fmt: skip
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(certificate, key)
    with Receiver() as receiver:
        receiver._server.socket = context.wrap_socket(receiver._server.socket, server_side=True)
        error = failure(f"https://localhost:{receiver.port}/hook", message)
        assert receiver.taken == []
    assert "has a certificate that is not trusted: self-signed certificate" in error.why


def test_nothing_listens_and_unknown_hosts_are_said_in_words(message: Message) -> None:
    with socket.create_server(("127.0.0.1", 0)) as server:
        port = server.getsockname()[1]
    assert failure(f"http://127.0.0.1:{port}/x", message).why == (
        f"http://127.0.0.1:{port} refuses the connection: nothing listens there"
    )
    assert failure("http://no-such-host.invalid/x", message).why == (
        "http://no-such-host.invalid is not known: its name has no address"
    )
