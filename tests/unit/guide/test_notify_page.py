"""The page about messages: its settings load, and its receiver recognises what a webhook sends."""

from __future__ import annotations

import re
import time
from pathlib import Path
from typing import Any

from monitor.config.loader import load_config
from monitor.guide import page
from monitor.notify.message import Composer
from monitor.notify.webhook import Webhook
from support.webhook import Receiver


def block(language: str) -> str:
    """The first code of the page in a language."""
    found = re.search(rf"^```{language}\n(.*?)^```", page("notify"), flags=re.MULTILINE | re.DOTALL)
    assert found
    return found[1]


def test_the_settings_on_the_page_load() -> None:
    Path("settings.yaml").write_text(block("yaml"))
    notify = load_config(Path("settings.yaml")).notify
    assert [channel.name for channel in notify.channels] == ["control room", "beacon", "shift leader"]
    assert [rule.to for rule in notify.rules] == [("control room",), ("beacon", "shift leader")]


def test_the_receiver_on_the_page_recognises_genuine_messages_and_no_others() -> None:
    names: dict[str, Any] = {}
    exec(block("python"), names)
    genuine = names["is_genuine"]
    with Receiver() as receiver:
        Webhook(receiver.url, "sesame", 20).send(Composer("hall").test("x"))
        [request] = receiver.taken
    headers = {name.title(): value for name, value in request.headers.items()}
    assert genuine(headers, request.body, b"sesame")
    assert not genuine(headers, request.body + b" ", b"sesame")
    assert not genuine(headers, request.body, b"other")
    old = headers | {"X-Monitor-Time": str(int(time.time()) - 3600)}
    assert not genuine(old, request.body, b"sesame")
