"""`monitor setup`: from a microphone to a service, one question after another."""

from __future__ import annotations

import os
import shlex
from pathlib import Path
from typing import Any

import click

from monitor.cli.options import FILE, microphone_options, settings_in_force, settings_options
from monitor.cli.output import say, say_error
from monitor.core.errors import ConfigError, MonitorError
from monitor.core.text import printable
from monitor.core.user_name import user_name


@click.command()
@click.option("--folder", type=FILE, help="Folder of the machine, for everything.  [default: its name]")
@click.option("--name", metavar="NAME", help="Name of the machine.")
@microphone_options
@click.option("--minutes", metavar="M", help="Minutes to record, 3 or more.  [default: 30]")
@click.option("--recordings", type=FILE, help="Train on the recordings in this folder; none are made.")
@click.option("--calibrate", metavar="M", help="Minutes to make the limits surer, 10 or more.  [default: 0]")
@click.option("--commission", metavar="DAYS", help="Days to go on learning each night; 0: none.  [default: 7]")
@click.option("--listen", metavar="S", help="Seconds to listen for a test; 0: not.  [default: 30]")
@click.option("--webhook", metavar="URL", help="Address that is told of anomalies.  [default: none]")
@click.option("--user", metavar="USER", help="User that runs the service.  [default: you]")
@click.option("--install", is_flag=True, help="Write the unit file to /etc/systemd/system, too.")
@click.option("--yes", is_flag=True, help="Ask nothing: take these answers, and the defaults for all others.")
@settings_options
def setup(
    folder: Path | None,
    recordings: Path | None,
    install: bool,
    yes: bool,
    config_file: Path | None,
    overrides: tuple[str, ...],
    **given: Any,
) -> None:
    """Set up a machine: microphone, level check, recordings, model, limits, settings, a test, and a unit for systemd.

    It asks what it needs to know, refuses what cannot work, and can be stopped at any time: the same command with the
    same folder goes on where it stopped. Each step is a command of its own, which is printed. Another answer, given as
    an option, makes only the steps that depend on it again.

    \b
    Examples:
      monitor setup
      monitor setup --folder pump
      monitor setup --folder pump --minutes 60
      monitor setup --yes --folder pump --name pump-3 --device USB --minutes 30
      monitor setup --yes --folder pump --recordings old-recordings/ --listen 0
      monitor setup --folder pump --set audio.url_file=camera.address
    """
    if recordings is not None and given["minutes"] is not None:
        raise ConfigError("--minutes and --recordings are two ways to have recordings: give one of them.")
    from monitor.cli.setup.checks import machine_name
    from monitor.cli.setup.context import Setup
    from monitor.cli.setup.progress import SetupProgress
    from monitor.cli.setup.questions import Questions
    from monitor.cli.setup.service import require_unit
    from monitor.cli.setup.steps import CHECKS, run_steps
    from monitor.core.atomic_io import require_writable

    given["recordings"] = None if recordings is None else str(recordings.absolute())
    if folder is None:
        first = Questions(given, {}, yes=yes)
        given["name"] = first.ask("name", "Name of the machine", "machine", machine_name)
        folder = Path(first.ask("folder", "Folder for everything", given["name"].replace(" ", "-"), str))
    progress = SetupProgress.load(folder)
    questions = Questions(given, progress.answers, yes=yes)
    for name, check in CHECKS.items():
        questions.take(name, check)
    if given["minutes"] is not None:
        progress.answers.pop("recordings", None)
    require_writable(folder, "choose another --folder.")
    if given["device"] is None and any(one.startswith("audio.url_file=") for one in overrides):
        progress.answers.pop("device", None)
    options = _kept_options(progress.answers, config_file, overrides)
    config = settings_in_force(*options, device=progress.answers.get("device"))
    again = printable(shlex.join(["monitor", "setup", "--folder", str(folder)]))
    try:
        questions.ask("name", "Name of the machine", folder.absolute().name or "machine", machine_name)
        questions.ask("user", "User that runs the service", os.environ.get("SUDO_USER") or user_name(), str)
        require_unit(progress)
        run_steps(Setup(progress, questions, config, _as_words(*options), install))
    except (KeyboardInterrupt, click.Abort):
        say_error(f"interrupted; what is done is kept. To go on: {again}")
        raise
    except MonitorError:
        say(f"The setup stops here, and keeps what is done. To go on: {again}")
        raise
    file = shlex.quote(str(folder / "config.yaml"))
    say(printable(f"{progress.answers['name']} is set up. To listen to it, and to ask how it is:"))
    say(printable(f"  $ monitor live --config {file}"))
    say(printable(f"  $ monitor status --config {file}"))


def _kept_options(
    answers: dict[str, Any], file: Path | None, overrides: tuple[str, ...]
) -> tuple[Path | None, tuple[str, ...]]:
    """The options --config and --set; if neither is given, those of the earlier run."""
    if file is not None or overrides:
        answers["config"], answers["set"] = None if file is None else str(file.absolute()), list(overrides)
    kept = answers.get("config")
    return None if kept is None else Path(kept), tuple(answers.get("set", ()))


def _as_words(file: Path | None, overrides: tuple[str, ...]) -> tuple[str, ...]:
    """These options as words of a command line."""
    return (*(() if file is None else ("--config", str(file))), *(f"--set={one}" for one in overrides))
