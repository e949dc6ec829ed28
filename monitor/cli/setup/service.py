"""The last steps of `monitor setup`: settings, a test with them, and a unit file for systemd."""

from __future__ import annotations

import hashlib
import json
import shlex
import tempfile
from pathlib import Path

from monitor.cli.output import say
from monitor.cli.setup.checks import days_to_learn, seconds_to_listen, webhook
from monitor.cli.setup.context import SETTINGS, STATE, Facts, Setup
from monitor.cli.setup.learning import calibration_facts
from monitor.cli.setup.microphone import microphone_facts
from monitor.cli.setup.progress import SetupProgress
from monitor.core.errors import DataError, SourceLost
from monitor.core.text import printable
from monitor.core.user_name import user_name

LEARNING_DAYS = 7  # a week has all shifts, and a weekend


def write_settings(setup: Setup) -> None:
    """Writes the settings file, unless it was changed by hand, and checks it."""
    from monitor.cli.setup.settings_file import settings_text
    from monitor.core.atomic_io import write_atomically

    setup.questions.ask("webhook", "Address of a webhook that is told of anomalies (empty: none)", "", webhook)
    setup.questions.ask(
        "commission", "Days to go on learning each night, while it listens (0: none)", LEARNING_DAYS, days_to_learn
    )
    path, text = setup.folder / SETTINGS, settings_text(setup.config, setup.answers, setup.folder).encode()
    digests = {hashlib.sha256(text).hexdigest(), setup.answers.get("written_settings")}
    if path.exists() and hashlib.sha256(path.read_bytes()).hexdigest() not in digests:
        say(printable(f"  {path} was changed by hand, and is left as it is."))
    else:
        write_atomically(path, text)
        setup.answers["written_settings"] = hashlib.sha256(text).hexdigest()
        say(printable(f"  {path} is written."))
    setup.run("check", path, "--files", "--devices")


def settings_facts(setup: Setup) -> Facts:
    """What the settings depend on."""
    names = ("name", "device", "channel", "webhook", "commission")
    return {name: setup.answers.get(name) for name in names}


def listen(setup: Setup) -> None:
    """Listens to the machine with these settings, as the service will."""
    seconds = setup.questions.ask("listen", "Seconds to listen for a test (0: not)", 30, seconds_to_listen)
    if not seconds:
        return
    with tempfile.TemporaryDirectory() as folder:
        events = Path(folder, "events.jsonl")
        setup.run(
            "live", "--config", setup.folder / SETTINGS, "--duration", f"{seconds:g}", "--headless", "--events", events
        )
        kinds = {json.loads(line)["kind"] for line in events.read_text(encoding="utf-8").splitlines()}
    if kinds & {"lost", "no signal"}:
        raise SourceLost("The microphone was lost during the test: check its cable, and continue.")
    if "anomaly" in kinds:
        raise DataError(
            "There was an anomaly within these seconds, although the machine is said to be well. If it is, more "
            "recordings of it are needed, such as twice as many --minutes. --listen 0 goes on without this test."
        )
    if kinds & {"off", "new mode"}:
        say("  The machine was off, or ran in a mode that it was not recorded in: nothing was decided.")


def listening_facts(setup: Setup) -> Facts:
    """What the outcome depends on: the model and the microphone, but no names."""
    return {**microphone_facts(setup), **calibration_facts(setup), "listen": setup.answers.get("listen")}


def require_unit(progress: SetupProgress) -> str:
    """The text of the unit file, which is checked before hours are spent on recording.

    Raises:
        ConfigError: if there cannot be one, because of the folder or the user.
    """
    from monitor.service.systemd_unit import unit_text

    folder, answers = progress.folder.absolute(), progress.answers
    return unit_text(answers["name"], folder, state=folder / STATE, user=answers["user"])


def write_unit(setup: Setup) -> None:
    """Writes the unit file, and says how to run the service."""
    from monitor.core.atomic_io import write_atomically
    from monitor.service.systemd_unit import unit_name

    text, name, folder = require_unit(setup.progress), unit_name(setup.answers["name"]), setup.folder.absolute()
    write_atomically(folder / name, text.encode())
    target = Path("/etc/systemd/system", name)
    if setup.install:
        write_atomically(target, text.encode())
    say(printable(f"  {target if setup.install else folder / name} is written. To run it as a service:"))
    lines = ["sudo systemctl daemon-reload", f"sudo systemctl enable --now {name}"]
    if not setup.install:
        lines.insert(0, f"sudo cp {shlex.quote(str(folder / name))} /etc/systemd/system/")
    if setup.answers["user"] != user_name():
        lines.insert(0, f"sudo chown -R {setup.answers['user']}: {shlex.quote(str(folder))}")
    for line in lines:
        say(f"  $ {line}")


def unit_facts(setup: Setup) -> Facts:
    """What the unit file depends on."""
    facts = {name: setup.answers.get(name) for name in ("name", "user")}
    return {**facts, "folder": str(setup.folder.absolute()), "installed": setup.install}
