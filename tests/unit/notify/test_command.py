"""Channels that are programs: a command, and apprise."""

from __future__ import annotations

import json
import os
import sys
from pathlib import Path

import pytest

from monitor.config.plant import Channel
from monitor.core.errors import ConfigError
from monitor.notify.apprise_process import _reason
from monitor.notify.channel import NotSent, make_channel
from monitor.notify.command import AppriseService, Command
from monitor.notify.message import Composer, Message
from support.listening import wait_until
from support.webhook import Receiver, status


@pytest.fixture
def message() -> Message:
    """A message."""
    return Composer("hall").test("beacon")


def failure(arguments: list[str], message: Message, timeout_s: float = 30.0) -> NotSent:
    """Why a command has not taken a message."""
    with pytest.raises(NotSent) as caught:
        Command(arguments, timeout_s).send(message)
    return caught.value


def test_a_command_receives_the_object_on_standard_input(message: Message) -> None:
    Command(["sh", "-c", "cat > got.json"], 30).send(message)
    assert json.loads(Path("got.json").read_bytes()) == json.loads(message.body)


def test_arguments_are_given_as_they_are_without_a_shell(message: Message) -> None:
    program = "import sys, pathlib; pathlib.Path('got').write_text(sys.argv[1])"
    Command([sys.executable, "-c", program, "$HOME; rm -rf * | 'x'"], 30).send(message)
    assert Path("got").read_text() == "$HOME; rm -rf * | 'x'"


def test_an_exit_code_is_a_failure_with_the_first_line_that_the_command_said(message: Message) -> None:
    error = failure(["sh", "-c", "echo; echo no modem >&2; echo more >&2; exit 3"], message)
    assert (error.why, error.refused) == ("sh ended with exit code 3: no modem", False)


def test_a_command_that_is_killed_is_a_failure(message: Message) -> None:
    assert failure(["sh", "-c", "kill -9 $$"], message).why == "sh was ended by signal 9"


def test_a_command_that_cannot_be_started_is_given_up_soon(message: Message) -> None:
    error = failure(["/no/such/beacon"], message)
    assert (error.why, error.refused) == ("beacon cannot be started: No such file or directory", True)


def test_a_command_that_takes_too_long_is_ended_with_all_that_it_started(message: Message) -> None:
    error = failure(["sh", "-c", "sleep 1000 & echo $! > child; echo waiting >&2; wait"], message, timeout_s=1.0)
    assert error.why == "sh has not ended within 1 s, and was ended: waiting"
    child = Path("child").read_text().strip()
    wait_until(lambda: not Path(f"/proc/{child}").exists() or _is_dead(child), "the end of the command's child")


def _is_dead(process: str) -> bool:
    try:
        return Path(f"/proc/{process}/stat").read_text().rpartition(")")[2].split()[0] in "ZX"
    except OSError:
        return True


def test_what_a_command_leaves_running_in_the_background_delays_nothing(message: Message) -> None:
    Command(["sh", "-c", "sleep 1000 & echo $! > child"], 30).send(message)
    os.kill(int(Path("child").read_text()), 9)


def test_a_command_may_say_much_and_read_nothing(message: Message) -> None:
    big = Message(message.delivery, b"x" * 2_000_000, "", "")
    Command(["sh", "-c", "yes | head -c 1000000 >&2"], 30).send(big)


# Apprise, which takes a second to load in each test that sends something


def test_a_service_of_apprise_whose_address_is_in_a_file_receives_title_text_and_files(message: Message) -> None:
    Path("anomaly.png").write_bytes(b"\x89PNG\r\n\x1a\n picture")
    with Receiver() as receiver:
        Path("address").write_text(f"json://anna:word@127.0.0.1:{receiver.port}/from-a-file\n")
        sent = Message(message.delivery, message.body, "press 2: anomaly", message.text, (Path("anomaly.png"),))
        make_channel(Channel(name="phone", apprise_file=Path("address"), timeout_s=60)).send(sent)
        [request] = receiver.taken
    assert request.path.startswith("/from-a-file")
    assert (request.content["title"], request.content["message"]) == ("press 2: anomaly", message.text)
    assert [one["filename"] for one in request.content["attachments"]] == ["anomaly.png"]


def test_what_a_service_of_apprise_refuses_is_said_without_its_address(
    message: Message, capfd: pytest.CaptureFixture[str]
) -> None:
    with Receiver() as receiver:
        receiver.answer = status(404)
        with pytest.raises(NotSent) as caught:
            AppriseService(f"json://anna:word@127.0.0.1:{receiver.port}/hook", 60).send(message)
    assert (caught.value.why, caught.value.refused) == ("the service answers 404", True)
    assert capfd.readouterr() == ("", "")


@pytest.mark.parametrize(
    ("said", "why"),
    [
        ("Failed to send JSON POST notification: error=500.", "the service answers 500"),
        ("Failed to send JSON POST notification: error=429.", "the service answers 429"),
        ("A Connection error occurred sending JSON", "there is no connection to the service"),
        ("json://anna:word@host", "the service has not taken the message"),
    ],
)
def test_what_may_be_over_later_is_tried_again(said: str, why: str) -> None:
    assert _reason(said) == (why, 1)


def test_an_address_that_apprise_does_not_know_is_given_up_soon(message: Message) -> None:
    with pytest.raises(NotSent) as caught:
        AppriseService("nosuch://anna:word@host", 60).send(message)
    assert caught.value.refused
    assert caught.value.why.startswith("apprise knows no service with such an address")


# Secrets in files


def test_secrets_are_read_from_files_without_the_line_break(message: Message) -> None:
    Path("secret").write_text("sesame\n")
    with Receiver() as receiver:
        make_channel(Channel(name="a", webhook=receiver.url, secret_file=Path("secret"))).send(message)
        [signed] = receiver.taken
    assert signed.headers["x-monitor-signature"] == signed.signature("sesame")


@pytest.mark.parametrize("content", [None, b"", b" \n", b"\xff\xfe", b"x" * 20_000])
def test_a_file_with_a_secret_that_cannot_be_used_is_said_at_once(content: bytes | None) -> None:
    if content is not None:
        Path("secret").write_bytes(content)
    with pytest.raises(ConfigError, match=r"^secret: secret_file of the channel phone (cannot be read|is empty)"):
        make_channel(Channel(name="phone", webhook="http://localhost", secret_file=Path("secret")))


def test_a_missing_library_is_said_with_how_to_install_it(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("importlib.util.find_spec", lambda name: None)
    with pytest.raises(ConfigError, match=r"The channel x needs apprise: pip install 'acoustic-monitor\[apprise\]'"):
        make_channel(Channel(name="x", apprise="json://localhost"))
